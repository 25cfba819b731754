package org.deft4j.autograd;

import java.util.function.Function;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Gradients where a function has no derivative, as torch defines them, and where there is none to define. */
@ExtendWith(LeakCheck.class)
class ConventionsTest {
  private static double[] gradient(Function<Tensor, Tensor> f, double... values) {
    try (Scope _ = Scope.open()) {
      Tensor x = Tensor.of(values);
      try (Tape tape = Tape.watch(x)) {
        return tape.gradients(f.apply(x).sum()).of(x).toDoubles();
      }
    }
  }

  @Test
  void kinks() {
    assertArrayEquals(new double[] {-1, 0, 1}, gradient(Tensor::abs, -2, 0, 2));
    assertArrayEquals(new double[] {0, 0, 1}, gradient(Tensor::relu, -2, 0, 2));
    assertArrayEquals(new double[] {0.5, 0.5, 1}, gradient(x -> x.leakyRelu(0.5), -2, 0, 2));
    assertArrayEquals(new double[] {0, 1, 1, 1, 0}, gradient(x -> x.clamp(-1, 1), -2, -1, 0, 1, 2));
    assertArrayEquals(new double[] {0, 0}, gradient(x -> x.pow(0), 0, 2));
  }

  @Test
  void tiesAreSplit() {
    Tensor other = Tensor.of(new double[] {1, 1, 1});
    assertArrayEquals(new double[] {0, 0.5, 1}, gradient(x -> x.maximum(other), 0, 1, 2));
    assertArrayEquals(new double[] {0, 0.5, 1}, gradient(other::maximum, 0, 1, 2));
    assertArrayEquals(new double[] {1, 0.5, 0}, gradient(x -> x.minimum(other), 0, 1, 2));
    assertArrayEquals(new double[] {0, 0.5, 0.5, 0}, gradient(x -> x.max(false), 1, 3, 3, 2));
    assertArrayEquals(new double[] {1 / 3.0, 0, 1 / 3.0, 1 / 3.0}, gradient(x -> x.min(true, 0), 1, 3, 1, 1));
    other.close();
  }

  @Test
  void powersOfZero() {
    Tensor two = Tensor.of(new double[] {2, 2});
    Tensor zero = Tensor.of(new double[] {0, 0});
    assertArrayEquals(new double[] {0, 0}, gradient(zero::pow, 2, 0));
    assertArrayEquals(new double[] {0, 0}, gradient(x -> x.pow(zero), 0, 3));
    assertArrayEquals(new double[] {0, 6}, gradient(x -> x.pow(two), 0, 3));
    two.close();
    zero.close();
  }

  private static Tensor run(Decompose op, int output, Tensor x) {
    return Dispatch.run(op, x)[output];
  }

  @Test
  void rankLossIsNamed() {
    var error = assertThrows(NumericException.class,
        () -> gradient(x -> run(new Decompose.Qr(), 0, x.reshape(3, 2)), 1, 2, 2, 4, 3, 6));
    assertTrue(error.getMessage().contains("smallest pivot"), error.getMessage());
  }

  @Test
  void equalSingularValuesAreNamed() {
    var error = assertThrows(NumericException.class,
        () -> gradient(x -> run(new Decompose.Svd(), 0, x.reshape(2, 2)), 2, 0, 0, 2));
    assertTrue(error.getMessage().contains("cannot be told apart"), error.getMessage());
    assertArrayEquals(new double[] {1, 0, 0, 1},
        gradient(x -> run(new Decompose.Svd(), 1, x.reshape(2, 2)), 2, 0, 0, 2), 1e-12);
  }

  /** Of a square matrix all directions are singular vectors, so a singular value of 0 divides nothing. */
  @Test
  void aSingularValueOfZeroInASquareMatrix() {
    try (Scope _ = Scope.open()) {
      Tensor thin = Tensor.of(new double[] {1, 2, -1, 3, 0.5, 1}, 3, 2);
      Tensor singular = thin.matmul(Tensor.of(new double[] {2, 1, 0, 1, -1, 3}, 2, 3));
      for (int output : new int[] {0, 2}) {
        GradCheck.check(x -> {
          Tensor first = run(new Decompose.Svd(), output, x[0]).slice(-1, 0, 1);
          return first.matmul(first.t());
        }, singular);
      }
      assertArrayEquals(new double[] {0}, gradient(x -> run(new Decompose.Svd(), 0, x.reshape(1, 1)), 0));
    }
  }

  /** Two columns that differ by 1e-6: in float32 arithmetic the gradient would be far off. */
  @Test
  void qrOfNearlyEqualColumnsIsDifferentiatedInFloat64() {
    float[] values = new float[20];
    for (int i = 0; i < 10; i++) {
      values[2 * i] = (float) Math.sin(i + 1);
      values[2 * i + 1] = values[2 * i] + (float) (1e-6 * Math.cos(3 * i));
    }
    try (Scope _ = Scope.open()) {
      Tensor x = Tensor.of(values, 10, 2);
      Tensor wide = x.cast(DType.F64);
      double[] narrow = qrGradient(x);
      double[] exact = qrGradient(wide);
      double largest = 0;
      double error = 0;
      for (int i = 0; i < exact.length; i++) {
        largest = Math.max(largest, Math.abs(exact[i]));
        error = Math.max(error, Math.abs(exact[i] - narrow[i]));
      }
      assertEquals(0, error / largest, 1e-6);
    }
  }

  private static double[] qrGradient(Tensor x) {
    try (Tape tape = Tape.watch(x)) {
      Tensor q = run(new Decompose.Qr(), 0, x);
      Tensor dy = q.zerosLike();
      Dispatch.run(new InPlace.Fill(1), dy.slice(0, 0, 3));
      return tape.gradients(q, dy).of(x).toDoubles();
    }
  }
}
