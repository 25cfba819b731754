package org.deft4j.tensor.internal.cuda;

import java.util.Arrays;
import java.util.function.UnaryOperator;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Op;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** Operations whose results on the card are the CPU's bit by bit, but for which NaN it is. */
public final class SameBits {
  private SameBits() {}

  /** An input: a view of a contiguous tensor, made on each device. */
  public record Input(Tensor base, UnaryOperator<Tensor> view) {
    /** The tensor itself. */
    public static Input of(Tensor base) {
      return new Input(base, x -> x);
    }

    Tensor on(Device device) {
      return view.apply(device == Device.CPU ? base.copy() : base.to(device));
    }
  }

  /** Runs {@code op} on contiguous tensors. */
  public static void check(Op op, Tensor... inputs) {
    check(op, Arrays.stream(inputs).map(Input::of).toArray(Input[]::new));
  }

  /**
   * Runs {@code op} on the CPU and on the card twice, threads in turned order the second time. An operation in place is
   * to change nothing around the view, either.
   */
  public static void check(Op op, Input... inputs) {
    try (Scope _ = Scope.open()) {
      Tensor[] expected = results(op, Device.CPU, inputs);
      compare(op, expected, results(op, Device.CUDA, inputs));
      compare(op, expected, CudaTests.inTurnedOrder(() -> results(op, Device.CUDA, inputs)));
    }
  }

  private static Tensor[] results(Op op, Device device, Input[] inputs) {
    Tensor[] given = Arrays.stream(inputs).map(input -> input.on(device)).toArray(Tensor[]::new);
    if (op instanceof InPlace) {
      Tensor base = device == Device.CPU ? inputs[0].base.copy() : inputs[0].base.to(device);
      given[0] = inputs[0].view.apply(base);
      Dispatch.run(op, given);
      return new Tensor[] {base};
    }
    return Dispatch.run(op, given);
  }

  private static void compare(Op op, Tensor[] expected, Tensor[] actual) {
    for (int i = 0; i < expected.length; i++) {
      String message = op + ", output " + i;
      Tensor here = actual[i].to(Device.CPU);
      assertEquals(expected[i].dtype(), here.dtype(), message);
      assertEquals(expected[i].shape(), here.shape(), message);
      if (here.dtype().isFloating()) {
        assertArrayEquals(expected[i].toDoubles(), here.toDoubles(), message);
      } else {
        assertArrayEquals(CudaTests.bits(expected[i])[0], CudaTests.bits(here)[0], message);
      }
    }
  }
}
