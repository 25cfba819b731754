package org.deft4j.tensor.internal.cuda;

import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.CudaAttention.Problem;
import org.deft4j.tensor.op.Contraction;

/**
 * Attention of float32 with factors rounded to 16 bits, on tensor cores: {@code attention_mma.cuh}. What products stream over is scratch,
 * rounded, [B H, rows, columns]: k and v, and for gradients q and do; columns are the head's width, made up to one that there are kernels for. So are pictures
 * of a BOOL mask, one for all heads that share it; and where there are few keys, and thus few blocks for dk and dv, these of parts of the
 * queries, before they are added.
 */
final class CudaMmaAttention {
  /** The largest head dimension. */
  static final int WIDEST = 160;
  private static final int THREADS = 256;
  private static final long TILE = 128;
  private static final int[] COLUMNS = {48, 64, 80, 96, 128, WIDEST};
  /** Up to so many columns a block has room for both dk and dv; beyond, two blocks have half of them each. */
  private static final int WHOLE = 96;
  /** Up to so many columns a warp of the forward kernel has room for 32 rows; beyond, for 16. */
  private static final int TALL = 96;
  private static final long MOST_IN_Y = 65535;
  /** Columns that pass a block at a time. */
  private static final long STREAM = 32;
  /** So many blocks keep a card busy: parts are made up to there, each of as many queries at least as a block has keys. */
  private static final long BLOCKS = 256;

  private final Launcher launcher;
  private final DType factors;

  CudaMmaAttention(Launcher launcher, DType factors) {
    this.launcher = launcher;
    this.factors = factors;
  }

  void run(Contraction.Attention op, Problem x, Tensor o, Tensor lse) {
    int columns = columns(x);
    try (Scope _ = Scope.open()) {
      launcher.grid(x.heads() * Math.ceilDiv(x.queries(), TILE), 1, 1, columns <= TALL ? THREADS / 2 : THREADS, 0, source(),
          variant("attention_" + columns), x.q(), rounded(x.k(), columns), rounded(x.v(), columns), x.maskAddress(), o, lse,
          x.sizes(), x.q().strides(), x.maskSteps(), pictures(x, op.causal(), false), x.maskKind(), op.causal(), (float) op.scale());
    }
  }

  void gradient(Contraction.AttentionGrad op, Problem x, Tensor dO, Tensor o, Tensor lse, Tensor[] out) {
    int columns = columns(x);
    try (Scope _ = Scope.open()) {
      Tensor rows = Tensor.empty(Device.CUDA, DType.F32, lse.shape().append(2));
      launcher.rows(CudaAttention.blocksOfWarps(lse), Launcher.THREADS, source(), variant("attention_rows"), dO, o, lse, rows,
          lse.elementCount(), x.sizes(), dO.strides(), o.strides(), CudaAttention.rowSteps(lse));
      List<Object> factors = List.of(rounded(dO, columns), rounded(x.q(), columns), rounded(x.k(), columns), rounded(x.v(), columns),
          rows, x.maskAddress(), x.sizes(), x.maskSteps());
      List<Object> rest = List.of(x.maskKind(), op.causal(), (float) op.scale());
      launch("attention_dq_" + columns, x, x.queries(), 1, 1, given(factors, pictures(x, op.causal(), false), rest, out[0]));
      keyGradients(x, columns, given(factors, pictures(x, op.causal(), true), rest), out[1], out[2]);
    }
  }

  private static List<Object> given(List<Object> factors, long[] pictures, List<Object> rest, Object... more) {
    return CudaAttention.with(CudaAttention.with(CudaAttention.with(factors, pictures), rest.toArray()), more);
  }

  /** A grid that depends on the shape alone, so that sums are the same on every card. */
  private void keyGradients(Problem x, int columns, List<Object> given, Tensor dk, Tensor dv) {
    String kernel = "attention_dk_dv_" + columns;
    int halves = columns <= WHOLE ? 1 : 2;
    long blocks = Math.max(1, x.heads() * Math.ceilDiv(x.keys(), TILE) * halves);
    long most = Math.clamp(Math.ceilDiv(BLOCKS, blocks), 1L, Math.max(1, Math.ceilDiv(x.queries(), TILE)));
    long share = Math.max(1, Math.ceilDiv(Math.ceilDiv(x.queries(), most), STREAM)) * STREAM;
    int parts = Math.toIntExact(Math.max(1, Math.ceilDiv(x.queries(), share)));
    if (parts == 1) {
      launch(kernel, x, x.keys(), halves, 1, CudaAttention.with(given, (int) share, dk, dv));
      return;
    }
    Tensor partsOfDk = Tensor.empty(Device.CUDA, DType.F32, Shape.of(parts, dk.elementCount()));
    Tensor partsOfDv = Tensor.empty(Device.CUDA, DType.F32, Shape.of(parts, dv.elementCount()));
    launch(kernel, x, x.keys(), halves, parts, CudaAttention.with(given, (int) share, partsOfDk, partsOfDv));
    launcher.each(dk.elementCount(), source(), variant("attention_parts"), partsOfDk, dk, dk.elementCount(), parts);
    launcher.each(dv.elementCount(), source(), variant("attention_parts"), partsOfDv, dv, dv.elementCount(), parts);
  }

  /** {@code struct Pictures} of a BOOL mask, drawn here; of rows of queries by keys, or of keys by queries where {@code turned}. */
  private long[] pictures(Problem x, boolean causal, boolean turned) {
    if (x.mask() == null || x.mask().dtype() != DType.BOOL) {
      return new long[4];
    }
    long[] steps = x.maskSteps();
    long batches = steps[0] == 0 ? 1 : x.q().size(0);
    long heads = steps[1] == 0 ? 1 : x.q().size(1);
    long rows = turned ? x.keys() : x.queries();
    long across = Math.ceilDiv(turned ? x.queries() : x.keys(), STREAM);
    long down = Math.ceilDiv(rows, TILE);
    Tensor words = Tensor.empty(Device.CUDA, DType.I32, Shape.of(batches * heads, across, rows));
    Tensor tiles = Tensor.empty(Device.CUDA, DType.I32, Shape.of(batches * heads, down, across, 2));
    long[] pictures = {words.address(), tiles.address(), steps[0] == 0 ? 0 : heads, steps[1] == 0 ? 0 : 1};
    launcher.rows(batches * heads * across * down, THREADS, source(), variant("attention_pictures"), x.mask(), pictures, heads, x.sizes(),
        steps, causal, turned);
    return pictures;
  }

  private String source() {
    return variant("attention");
  }

  private String variant(String name) {
    return Launcher.variant(name, factors);
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
        source(), variant("attention_factors"), x, to, heads, x.size(1), rows, Math.toIntExact(x.size(3)), columns, x.strides());
    return to;
  }

  /** A block of a gradient for each tile of {@code rows}, in every head, each share of the columns of results, and each part of what streams past. */
  private void launch(String kernel, Problem x, long rows, int shares, int parts, List<Object> arguments) {
    launcher.grid(x.heads() * Math.ceilDiv(rows, TILE), shares, parts, THREADS, 0, source(), variant(kernel), arguments.toArray());
  }
}
