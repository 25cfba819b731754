package org.deft4j.tensor.internal.cuda;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;

/**
 * {@link Contraction.Attention} and its gradient: {@code attention.cu}; and where float32 is to be multiplied in 16 bits, and heads are not
 * too wide, {@code attention_mma.cuh} on tensor cores.
 */
final class CudaAttention {
  /** A block of a kernel: its threads, and the rows of its tile. */
  private static final int THREADS = 128;
  private static final int MMA_THREADS = 256;
  private static final long TILE = 64;
  private static final long MMA_TILE = 128;
  /** How many columns of the result a block can own: forward, backward, in float64, where nothing is tuned, and on tensor cores. */
  private static final int[] FORWARD_COLUMNS = {48, 64, 80, 128, 160};
  private static final int[] BACKWARD_COLUMNS = {48, 64, 80, 128};
  private static final int[] WIDE_COLUMNS = {64};
  private static final int[] MMA_COLUMNS = {48, 64, 80, 128, 160};
  /** Up to so many columns a block on tensor cores has room for both dk and dv; then two share them. */
  private static final int MMA_BOTH_GRADIENTS = 80;

  private final Launcher launcher;

  CudaAttention(Launcher launcher) {
    this.launcher = launcher;
  }

  /** Inputs of an attention; the mask may be null. */
  private record Problem(Tensor q, Tensor k, Tensor v, Tensor mask) {
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
      return mask == null ? new long[4] : Walk.stretched(mask, Shape.of(q.size(0), q.size(1), queries(), keys()));
    }

    /** {@code enum Mask}. */
    int maskKind() {
      if (mask == null) {
        return 0;
      }
      return mask.dtype() == DType.BOOL ? 1 : 2;
    }

    Object maskAddress() {
      return mask == null ? (Object) 0L : mask;
    }
  }

  /** Which kernels: a source, the ending of their names, the columns that a block owns, its threads and rows. */
  private record Kernels(String source, String suffix, int columns, int threads, long tile) {
    String name(String kernel) {
      return kernel + "_" + columns + "_" + suffix;
    }
  }

  private static Kernels kernels(Problem x, int[] offered) {
    Precision precision = Precision.current();
    if (precision.factors() != DType.F32 && x.type() == DType.F32 && x.width() <= MMA_COLUMNS[MMA_COLUMNS.length - 1]) {
      String factors = precision.factors().name().toLowerCase(Locale.ROOT);
      return new Kernels("attention_" + factors, factors, columns(MMA_COLUMNS, x.width()), MMA_THREADS, MMA_TILE);
    }
    String type = x.type().name().toLowerCase(Locale.ROOT);
    return new Kernels("attention", type, columns(x.type() == DType.F64 ? WIDE_COLUMNS : offered, x.width()), THREADS, TILE);
  }

  /** Those of the columns on offer that cost least: scores are computed anew by each block, and columns beyond the width are in vain. */
  private static int columns(int[] offered, long width) {
    int best = 0;
    long least = Long.MAX_VALUE;
    for (int columns : offered) {
      long cost = parts(width, columns) * (width + columns);
      if (cost < least) {
        least = cost;
        best = columns;
      }
    }
    return best;
  }

  private static long parts(long width, int columns) {
    return Math.max(1, Math.ceilDiv(width, (long) columns));
  }

  void run(Contraction.Attention op, Tensor[] in, Tensor[] out) {
    Problem x = new Problem(in[0], in[1], in[2], in.length == 4 ? in[3] : null);
    Kernels kernels = kernels(x, FORWARD_COLUMNS);
    launch(kernels, x, x.queries(), kernels.columns(), "attention", List.of(x.q(), x.k(), x.v(), x.maskAddress(), out[0], out[1], x.sizes(),
        x.q().strides(), x.k().strides(), x.v().strides(), x.maskSteps(), x.maskKind(), op.causal(), Arguments.real(x.type(), op.scale())));
  }

  void gradient(Contraction.AttentionGrad op, Tensor[] in, Tensor[] out) {
    Problem x = new Problem(in[1], in[2], in[3], in.length == 7 ? in[6] : null);
    Tensor dO = in[0];
    Tensor lse = in[5];
    Kernels kernels = kernels(x, BACKWARD_COLUMNS);
    boolean halves = kernels.tile() == MMA_TILE && kernels.columns() > MMA_BOTH_GRADIENTS;
    try (Scope _ = Scope.open()) {
      Tensor delta = delta(kernels, x, dO, in[4], lse.shape());
      List<Object> given = List.of(dO, x.q(), x.k(), x.v(), lse, delta, x.maskAddress(), x.sizes(), dO.strides(), x.q().strides(),
          x.k().strides(), x.v().strides(), new long[] {lse.strides()[0], lse.strides()[1], lse.strides()[2], 0}, x.maskSteps(), x.maskKind(),
          op.causal(), Arguments.real(x.type(), op.scale()));
      launch(kernels, x, x.queries(), kernels.columns(), "attention_dq", given, out[0]);
      launch(kernels, x, x.keys(), halves ? kernels.columns() / 2 : kernels.columns(), "attention_dk_dv", given, out[1], out[2]);
    }
  }

  /** {@code delta = sum_d do_d o_d [B,H,T]}. */
  private Tensor delta(Kernels kernels, Problem x, Tensor dO, Tensor o, Shape shape) {
    Tensor delta = Tensor.empty(Device.CUDA, x.type(), shape);
    long blocks = Math.ceilDiv(shape.elementCount(), (long) Launcher.THREADS / 32);
    launcher.rows(blocks, Launcher.THREADS, kernels.source(), Launcher.variant("attention_delta", x.type()), dO, o, delta,
        shape.elementCount(), x.sizes(), dO.strides(), o.strides());
    return delta;
  }

  /** A block for each tile of {@code rows}, in every head, and each part of the columns. */
  private void launch(Kernels kernels, Problem x, long rows, int columns, String kernel, List<Object> given, Tensor... results) {
    List<Object> arguments = new ArrayList<>(given);
    Collections.addAll(arguments, (Object[]) results);
    launcher.grid(x.heads() * Math.ceilDiv(rows, kernels.tile()), parts(x.width(), columns), 1, kernels.threads(), 0, kernels.source(),
        kernels.name(kernel), arguments.toArray());
  }
}
