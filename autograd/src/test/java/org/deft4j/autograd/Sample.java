package org.deft4j.autograd;

import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Op;

/** A function around one operation, and inputs at which it is smooth. */
record Sample(Class<? extends Op> op, String what, Function<Tensor[], Tensor> function, List<Input> inputs) {
  static Sample of(Class<? extends Op> op, String what, Function<Tensor[], Tensor> function, Input... inputs) {
    return new Sample(op, what, function, List.of(inputs));
  }

  /** The inputs, the same on every call. */
  Tensor[] make() {
    SplittableRandom random = new SplittableRandom(op.getSimpleName().hashCode());
    return inputs.stream().map(input -> input.make(random)).toArray(Tensor[]::new);
  }

  @Override
  public String toString() {
    return op.getSimpleName() + ": " + what;
  }
}
