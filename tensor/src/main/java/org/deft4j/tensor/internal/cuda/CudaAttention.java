package org.deft4j.tensor.internal.cuda;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;

/** {@link Contraction.Attention} and its gradient: {@code attention.cu}. */
final class CudaAttention {
  private static final String SOURCE = "attention";
  private static final int THREADS = 128;
  private static final long TILE = 64;
  /** How many columns of the result a block can own: forward, backward, and in float64, where nothing is tuned. */
  private static final int[] FORWARD_COLUMNS = {48, 64, 80, 128, 160};
  private static final int[] BACKWARD_COLUMNS = {48, 64, 80, 128};
  private static final int[] WIDE_COLUMNS = {64};

  private final Launcher launcher;

  CudaAttention(Launcher launcher) {
    this.launcher = launcher;
  }

  /** Shape and strides of q, k, v and the mask, as kernels take them. */
  private record Problem(Tensor q, Tensor k, Tensor v, Tensor mask) {
    long heads() {
      return q.size(0) * q.size(1);
    }

    long[] sizes() {
      return new long[] {q.size(1), q.size(2), k.size(2), q.size(3)};
    }

    long[] maskSteps() {
      return mask == null ? new long[4] : Walk.stretched(mask, Shape.of(q.size(0), q.size(1), q.size(2), k.size(2)));
    }

    /** {@code enum Mask}. */
    int maskKind() {
      if (mask == null) {
        return 0;
      }
      return mask.dtype() == DType.BOOL ? 1 : 2;
    }
  }

  void run(Contraction.Attention op, Tensor[] in, Tensor[] out) {
    Problem x = new Problem(in[0], in[1], in[2], in.length == 4 ? in[3] : null);
    DType type = x.q().dtype();
    int columns = columns(type == DType.F64 ? WIDE_COLUMNS : FORWARD_COLUMNS, x.q().size(3));
    tiles(x, x.q().size(2), columns, Launcher.variant("attention_" + columns, type), List.of(x.q(), x.k(), x.v(), mask(x), out[0], out[1],
        x.sizes(), x.q().strides(), x.k().strides(), x.v().strides(), x.maskSteps(), x.maskKind(), op.causal(), Arguments.real(type, op.scale())));
  }

  void gradient(Contraction.AttentionGrad op, Tensor[] in, Tensor[] out) {
    Problem x = new Problem(in[1], in[2], in[3], in.length == 7 ? in[6] : null);
    Tensor dO = in[0];
    Tensor lse = in[5];
    DType type = x.q().dtype();
    int columns = columns(type == DType.F64 ? WIDE_COLUMNS : BACKWARD_COLUMNS, x.q().size(3));
    try (Scope _ = Scope.open()) {
      Tensor delta = delta(x, dO, in[4], lse.shape());
      List<Object> given = List.of(dO, x.q(), x.k(), x.v(), lse, delta, mask(x), x.sizes(), dO.strides(), x.q().strides(), x.k().strides(),
          x.v().strides(), new long[] {lse.strides()[0], lse.strides()[1], lse.strides()[2], 0}, x.maskSteps(), x.maskKind(), op.causal(),
          Arguments.real(type, op.scale()));
      tiles(x, x.q().size(2), columns, Launcher.variant("attention_dq_" + columns, type), with(given, out[0]));
      tiles(x, x.k().size(2), columns, Launcher.variant("attention_dk_dv_" + columns, type), with(given, out[1], out[2]));
    }
  }

  /** {@code delta = sum_d do_d o_d [B,H,T]}. */
  private Tensor delta(Problem x, Tensor dO, Tensor o, Shape shape) {
    Tensor delta = Tensor.empty(Device.CUDA, dO.dtype(), shape);
    long blocks = Math.ceilDiv(shape.elementCount(), (long) Launcher.THREADS / 32);
    launcher.rows(blocks, Launcher.THREADS, SOURCE, Launcher.variant("attention_delta", dO.dtype()), dO, o, delta, shape.elementCount(),
        x.sizes(), dO.strides(), o.strides());
    return delta;
  }

  /** A mask's address, or none. */
  private static Object mask(Problem x) {
    return x.mask() == null ? (Object) 0L : x.mask();
  }

  private static List<Object> with(List<Object> given, Object... more) {
    List<Object> all = new ArrayList<>(given);
    Collections.addAll(all, more);
    return all;
  }

  /** Launches a block for each tile of {@code rows}, in every head, and each part of the columns. */
  private void tiles(Problem x, long rows, int columns, String kernel, List<Object> arguments) {
    long parts = Math.max(1, Math.ceilDiv(x.q().size(3), (long) columns));
    launcher.grid(x.heads() * Math.ceilDiv(rows, TILE), parts, 1, THREADS, 0, SOURCE, kernel, arguments.toArray());
  }

  /** Those of the columns on offer that cost least: scores are computed anew by each block, and columns beyond the width are in vain. */
  private static int columns(int[] offered, long width) {
    int best = 0;
    long least = Long.MAX_VALUE;
    for (int columns : offered) {
      long cost = Math.max(1, Math.ceilDiv(width, (long) columns)) * (width + columns);
      if (cost < least) {
        least = cost;
        best = columns;
      }
    }
    return best;
  }
}
