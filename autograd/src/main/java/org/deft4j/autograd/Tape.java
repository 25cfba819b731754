package org.deft4j.autograd;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Deque;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.DTypeException;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Op;

/**
 * Records, while open, the operations of its thread that depend on a watched tensor, and walks back over them.
 *
 * <pre>{@code
 * try (Tape tape = Tape.watch(weights)) {
 *   Tensor loss = model.forward(x).sub(y).square().mean();
 *   Gradients gradients = tape.gradients(loss);
 *   Tensor dw = gradients.of(weight);
 * }
 * }</pre>
 *
 * <p>Whatever does not depend on a watched tensor is not recorded and costs nothing. The tape keeps handles on the tensors
 * that the rules will need, so scopes opened inside the forward pass may close. Operations in place are not recorded;
 * changing a tensor the tape follows, or one that it has kept, is an error. Tapes nest: each records for itself.
 */
public final class Tape implements AutoCloseable {
  /** Where a tape finds the rule of an operation. */
  @FunctionalInterface
  interface RuleBook {
    Rule of(Op op, Needs needs);
  }

  private static final ThreadLocal<List<Tape>> LISTENING = ThreadLocal.withInitial(ArrayList::new);

  private final RuleBook rules;
  private final Thread thread = Thread.currentThread();
  private final Dispatch.Listener listener = this::ran;
  private final Set<Long> watched = new LinkedHashSet<>();
  private final Set<Long> followed = new HashSet<>();
  private final Deque<Step> steps = new ArrayDeque<>();
  private Map<Long, Value> observed;
  private boolean listening;
  private boolean walked;

  private Tape(RuleBook rules, Collection<Value> values) {
    this.rules = rules;
    for (Value value : values) {
      watched.add(value.id());
    }
    followed.addAll(watched);
    Dispatch.listen(listener);
    LISTENING.get().add(this);
    listening = true;
  }

  /** A tape that listens on this thread and follows these tensors, which must be of a floating type. */
  public static Tape watch(Tensor... tensors) {
    return watch(List.of(tensors));
  }

  /** A tape that listens on this thread and follows these tensors, which must be of a floating type. */
  public static Tape watch(Collection<Tensor> tensors) {
    return watch(Rules::of, tensors);
  }

  static Tape watch(RuleBook rules, Collection<Tensor> tensors) {
    if (tensors.isEmpty()) {
      throw new IllegalArgumentException("watch: at least one tensor is needed: with none there is nothing to differentiate by");
    }
    for (Tensor tensor : tensors) {
      if (!tensor.dtype().isFloating()) {
        throw new DTypeException("watch: expected a floating type, found " + tensor + ": nothing is differentiable by it");
      }
    }
    return new Tape(rules, tensors.stream().map(Value::of).toList());
  }

  /** A tape inside the walk of this one, with its rules, that follows {@code values}. */
  Tape inner(Collection<Value> values) {
    return new Tape(rules, values);
  }

  // -------------------------------------------------------------------------------------------------- recording

  private void ran(Op op, Tensor[] inputs, Tensor[] outputs) {
    if (op instanceof InPlace) {
      refuseInPlace(op, inputs);
      return;
    }
    if (observed != null) {
      observe(inputs);
      return;
    }
    boolean[] depends = new boolean[inputs.length];
    for (int i = 0; i < inputs.length; i++) {
      depends[i] = followed.contains(inputs[i].id());
    }
    Needs needs = new Needs(depends);
    if (!needs.any()) {
      return;
    }
    Rule rule = rules.of(op, needs);
    if (rule == Rule.CONSTANT) {
      return;
    }
    steps.addLast(new OpStep(op, rule, needs, inputs, outputs));
    for (Tensor output : outputs) {
      if (output.dtype().isFloating()) {
        followed.add(output.id());
      }
    }
  }

