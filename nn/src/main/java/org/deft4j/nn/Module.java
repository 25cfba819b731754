package org.deft4j.nn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * A part of a model: parameters and children, declared by name in the constructor. Names joined by dots are the names in
 * Hugging Face's checkpoints, so that loading is equality of names:
 * {@code down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.weight}. A name may itself contain dots
 * ({@code to_out.0}).
 */
@SuppressWarnings("JavaLangClash") // the field's own word; java.lang.Module is never meant in this code
public abstract class Module implements AutoCloseable {
  private final Map<String, Parameter> own = new LinkedHashMap<>();
  private final Map<String, Module> children = new LinkedHashMap<>();
  private final List<Listener> listeners = new ArrayList<>();
  private Module parent;
  private String name = "";

  /** A module without parameters and parts; the subclass declares them. */
  protected Module() {}

  /** Is told what the parts of a model give out. */
  @FunctionalInterface
  public interface Listener {
    /** The module at {@code path}, relative to the one listened to, gave {@code output}, which lives as long as its scope. */
    void gave(String path, Tensor output);
  }

  /** Ends a listener's work. */
  @FunctionalInterface
  public interface Listening extends AutoCloseable {
    @Override
    void close();
  }

  /** Declares a parameter; it has no value until one is {@link Parameter#set set}. */
  protected Parameter parameter(String parameterName, long... shape) {
    return declare(new Parameter(this, parameterName, Shape.of(shape), false), parameterName);
  }

  /** Declares a tensor that belongs to the model's file but is no parameter: training leaves it as it is (torch's buffers). */
  protected Parameter buffer(String bufferName, long... shape) {
    return declare(new Parameter(this, bufferName, Shape.of(shape), true), bufferName);
  }

  private Parameter declare(Parameter parameter, String parameterName) {
    if (own.putIfAbsent(parameterName, parameter) != null) {
      throw new IllegalStateException("module " + path() + " already has a parameter " + parameterName);
    }
    return parameter;
  }

  /** Declares a part. */
  protected <M extends Module> M child(String childName, M module) {
    Module part = module;
    if (part.parent != null) {
      throw new IllegalStateException("module " + part.path() + " is already part of another; it cannot also be " + childName);
    }
    if (children.putIfAbsent(childName, module) != null) {
      throw new IllegalStateException("module " + path() + " already has a part " + childName);
    }
    part.parent = this;
    part.name = childName;
    return module;
  }

  /** The names from the root to here; empty for the root. */
  public String path() {
    return parent == null ? "" : join(parent.path(), name);
  }

  static String join(String prefix, String rest) {
    return prefix.isEmpty() ? rest : prefix + "." + rest;
  }

  /** All parameters and buffers of this module and its parts by their full names below it, in the order of declaration. */
  public Map<String, Parameter> parameters() {
    Map<String, Parameter> all = new LinkedHashMap<>();
    collectParameters("", all);
    return Collections.unmodifiableMap(all);
  }

  private void collectParameters(String prefix, Map<String, Parameter> all) {
    own.forEach((key, parameter) -> all.put(join(prefix, key), parameter));
    children.forEach((key, child) -> child.collectParameters(join(prefix, key), all));
  }

  /** All parts, parts of parts and so on, by their full names below this module, in the order of declaration. */
  public Map<String, Module> modules() {
    Map<String, Module> all = new LinkedHashMap<>();
    collectModules("", all);
    return Collections.unmodifiableMap(all);
  }

  private void collectModules(String prefix, Map<String, Module> all) {
    children.forEach((key, child) -> {
      all.put(join(prefix, key), child);
      child.collectModules(join(prefix, key), all);
    });
  }

  /** The number of elements of all parameters; buffers do not count. */
  public long parameterCount() {
    return parameters().values().stream().filter(parameter -> !parameter.isBuffer()).mapToLong(parameter -> parameter.shape().elementCount()).sum();
  }

  /** Has {@code listener} told of every output of this module and its parts, until what is returned is closed. */
  public Listening listen(Listener listener) {
    listeners.add(listener);
    return () -> listeners.remove(listener);
  }

  /** Whether a listener here or above is told what this module gives: what is its own output must then be computed. */
  protected final boolean isObserved() {
    for (Module module = this; module != null; module = module.parent) {
      if (!module.listeners.isEmpty()) {
        return true;
      }
    }
    return false;
  }

  /** Tells listeners here and above that this module gives {@code output}; returns it. */
  protected final Tensor observed(Tensor output) {
    return observed("", output);
  }

  /** The same for a step that is a module in the reference implementation and none here. */
  protected final Tensor observed(String step, Tensor output) {
    String below = step;
    for (Module module = this; module != null; module = module.parent) {
      for (Listener listener : module.listeners) {
        listener.gave(below, output);
      }
      below = below.isEmpty() ? module.name : join(module.name, below);
    }
    return output;
  }

  /** Closes the values of all parameters. */
  @Override
  public void close() {
    parameters().values().forEach(Parameter::close);
  }
}
