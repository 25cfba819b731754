package org.deft4j.nn;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;
import org.deft4j.autograd.Gradients;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/**
 * Changes parameters in place, by their gradients and a state per parameter that the optimizer owns. The learning rate at
 * a step is {@code base * schedule(steps so far) * the group's factor}.
 */
public abstract class Optimizer implements AutoCloseable {
  private static final String STEP = "step";

  private final List<ParameterGroup> groups;
  private final double learningRate;
  private final Schedule schedule;
  private final Map<String, Slot> slots = new LinkedHashMap<>();
  private long steps;

  /** A parameter, and its state once it has been changed for the first time. */
  private static final class Slot {
    final ParameterGroup group;
    final Tensor parameter;
    final List<Tensor> state = new ArrayList<>();
    long updates;

    Slot(ParameterGroup group, Tensor parameter) {
      this.group = group;
      this.parameter = parameter;
    }
  }

  /** Where gradients come from: a tape's, or sums over several passes. */
  @FunctionalInterface
  public interface GradientSource {
    /** The gradient by {@code parameter}, or null where there is none: it then stays as it is. */
    Tensor of(Tensor parameter);
  }

  Optimizer(List<ParameterGroup> groups, double learningRate, Schedule schedule) {
    if (!(learningRate >= 0)) {
      throw new IllegalArgumentException("optimizer: the learning rate must not be negative, found " + learningRate);
    }
    this.groups = List.copyOf(groups);
    this.learningRate = learningRate;
    this.schedule = schedule;
    Set<Long> seen = new HashSet<>();
    for (ParameterGroup group : groups) {
      for (int i = 0; i < group.parameters().size(); i++) {
        Tensor parameter = group.parameters().get(i);
        if (!parameter.dtype().isComputable()) {
          throw new IllegalArgumentException("optimizer: " + parameter + " of group " + group.name()
              + " must be F32 or F64 to be trained; cast it first");
        }
        if (!seen.add(parameter.id()) || slots.put(group.name() + "." + i, new Slot(group, parameter)) != null) {
          throw new IllegalArgumentException("optimizer: " + parameter + " is given twice, or two groups are called "
              + group.name());
        }
      }
    }
  }

  /** The names of the state tensors of a parameter, each of its shape and zero at first. */
  abstract List<String> stateNames();

  /** The change of one parameter; {@code update} = 1, 2, ... counts its changes. */
  abstract InPlace update(double rate, double weightDecay, long update);

  /** One step by the gradients of a tape; parameters without gradient stay as they are. */
  public void step(Gradients gradients) {
    step(parameter -> gradients.has(parameter) ? gradients.of(parameter) : null);
  }

  /** One step by these gradients. */
  public void step(GradientSource gradients) {
    double rate = currentLearningRate();
    for (Slot slot : slots.values()) {
      Tensor gradient = gradients.of(slot.parameter);
      if (gradient != null) {
        change(slot, gradient, rate);
      }
    }
    steps++;
  }

  private void change(Slot slot, Tensor gradient, double rate) {
    if (slot.state.isEmpty()) {
      makeState(slot);
    }
    slot.updates++;
    List<Tensor> inputs = new ArrayList<>(List.of(slot.parameter, gradient));
    inputs.addAll(slot.state);
    Dispatch.run(update(rate * slot.group.lrFactor(), slot.group.weightDecay(), slot.updates),
        inputs.toArray(Tensor[]::new));
  }

  private void makeState(Slot slot) {
    for (int i = 0; i < stateNames().size(); i++) {
      slot.state.add(Scope.release(slot.parameter.zerosLike()));
    }
  }

  /** The groups. */
  public List<ParameterGroup> groups() {
    return groups;
  }

  /** How many steps were taken. */
  public long steps() {
    return steps;
  }

  /** The learning rate of the next step, for a group whose factor is 1. */
  public double currentLearningRate() {
    return learningRate * schedule.factor(steps);
  }

  /**
   * All that a continued run needs, by name: {@code step}, and {@code <group>.<index>.<what>} for each parameter changed so
   * far. The steps belong to the innermost scope, the rest to the optimizer: do not keep it.
   */
  public Map<String, Tensor> state() {
    Map<String, Tensor> state = new LinkedHashMap<>();
    state.put(STEP, Tensor.of(new long[] {steps}));
    slots.forEach((name, slot) -> {
      if (slot.updates > 0) {
        state.put(name + "." + STEP, Tensor.of(new long[] {slot.updates}));
        for (int i = 0; i < slot.state.size(); i++) {
          state.put(name + "." + stateNames().get(i), slot.state.get(i));
        }
      }
    });
    return state;
  }

  /** Continues from a saved {@link #state}, of which it makes copies. */
  public void restore(Map<String, Tensor> saved) {
    restore(saved.keySet(), saved::get);
  }

  /**
   * The same for a state that need not be in memory as a whole: each tensor of {@code names} is asked for once, in a scope that closes when
   * it is copied.
   */
  public void restore(Set<String> names, Function<String, Tensor> tensors) {
    Saved saved = new Saved(tensors, new TreeSet<>(names));
    steps = saved.count(STEP);
    slots.forEach((name, slot) -> {
      slot.state.forEach(Tensor::close);
      slot.state.clear();
      slot.updates = names.contains(name + "." + STEP) ? saved.count(name + "." + STEP) : 0;
      if (slot.updates > 0) {
        makeState(slot);
        for (int i = 0; i < slot.state.size(); i++) {
          saved.copy(name + "." + stateNames().get(i), slot.state.get(i));
        }
      }
    });
    if (!saved.unused.isEmpty()) {
      throw new IllegalArgumentException("optimizer state: " + saved.unused + " belong to none of the trained parameters");
    }
  }

  /** A saved state, and which of it was not asked for yet. */
  private record Saved(Function<String, Tensor> tensors, Set<String> unused) {
    long count(String key) {
      try (Scope _ = Scope.open()) {
        return required(key).toLongs()[0];
      }
    }

    void copy(String key, Tensor target) {
      try (Scope _ = Scope.open()) {
        Tensor source = required(key);
        if (!source.shape().equals(target.shape())) {
          throw new IllegalArgumentException("optimizer state: " + key + ": expected shape " + target.shape() + ", found " + source);
        }
        Dispatch.run(new InPlace.CopyInto(), target, source);
      }
    }

    private Tensor required(String key) {
      if (!unused.remove(key)) {
        throw new IllegalArgumentException("optimizer state: " + key + " is missing");
      }
      return tensors.apply(key);
    }
  }

  /** Closes the states; the parameters stay. */
  @Override
  public void close() {
    for (Slot slot : slots.values()) {
      slot.state.forEach(Tensor::close);
      slot.state.clear();
    }
  }
}
