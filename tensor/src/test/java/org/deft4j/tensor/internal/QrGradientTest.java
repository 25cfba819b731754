package org.deft4j.tensor.internal;

import java.util.List;
import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Decompose;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** The gradient of a QR: the vector loops give the plain ones' bits, and both what its formula gives, written with operations on tensors. */
class QrGradientTest {
  private static final double CLOSE = 1e-11;

  private final Random random = new Random(23);

  /** Batch, M, N: within a panel and across panels, within a chunk of rows and across chunks, one column, square. */
  private static final int[][] SIZES = {{1, 1, 1}, {1, 9, 1}, {2, 9, 4}, {1, 3, 3}, {1, 16, 16}, {1, 100, 5}, {2, 130, 17}, {1, 40, 40},
      {1, 513, 33}, {1, 1280, 4}, {5, 1280, 4}, {1, 1030, 8}, {1, 3000, 64}};

  private Tensor draw(long... shape) {
    double[] values = new double[(int) Shape.of(shape).elementCount()];
    for (int i = 0; i < values.length; i++) {
      values[i] = random.nextGaussian();
    }
    return Tensor.of(values, shape);
  }

  @Test
  void plainAndVector() {
    for (int[] size : SIZES) {
      try (Scope _ = Scope.open()) {
        Tensor[] qr = Dispatch.run(new Decompose.Qr(), draw(size[0], size[1], size[2]));
        Tensor dq = draw(size[0], size[1], size[2]);
        same(qr[0], qr[1], dq);
        same(qr[0], qr[1], dq, draw(size[0], size[2], size[2]));
      }
    }
  }

  private static void same(Tensor... in) {
    Twins.same("qr_grad " + in[0].shape(), new Decompose.QrGrad(), (x, out) -> QrGradient.run(x, out[0], new VectorPanels()),
        List.of(in[0].shape()), in);
  }

  @Test
  void formula() {
    for (int[] size : SIZES) {
      try (Scope _ = Scope.open()) {
        Tensor[] qr = Dispatch.run(new Decompose.Qr(), draw(size[0], size[1], size[2]));
        Tensor dq = draw(size[0], size[1], size[2]);
        Tensor dr = draw(size[0], size[2], size[2]);
        close(composite(qr[0], qr[1], dq, null), Dispatch.run(new Decompose.QrGrad(), qr[0], qr[1], dq)[0]);
        close(composite(qr[0], qr[1], dq, dr), Dispatch.run(new Decompose.QrGrad(), qr[0], qr[1], dq, dr)[0]);
      }
    }
  }

  private static Tensor composite(Tensor q, Tensor r, Tensor dq, Tensor dr) {
    Tensor inner = dq.t().matmul(q).neg();
    if (dr != null) {
      inner = inner.add(r.matmul(dr.t()));
    }
    Tensor sym = inner.tril(0).add(inner.tril(-1).t());
    return dq.add(q.matmul(sym)).matmul(Dispatch.run(new Decompose.Inverse(), r)[0].t());
  }

  private static void close(Tensor expected, Tensor found) {
    double[] e = expected.toDoubles();
    double[] f = found.toDoubles();
    double largest = 0;
    for (double value : e) {
      largest = Math.max(largest, Math.abs(value));
    }
    for (int i = 0; i < e.length; i++) {
      assertEquals(e[i], f[i], CLOSE * largest, () -> "of " + expected.shape());
    }
  }

  /** In the type of dQ: float32 is the float64 result, rounded once. */
  @Test
  void single() {
    for (int columns : new int[] {3, 4, 6, 33}) {
      try (Scope _ = Scope.open()) {
        Tensor[] qr = Dispatch.run(new Decompose.Qr(), draw(2, 71, columns));
        Tensor dq = draw(2, 71, columns).cast(DType.F32);
        Tensor wide = Dispatch.run(new Decompose.QrGrad(), qr[0], qr[1], dq.cast(DType.F64))[0].cast(DType.F32);
        for (PanelLoops loops : List.of(new ScalarPanels(), new VectorPanels())) {
          Tensor found = Tensor.empty(Device.CPU, DType.F32, dq.shape());
          QrGradient.run(new Tensor[] {qr[0], qr[1], dq}, found, loops);
          assertEquals(-1, wide.bytes().mismatch(found.bytes()));
        }
      }
    }
  }
}
