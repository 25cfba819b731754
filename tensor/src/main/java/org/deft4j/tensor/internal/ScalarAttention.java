package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;

/**
 * Attention row by row with the online softmax (Milakov and Gimelshein 2018; Dao et al. 2022, algorithm 1): keys come in blocks
 * of 96, a running maximum m and sum l are kept, and what was summed under an older maximum is rescaled. A causal query does not
 * visit the blocks after its own. Nor do 32 queries visit a block that a mask of BOOL hides from all of them.
 */
final class ScalarAttention {
  /** Keys per block; part of the definition of the result's bits. */
  static final int BLOCK = 96;
  /** Queries that leave out a block of keys together; part of the definition of the result's bits. */
  static final int QUERIES = 32;

  private final Real real;
  private final double scale;
  private final boolean causal;
  private final Access q;
  private final Access k;
  private final Access v;
  private final long[] sq;
  private final long[] sk;
  private final long[] sv;
  private final Access mask;
  private final boolean maskAllows;
  private final long[] sm;
  private final long heads;
  private final long rows;
  private final int keys;
  private final int width;

  private ScalarAttention(double scale, boolean causal, Tensor query, Tensor key, Tensor value, Tensor mask) {
    this.real = Real.of(query.dtype());
    this.scale = real == Real.F32 ? (float) scale : scale;
    this.causal = causal;
    this.q = Access.of(query);
    this.k = Access.of(key);
    this.v = Access.of(value);
    this.sq = query.strides();
    this.sk = key.strides();
    this.sv = value.strides();
    this.mask = mask == null ? null : Access.of(mask);
    this.maskAllows = mask != null && mask.dtype() == DType.BOOL;
    this.sm = mask == null ? null : Strides.stretched(mask, 4);
    this.heads = query.size(1);
    this.rows = query.size(2);
    this.keys = Math.toIntExact(key.size(2));
    this.width = Math.toIntExact(query.size(3));
  }

  static void forward(Contraction.Attention op, Tensor[] in, Tensor[] out) {
    ScalarAttention attention =
        new ScalarAttention(op.scale(), op.causal(), in[0], in[1], in[2], in.length == 4 ? in[3] : null);
    Access o = Access.of(out[0]);
    Access lse = Access.of(out[1]);
    Parallel.forRange(out[1].elementCount(), 1, (from, to) -> {
      for (long row = from; row < to; row++) {
        attention.row(row, o, lse);
      }
    });
  }

  /** {@code (scale q) k^T + mask} of row (b, h, t) and key s; minus infinity where it may not look. */
  private double score(long b, long h, long t, int s) {
    if (causal && s > t) {
      return Double.NEGATIVE_INFINITY;
    }
    long atQ = b * sq[0] + h * sq[1] + t * sq[2];
    long atK = b * sk[0] + h * sk[1] + s * sk[2];
    double dot = 0;
    for (int d = 0; d < width; d++) {
      dot = real.fma(scaledQuery(atQ, d), k.get(atK + d * sk[3]), dot);
    }
    if (mask == null) {
      return dot;
    }
    double m = mask.get(b * sm[0] + h * sm[1] + t * sm[2] + s * sm[3]);
    if (maskAllows) {
      return m != 0 ? dot : Double.NEGATIVE_INFINITY;
    }
    return real.add(dot, m);
  }

  private double scaledQuery(long at, int d) {
    return real.mul(scale, q.get(at + d * sq[3]));
  }

  /** {@code e^(score - shift)}; a shift of minus infinity, where nothing was seen, counts as 0, so that masked scores give 0. */
  private double exp(double score, double shift) {
    return real.expOrZero(real.add(score, shift == Double.NEGATIVE_INFINITY ? 0 : -shift));
  }

  /** Which blocks of keys query t visits. */
  private boolean[] visited(long b, long h, long t) {
    boolean[] visited = new boolean[Math.ceilDiv(keys, BLOCK)];
    for (int block = 0; block < visited.length; block++) {
      visited[block] = (!causal || block <= t / BLOCK) && (!maskAllows || allowsSome(b, h, t / QUERIES * QUERIES, block * BLOCK));
    }
    return visited;
  }

  /** Whether the mask lets any query of the group that starts at t see any key of the block that starts at s. */
  private boolean allowsSome(long b, long h, long t, int s) {
    for (long i = t; i < Math.min(rows, t + QUERIES); i++) {
      for (int j = s; j < Math.min(keys, s + BLOCK); j++) {
        if (mask.get(b * sm[0] + h * sm[1] + i * sm[2] + j * sm[3]) != 0) {
          return true;
        }
      }
    }
    return false;
  }