  private void refuseInPlace(Op op, Tensor[] inputs) {
    for (Tensor input : inputs) {
      if (followed.contains(input.id())) {
        throw new IllegalStateException(op.label() + ": " + input + " depends on a watched tensor, and a tape does not "
            + "record operations in place: the gradients would be wrong. Use the operation that returns a new tensor, or "
            + "ask for the gradients first");
      }
    }
  }

  // ------------------------------------------------------------------------------------------------- checkpoints

  /** The tapes of this thread that record now: those that listen and do not already observe a block. */
  static List<Tape> recording() {
    return LISTENING.get().stream().filter(tape -> tape.observed == null).toList();
  }

  /** From now on only notes which tensors it follows are used. */
  void startObserving() {
    observed = new LinkedHashMap<>();
  }

  /** Records again; returns the followed tensors that were used since {@link #startObserving}, in the order of first use. */
  Collection<Value> stopObserving() {
    Collection<Value> used = observed.values();
    observed = null;
    return used;
  }

  private void observe(Tensor[] inputs) {
    for (Tensor input : inputs) {
      if (followed.contains(input.id())) {
        observed.putIfAbsent(input.id(), Value.of(input));
      }
    }
  }

  /** Whether {@code tensor} depends on a watched one. */
  boolean follows(Tensor tensor) {
    return followed.contains(tensor.id());
  }

  /** Appends a step whose result is {@code output}. */
  void record(Step step, Tensor output) {
    steps.addLast(step);
    followed.add(output.id());
  }

  // ------------------------------------------------------------------------------------------------ walking back

  /** The gradients of {@code loss}, which has one element, by the watched tensors. */
  public Gradients gradients(Tensor loss) {
    if (loss.elementCount() != 1) {
      throw new ShapeException("gradients: a loss has one element, found " + loss
          + "; reduce it, or give the gradient that comes back to it as a second argument");
    }
    try (Tensor one = Scope.release(
        Backward.filled(loss.device(), Value.of(loss).gradientType(), loss.shape(), 1))) {
      return gradients(loss, one);
    }
  }

  /**
   * The gradients of {@code sum(output * outputGradient)} by the watched tensors; they belong to the innermost scope. Ends
   * the recording: a tape gives gradients once.
   */
  public Gradients gradients(Tensor output, Tensor outputGradient) {
    check(output, outputGradient);
    try (GradientSums sums = new GradientSums()) {
      sums.add("gradients", Value.of(output), outputGradient);
      walk(sums);
      return Gradients.collect(watched, sums);
    }
  }

  private void check(Tensor output, Tensor outputGradient) {
    if (walked) {
      throw new IllegalStateException("gradients: this tape has given its gradients, or was closed; open another for the next pass");
    }
    if (Thread.currentThread() != thread) {
      throw new IllegalStateException("gradients: a tape belongs to the thread that opened it, " + thread.getName());
    }
    if (!follows(output)) {
      throw new IllegalArgumentException("gradients: " + output + " does not depend on a watched tensor: nothing that led "
          + "to it was recorded by this tape");
    }
    DType expected = Value.of(output).gradientType();
    if (!outputGradient.shape().equals(output.shape()) || outputGradient.dtype() != expected) {
      throw new ShapeException("gradients: outputGradient: expected " + expected + output.shape() + " for " + output
          + ", found " + outputGradient);
    }
  }

  /** From what {@code sums} holds back to what is watched, last step first; each step is let go of when it was taken. */
  void walk(GradientSums sums) {
    walked = true;
    stopListening();
    while (!steps.isEmpty()) {
      steps.removeLast().back(sums);
    }
  }

  private void stopListening() {
    if (listening) {
      listening = false;
      Dispatch.unlisten(listener);
      LISTENING.get().remove(this);
    }
  }

  /** Stops listening and lets go of what was recorded. */
  @Override
  public void close() {
    walked = true;
    stopListening();
    while (!steps.isEmpty()) {
      steps.removeLast().close();
    }
  }
}
