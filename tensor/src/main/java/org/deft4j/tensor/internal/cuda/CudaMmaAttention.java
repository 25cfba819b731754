package org.deft4j.tensor.internal.cuda;

import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.CudaAttention.Problem;
import org.deft4j.tensor.op.Contraction;

/**
 * Attention with factors of 16 bits, on tensor cores: {@code attention_mma.cuh}. Tensors are BF16, or F32 whose factors are rounded. What
 * products stream over (k and v, and for gradients q and do) is read where it lies if it can be, else from scratch, rounded, [B,H,R,D].
 * Scratch are also pictures of a BOOL mask, one for all heads that share it; and where there are few keys, and thus few blocks for dk and
 * dv, these of parts of the queries, before they are added.
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
  /** The same of the kernel of dq. */
  private static final int TALL_QUERY_GRADIENT = 64;
  private static final long MOST_IN_Y = 65535;
  /** Columns that pass a block at a time. */
  private static final long STREAM = 32;
  /** So many blocks keep a card busy: parts are made up to there, each of as many queries at least as a block has keys. */
  private static final long BLOCKS = 256;
  /** Numbers of 16 bits that a thread copies at once. */
  private static final long PIECE = 8;

  private final Launcher launcher;
  private final DType factors;
  private final String variant;

  /** For tensors of {@code type}, F32 or BF16. */
  CudaMmaAttention(Launcher launcher, DType type) {
    this.launcher = launcher;
    this.factors = type == DType.F32 ? Precision.current().factors() : type;
    String ofFactors = Launcher.variant("", factors);
    this.variant = type == DType.F32 ? ofFactors : Launcher.variant(ofFactors, type);
  }

  void run(Contraction.Attention op, Problem x, Tensor o, Tensor lse) {
    int columns = columns(x);
    try (Scope _ = Scope.open()) {
      long[] queries = o.dtype() == factors ? factors(x.q()) : strided(x.q(), x.q().strides());
      launcher.grid(x.heads() * Math.ceilDiv(x.queries(), TILE), 1, 1, columns <= TALL ? THREADS / 2 : THREADS, 0, source(),
          variant("attention_" + columns), queries, factors(x.k()), factors(x.v()), x.maskAddress(), o, lse, x.sizes(),
          x.maskSteps(), pictures(x, op.causal(), false), x.maskKind(), op.causal(), (float) op.scale());
    }
  }

  void gradient(Contraction.AttentionGrad op, Problem x, Tensor dO, Tensor o, Tensor lse, Tensor[] out) {
    int columns = columns(x);
    try (Scope _ = Scope.open()) {
      Tensor rows = Tensor.empty(Device.CUDA, DType.F32, lse.shape().append(2));
      launcher.rows(CudaAttention.blocksOfWarps(lse), Launcher.THREADS, source(), variant("attention_rows"),
          strided(dO, dO.strides()), strided(o, o.strides()), strided(lse, CudaAttention.rowSteps(lse)), rows, lse.elementCount(),
          x.sizes());
      List<Object> factors = List.of(factors(dO), factors(x.q()), factors(x.k()), factors(x.v()), rows, x.maskAddress(), x.sizes(),
          x.maskSteps());
      List<Object> rest = List.of(x.maskKind(), op.causal(), (float) op.scale());
      int threads = columns <= TALL_QUERY_GRADIENT ? THREADS / 2 : THREADS;
      launch("attention_dq_" + columns, threads, x, x.queries(), 1, 1, given(factors, pictures(x, op.causal(), false), rest, out[0]));
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
      launch(kernel, THREADS, x, x.keys(), halves, 1, CudaAttention.with(given, (int) share, dk, dv));
      return;
    }
    Tensor partsOfDk = Tensor.empty(Device.CUDA, DType.F32, Shape.of(parts, dk.elementCount()));
    Tensor partsOfDv = Tensor.empty(Device.CUDA, DType.F32, Shape.of(parts, dv.elementCount()));
    launch(kernel, THREADS, x, x.keys(), halves, parts, CudaAttention.with(given, (int) share, partsOfDk, partsOfDv));
    launcher.each(2 * dk.elementCount(), source(), variant("attention_parts"), partsOfDk, partsOfDv, dk, dv, dk.elementCount(),
        parts);
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
    return name + variant;
  }

  private static int columns(Problem x) {
    int best = 0;
    while (COLUMNS[best] < x.width()) {
      best++;
    }
    return COLUMNS[best];
  }

  /** {@code struct Strided}. */
  private static long[] strided(Tensor x, long[] steps) {
    return new long[] {x.address(), steps[0], steps[1], steps[2], steps[3]};
  }

  /** A tensor [B,H,R,D] as products read it. */
  private long[] factors(Tensor x) {
    Tensor read = isReadable(x) ? x : rounded(x);
    return strided(read, read.strides());
  }

  /** Whether each row is whole pieces, each at a multiple of its size. */
  private boolean isReadable(Tensor x) {
    long[] strides = x.strides();
    boolean readable = x.dtype() == factors && x.size(3) % PIECE == 0 && x.address() % (PIECE * factors.bytes()) == 0;
    for (int d = 0; d < 3; d++) {
      readable &= x.size(d) == 1 || strides[d] % PIECE == 0;
    }
    return readable && strides[3] == 1 && strides[2] <= Integer.MAX_VALUE;
  }

  /** Each number of a tensor [B,H,R,D] rounded, with zeros beyond D up to whole pieces. */
  private Tensor rounded(Tensor x) {
    long heads = x.size(0) * x.size(1);
    int rows = Math.toIntExact(x.size(2));
    int columns = Math.toIntExact(Math.ceilDiv(x.size(3), PIECE) * PIECE);
    Tensor to = Tensor.empty(Device.CUDA, factors, Shape.of(x.size(0), x.size(1), rows, columns));
    launcher.grid(Math.ceilDiv((long) rows * columns / 4, (long) Launcher.THREADS), Math.min(heads, MOST_IN_Y), 1, Launcher.THREADS, 0,
        source(), variant("attention_factors"), x, to, heads, x.size(1), rows, Math.toIntExact(x.size(3)), columns, x.strides());
    return to;
  }

  /**
   * A block of a gradient for each tile of {@code rows}, in every head, each share of the columns of results, and each part of what streams
   * past.
   */
  private void launch(String kernel, int threads, Problem x, long rows, int shares, int parts, List<Object> arguments) {
    launcher.grid(x.heads() * Math.ceilDiv(rows, TILE), shares, parts, threads, 0, source(), variant(kernel), arguments.toArray());
  }
}