  private void row(long row, Access o, Access lse) {
    long t = row % rows;
    long h = row / rows % heads;
    long b = row / rows / heads;
    double m = Double.NEGATIVE_INFINITY;
    double l = 0;
    double[] acc = new double[width];
    double[] p = new double[BLOCK];
    boolean[] visited = visited(b, h, t);
    for (int start = 0; start < keys; start += BLOCK) {
      if (!visited[start / BLOCK]) {
        continue;
      }
      int n = Math.min(BLOCK, keys - start);
      double blockMax = m;
      for (int j = 0; j < n; j++) {
        p[j] = score(b, h, t, start + j);
        blockMax = blockMax < p[j] ? p[j] : blockMax;
      }
      double correction = exp(m, blockMax);
      double sum = 0;
      for (int j = 0; j < n; j++) {
        p[j] = exp(p[j], blockMax);
        sum = real.add(sum, p[j]);
      }
      l = real.fma(l, correction, sum);
      for (int d = 0; d < width; d++) {
        acc[d] = real.mul(acc[d], correction);
        for (int j = 0; j < n; j++) {
          acc[d] = real.fma(p[j], v.get(b * sv[0] + h * sv[1] + (start + j) * sv[2] + d * sv[3]), acc[d]);
        }
      }
      m = blockMax;
    }
    for (int d = 0; d < width; d++) {
      o.set(row * width + d, real.mul(acc[d], l == 0 ? 0 : real.div(1, l)));
    }
    lse.set(row, l == 0 ? Double.NEGATIVE_INFINITY : real.add(m, real.log(l)));
  }

  /**
   * With {@code p = e^(score - lse)}, {@code delta = sum_d do_d o_d}, {@code dp = do v^T} and {@code ds = p (dp - delta)}:
   * {@code dq = scale (ds k)}, {@code dk = ds^T (scale q)}, {@code dv = p^T do}. Every sum is a chain, over d, s or t ascending.
   */
  static void backward(Contraction.AttentionGrad op, Tensor[] in, Tensor[] out) {
    ScalarAttention attention =
        new ScalarAttention(op.scale(), op.causal(), in[1], in[2], in[3], in.length == 7 ? in[6] : null);
    long heads = in[1].size(0) * in[1].size(1);
    Parallel.forRange(heads, 1, (from, to) -> {
      for (long head = from; head < to; head++) {
        attention.head(head, in, out);
      }
    });
  }

  private void head(long head, Tensor[] in, Tensor[] out) {
    long b = head / heads;
    long h = head % heads;
    Strided dO = new Strided(in[0], b, h);
    Strided o = new Strided(in[4], b, h);
    Strided lse = new Strided(in[5], b, h);
    Access dq = Access.of(out[0]);
    double[][] dk = new double[keys][width];
    double[][] dv = new double[keys][width];
    for (long t = 0; t < rows; t++) {
      double delta = 0;
      for (int d = 0; d < width; d++) {
        delta = real.fma(dO.get(t, d), o.get(t, d), delta);
      }
      double[] dqRow = new double[width];
      boolean[] visited = visited(b, h, t);
      for (int s = 0; s < keys; s++) {
        if (!visited[s / BLOCK]) {
          continue;
        }
        double p = exp(score(b, h, t, s), lse.get(t, 0));
        double dp = 0;
        for (int d = 0; d < width; d++) {
          dp = real.fma(dO.get(t, d), v.get(b * sv[0] + h * sv[1] + s * sv[2] + d * sv[3]), dp);
        }
        double ds = real.mul(p, real.add(dp, -delta));
        for (int d = 0; d < width; d++) {
          dqRow[d] = real.fma(ds, k.get(b * sk[0] + h * sk[1] + s * sk[2] + d * sk[3]), dqRow[d]);
          dk[s][d] = real.fma(ds, scaledQuery(b * sq[0] + h * sq[1] + t * sq[2], d), dk[s][d]);
          dv[s][d] = real.fma(p, dO.get(t, d), dv[s][d]);
        }
      }
      for (int d = 0; d < width; d++) {
        dq.set((head * rows + t) * width + d, real.mul(scale, dqRow[d]));
      }
    }
    Access toK = Access.of(out[1]);
    Access toV = Access.of(out[2]);
    for (int s = 0; s < keys; s++) {
      for (int d = 0; d < width; d++) {
        toK.set((head * keys + s) * width + d, dk[s][d]);
        toV.set((head * keys + s) * width + d, dv[s][d]);
      }
    }
  }

  /** One head of a tensor [B,H,T,D] or [B,H,T]. */
  private static final class Strided {
    private final Access elements;
    private final long start;
    private final long rowStep;
    private final long step;

    Strided(Tensor tensor, long b, long h) {
      long[] strides = tensor.strides();
      elements = Access.of(tensor);
      start = b * strides[0] + h * strides[1];
      rowStep = strides[2];
      step = tensor.rank() == 4 ? strides[3] : 0;
    }

    double get(long t, int d) {
      return elements.get(start + t * rowStep + d * step);
    }
  }
}
