package org.deft4j.tensor.internal.cuda;

import java.util.List;
import java.util.Locale;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.CudaAttention.Problem;
import org.deft4j.tensor.op.Contraction;

/**
 * Attention of float32 with factors rounded to 16 bits, on tensor cores: {@code attention_mma.cuh}. The rounded factors are scratch, [B H,
 * rows, columns] for each of q, k and v, and do; columns are the head's width, made up to one that there are kernels for.
 */
final class CudaMmaAttention {
  /** The largest head dimension. */
  static final int WIDEST = 160;
  private static final int THREADS = 256;
  private static final long TILE = 128;
  private static final int[] COLUMNS = {48, 64, 80, 96, 128, WIDEST};
  /** Up to so many columns a block has room for both dk and dv; beyond, two blocks have half of them each. */
  private static final int WHOLE = 96;
  private static final long MOST_IN_Y = 65535;

  private final Launcher launcher;
  private final DType factors;
  private final String suffix;

  CudaMmaAttention(Launcher launcher, DType factors) {
    this.launcher = launcher;
    this.factors = factors;
    this.suffix = factors.name().toLowerCase(Locale.ROOT);
  }

  void run(Contraction.Attention op, Problem x, Tensor o, Tensor lse) {
    int columns = columns(x);
    try (Scope _ = Scope.open()) {
      launch("attention_" + columns, x, x.queries(), 1, List.of(rounded(x.q(), columns), rounded(x.k(), columns), rounded(x.v(), columns),
          x.maskAddress(), o, lse, x.sizes(), x.maskSteps(), x.maskKind(), op.causal(), (float) op.scale()));
    }
  }

  void gradient(Contraction.AttentionGrad op, Problem x, Tensor dO, Tensor o, Tensor lse, Tensor[] out) {
    int columns = columns(x);
    try (Scope _ = Scope.open()) {
      Tensor rows = Tensor.empty(Device.CUDA, DType.F32, lse.shape().append(2));
      launcher.rows(CudaAttention.blocksOfWarps(lse), Launcher.THREADS, source(), "attention_rows_" + suffix, dO, o, lse, rows,
          lse.elementCount(), x.sizes(), dO.strides(), o.strides(), CudaAttention.rowSteps(lse));
      List<Object> given = List.of(rounded(dO, columns), rounded(x.q(), columns), rounded(x.k(), columns), rounded(x.v(), columns), rows,
          x.maskAddress(), x.sizes(), x.maskSteps(), x.maskKind(), op.causal(), (float) op.scale());
      launch("attention_dq_" + columns, x, x.queries(), 1, CudaAttention.with(given, out[0]));
      launch("attention_dk_dv_" + columns, x, x.keys(), columns <= WHOLE ? 1 : 2, CudaAttention.with(given, out[1], out[2]));
    }
  }

  private String source() {
    return "attention_" + suffix;
  }

  private static int columns(Problem x) {
    int best = 0;
    while (COLUMNS[best] < x.width()) {
      best++;
    }
    return COLUMNS[best];
  }

  /** Each number of a tensor [B,H,R,D] rounded, as [B H, R, columns] with zeros beyond D. */
  private Tensor rounded(Tensor x, int columns) {
    long heads = x.size(0) * x.size(1);
    int rows = Math.toIntExact(x.size(2));
    Tensor to = Tensor.empty(Device.CUDA, factors, Shape.of(heads, rows, columns));
    launcher.grid(Math.ceilDiv((long) rows * columns / 4, (long) Launcher.THREADS), Math.min(heads, MOST_IN_Y), 1, Launcher.THREADS, 0,
        source(), "attention_factors_" + suffix, x, to, heads, x.size(1), rows, Math.toIntExact(x.size(3)), columns, x.strides());
    return to;
  }

  /** A block for each tile of {@code rows}, in every head, and each part of the columns. */
  private void launch(String kernel, Problem x, long rows, int parts, List<Object> arguments) {
    launcher.grid(x.heads() * Math.ceilDiv(rows, TILE), parts, 1, THREADS, 0, source(), kernel + "_" + suffix, arguments.toArray());
  }
}
