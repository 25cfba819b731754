package org.deft4j.autograd;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.Function;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Trades time for memory: of a block only its inputs are kept, and what happened inside is computed again when its
 * gradient is asked for.
 */
public final class Checkpoint {
  private Checkpoint() {}

  /**
   * {@code block.apply(inputs)}. The tapes of this thread record one step for it. On the way back the block runs a second
   * time under a tape of its own, and gradients go to the inputs and to whatever else the block used that the tape follows
   * (its parameters). They have the same bits as without checkpoint.
   *
   * @param block a function of its inputs and of tensors that live until the gradients are there; the second run must
   *     compute the same, so random numbers must be drawn from a source that starts anew
   */
  public static Tensor run(Function<Tensor[], Tensor> block, Tensor... inputs) {
    List<Tape> tapes = Tape.recording();
    List<Collection<Value>> used = new ArrayList<>();
    tapes.forEach(Tape::startObserving);
    Tensor output;
    try {
      output = Scope.run(() -> block.apply(inputs));
    } finally {
      tapes.forEach(tape -> used.add(tape.stopObserving()));
    }
    for (int i = 0; i < tapes.size(); i++) {
      Tape tape = tapes.get(i);
      boolean passedThrough = tape.follows(output);
      if (!used.get(i).isEmpty() && !passedThrough) {
        tape.record(new Replay(tape, block, inputs, Value.of(output), used.get(i)), output);
      }
    }
    return output;
  }

  /** The step of one tape. */
  private static final class Replay implements Step {
    private final Tape tape;
    private final Function<Tensor[], Tensor> block;
    private final Saved[] inputs;
    private final Value output;
    private final Collection<Value> used;

    Replay(Tape tape, Function<Tensor[], Tensor> block, Tensor[] inputs, Value output, Collection<Value> used) {
      this.tape = tape;
      this.block = block;
      this.inputs = new Saved[inputs.length];
      for (int i = 0; i < inputs.length; i++) {
        this.inputs[i] = Saved.of(inputs[i]);
      }
      this.output = output;
      this.used = used;
    }

    /**
     * The inner tape adds to the same sums: a parameter used inside and outside the block gets its terms in the order
     * of a pass without checkpoint.
     */
    @Override
    public void back(GradientSums sums) {
      if (!sums.has(output.id())) {
        close();
        return;
      }
      try (Scope _ = Scope.open(); Tape inner = tape.inner(used)) {
        Tensor again = Scope.run(() -> block.apply(handles()));
        if (!again.shape().equals(output.shape()) || again.dtype() != output.dtype()) {
          throw new IllegalStateException("checkpoint: the block gave " + output.dtype() + output.shape()
              + " and, run again for its gradient, " + again + "; it must compute the same both times");
        }
        close();
        sums.move(output.id(), again.id());
        again.close();
        inner.walk(sums);
      } finally {
        close();
      }
    }

    private Tensor[] handles() {
      Tensor[] handles = new Tensor[inputs.length];
      for (int i = 0; i < handles.length; i++) {
        handles[i] = inputs[i].get("checkpoint", "input " + i);
      }
      return handles;
    }

    @Override
    public void close() {
      Saved.closeAll(inputs);
    }
  }
}
