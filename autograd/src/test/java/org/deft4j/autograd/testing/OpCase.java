package org.deft4j.autograd.testing;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.testing.Fixtures;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** One case of the golden operations: its attributes, and a check of values and gradients against PyTorch's. */
public final class OpCase {
  /** Operations that are layers or losses here: module nn tests them. */
  public static final Set<String> OF_NN = Set.of("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "cross_entropy",
      "bce_with_logits", "cosine_similarity", "timestep_embedding");

  private static final double LEAST_TOLERANCE = 2e-6;
  private static final double ERRORS_ALLOWED = 20;

  /** Open until the tests end: its header has a thousand entries. */
  private static final Map<Path, SafetensorsFile> FILES = new HashMap<>();

  private final String name;
  private final JsonObject description;
  private final SafetensorsFile golden;
  private Map<String, Tensor> loaded;

  private OpCase(String name, JsonObject description, SafetensorsFile golden) {
    this.name = name;
    this.description = description;
    this.golden = golden;
  }

  /** All cases of all folders of this kind. */
  public static List<OpCase> all() {
    List<OpCase> cases = new ArrayList<>();
    for (Path folder : Fixtures.folders("ops")) {
      JsonObject descriptions = Fixtures.json(folder.resolve("ops.json"));
      SafetensorsFile golden = FILES.computeIfAbsent(Fixtures.unpacked(folder.resolve("ops.safetensors")), SafetensorsFile::open);
      for (String name : descriptions.keys()) {
        cases.add(new OpCase(name, descriptions.requireObject(name), golden));
      }
    }
    return cases;
  }

  /** The case's name, {@code conv_3x3_s1_p1}. */
  public String name() {
    return name;
  }

  /** The operation, {@code conv2d}. */
  public String op() {
    return description.requireString("op");
  }

  /** Its attributes. */
  public JsonObject attributes() {
    return description.requireObject("attrs");
  }

  /** Whether there is an input of this name. */
  public boolean has(String input) {
    return golden.names().contains(name + "/in." + input);
  }

  /** An input. */
  public Tensor in(String input) {
    return get("in." + input);
  }

  /** An output as PyTorch has it, for functions whose target shape is known only from it. */
  public Tensor out(String output) {
    return get(output.isEmpty() ? "out" : "out." + output);
  }

  /** How many outputs are expected. */
  public int outputCount() {
    return outputs().size();
  }

  /** All inputs in order. */
  public Tensor[] inputs() {
    return description.requireStrings("inputs").stream().map(this::in).toArray(Tensor[]::new);
  }

  private Tensor get(String part) {
    return loaded.computeIfAbsent(name + "/" + part, golden::load);
  }

  /** Checks that {@code function} gives the golden outputs, in their order, and their gradients by every input. */
  public void check(Function<OpCase, Tensor[]> function) {
    try (Scope _ = Scope.open()) {
      loaded = new HashMap<>();
      List<String> differentiable = description.requireStrings("inputs").stream()
          .filter(input -> golden.names().contains(name + "/grad." + input)).toList();
      if (differentiable.isEmpty()) {
        compareOutputs(function.apply(this));
        return;
      }
      try (Tape tape = Tape.watch(differentiable.stream().map(this::in).toList())) {
        Tensor[] outputs = function.apply(this);
        compareOutputs(outputs);
        Gradients gradients = gradients(tape, outputs);
        for (String input : differentiable) {
          compare("grad." + input, gradients.of(in(input)));
        }
      }
    }
  }

  private List<String> outputs() {
    List<String> names = description.requireStrings("outputs");
    return names.equals(List.of("out")) ? List.of("") : names.stream().map(output -> "." + output).toList();
  }

  private void compareOutputs(Tensor[] outputs) {
    List<String> names = outputs();
    assertEquals(names.size(), outputs.length, "number of outputs");
    for (int i = 0; i < outputs.length; i++) {
      compare("out" + names.get(i), outputs[i]);
    }
  }

  /** Of {@code sum(out * grad_out)} over all outputs that have a gradient. */
  private Gradients gradients(Tape tape, Tensor[] outputs) {
    List<String> names = outputs();
    List<Tensor> flat = new ArrayList<>();
    List<Tensor> flatGradients = new ArrayList<>();
    for (int i = 0; i < outputs.length; i++) {
      if (golden.names().contains(name + "/grad_out" + names.get(i))) {
        if (outputs.length == 1) {
          return tape.gradients(outputs[i], get("grad_out" + names.get(i)));
        }
        flat.add(outputs[i].reshape(-1));
        flatGradients.add(get("grad_out" + names.get(i)).reshape(-1));
      }
    }
    return tape.gradients(Tensor.concat(0, flat), Tensor.concat(0, flatGradients));
  }

  private void compare(String part, Tensor actual) {
    if (actual.dtype().isFloating()) {
      Fixtures.relativelyCloseTo(part, actual, get(part), tolerance(part));
    } else {
      Fixtures.equal(part, actual, get(part));
    }
  }

  private double tolerance(String part) {
    JsonObject errors = description.object("fp32_vs_fp64_rel_to_max");
    return Math.max(LEAST_TOLERANCE, ERRORS_ALLOWED * (errors == null ? 0 : errors.number(part, 0)));
  }

  @Override
  public String toString() {
    return name;
  }
}
