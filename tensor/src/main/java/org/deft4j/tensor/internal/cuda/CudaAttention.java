package org.deft4j.tensor.internal.cuda;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.Strides;
import org.deft4j.tensor.op.Contraction;

/**
 * {@link Contraction.Attention} and its gradient: {@code attention.cu}; or where BF16 is given, or float32 is to be multiplied in 16 bits,
 * and heads are not too wide, {@link CudaMmaAttention}.
 */
final class CudaAttention {
  private static final String SOURCE = "attention";
  private static final int THREADS = 128;
  private static final long TILE = 64;
  /** How many columns of the result a block can own. For float64 nothing is tuned. */
  private static final int[] COLUMNS = {48, 64, 80, 96, 128};
  private static final int[] WIDE_COLUMNS = {64};

  private final Launcher launcher;

  CudaAttention(Launcher launcher) {
    this.launcher = launcher;
  }

  /** Inputs of an attention; the mask may be null. */
  record Problem(Tensor q, Tensor k, Tensor v, Tensor mask) {
    DType type() {
      return q.dtype();
    }

    long heads() {
      return q.size(0) * q.size(1);
    }

    long queries() {
      return q.size(2);
    }

    long keys() {
      return k.size(2);
    }

    long width() {
      return q.size(3);
    }

    /** {@code struct Sizes}. */
    long[] sizes() {
      return new long[] {q.size(1), queries(), keys(), width()};
    }

    long[] maskSteps() {
      return mask == null ? new long[4] : Strides.stretched(mask, 4);
    }

    /** {@code enum Mask}. */
    int maskKind() {
      if (mask == null) {
        return 0;
      }
      return mask.dtype() == DType.BOOL ? 1 : 2;
    }

    /** An argument. */
    Object maskAddress() {
      return mask == null ? (Object) 0L : mask;
    }
  }

  /** Whether queries of BF16 may stay what they are: where they are multiplied as that, and heads are not too wide. */
  static boolean takesBf16(Tensor q) {
    return Precision.current().factors() == DType.BF16 && q.size(3) <= CudaMmaAttention.WIDEST;
  }

  void run(Contraction.Attention op, Tensor[] in, Tensor[] out) {
    Problem x = new Problem(in[0], in[1], in[2], in.length == 4 ? in[3] : null);
    if (onTensorCores(x)) {
      new CudaMmaAttention(launcher, x.type()).run(op, x, out[0], out[1]);
      return;
    }
    launch("attention", x, x.queries(), List.of(x.q(), x.k(), x.v(), x.maskAddress(), out[0], out[1], x.sizes(), x.q().strides(),
        x.k().strides(), x.v().strides(), x.maskSteps(), x.maskKind(), op.causal(), Arguments.real(x.type(), op.scale())));
  }

  void gradient(Contraction.AttentionGrad op, Tensor[] in, Tensor[] out) {
    Problem x = new Problem(in[1], in[2], in[3], in.length == 7 ? in[6] : null);
    Tensor dO = in[0];
    Tensor o = in[4];
    Tensor lse = in[5];
    if (onTensorCores(x)) {
      new CudaMmaAttention(launcher, x.type()).gradient(op, x, dO, o, lse, out);
      return;
    }
    try (Scope _ = Scope.open()) {
      Tensor delta = Tensor.empty(Device.CUDA, x.type(), lse.shape());
      launcher.rows(blocksOfWarps(lse), Launcher.THREADS, SOURCE, Launcher.variant("attention_delta", x.type()), dO, o, delta,
          lse.elementCount(), x.sizes(), dO.strides(), o.strides());
      List<Object> given = List.of(dO, x.q(), x.k(), x.v(), lse, delta, x.maskAddress(), x.sizes(), dO.strides(), x.q().strides(),
          x.k().strides(), x.v().strides(), rowSteps(lse), x.maskSteps(), x.maskKind(), op.causal(), Arguments.real(x.type(), op.scale()));
      launch("attention_dq", x, x.queries(), with(given, out[0]));
      launch("attention_dk_dv", x, x.keys(), with(given, out[1], out[2]));
    }
  }

  private static boolean onTensorCores(Problem x) {
    boolean rounds = x.type() == DType.F32 && Precision.current().factors() != DType.F32;
    return (rounds || x.type() == DType.BF16) && x.width() <= CudaMmaAttention.WIDEST;
  }

  /** Blocks with a warp for each element. */
  static long blocksOfWarps(Tensor rows) {
    return Math.ceilDiv(rows.elementCount(), (long) Launcher.THREADS / 32);
  }

  /** {@code struct Steps} of a tensor [B,H,T]. */
  static long[] rowSteps(Tensor rows) {
    long[] strides = rows.strides();
    return new long[] {strides[0], strides[1], strides[2], 0};
  }

  static List<Object> with(List<Object> given, Object... more) {
    List<Object> all = new ArrayList<>(given);
    Collections.addAll(all, more);
    return all;
  }

  /** A block for each tile of {@code rows}, in every head, and each part of the columns. */
  private void launch(String kernel, Problem x, long rows, List<Object> arguments) {
    int columns = columns(x);
    launcher.grid(x.heads() * Math.ceilDiv(rows, TILE), parts(x, columns), 1, THREADS, 0, SOURCE,
        Launcher.variant(kernel + "_" + columns, x.type()), arguments.toArray());
  }

  /** Those on offer that cost least: scores are computed anew for each part of the columns, and columns beyond the width are in vain. */
  private static int columns(Problem x) {
    int best = 0;
    long least = Long.MAX_VALUE;
    for (int columns : x.type() == DType.F64 ? WIDE_COLUMNS : COLUMNS) {
      long cost = parts(x, columns) * (x.width() + columns);
      if (cost < least) {
        least = cost;
        best = columns;
      }
    }
    return best;
  }

  private static long parts(Problem x, int columns) {
    return Math.max(1, Math.ceilDiv(x.width(), (long) columns));
  }
}
