package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Norm;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static jdk.incubator.vector.VectorOperators.FMA;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/** {@link Norm} in float32, by the formulas of {@link ScalarNorms}; this file of the RMS norm, and what the layer norm shares with it. */
final class VectorNorms {
  /** Shorter rows are left to the scalar form. */
  static final long SHORT = 16;

  private VectorNorms() {}

  /** Computes {@code op}, or returns false. */
  static boolean run(Norm op, Tensor[] in, Tensor[] out) {
    if (in[0].dtype() != DType.F32 || in[0].elementCount() < VectorElementwise.SMALL) {
      return false;
    }
    return switch (op) {
      case Norm.GroupNorm(var groups, var eps) -> groupNorm(groups, eps, false, in, out);
      case Norm.GroupNormSilu(var groups, var eps) -> groupNorm(groups, eps, true, in, out);
      case Norm.GroupNormGrad(var groups) -> groupNormGrad(groups, false, in, out);
      case Norm.GroupNormSiluGrad(var groups) -> groupNormGrad(groups, true, in, out);
      case Norm.LayerNorm(var dims, var eps) ->
          VectorLayerNorm.run(ScalarNorms.rows(in[0].shape(), dims), eps, null, in, out[0], out[1], out[2]);
      case Norm.LayerNormOfSum(var eps) ->
          VectorLayerNorm.run(ScalarNorms.rows(in[0].shape(), 1), eps, in, ScalarNorms.ofSum(in, out), out[0], out[2], out[3]);
      case Norm.LayerNormGrad(var dims, var _) ->
          VectorLayerNorm.gradient(ScalarNorms.rows(in[1].shape(), dims), in, out);
      case Norm.RmsNorm(var eps) -> rmsNorm(ScalarNorms.rows(in[0].shape(), 1), (float) eps, in, out);
      case Norm.RmsNormGrad _ -> rmsNormGrad(ScalarNorms.rows(in[1].shape(), 1), in, out);
    };
  }

  private static boolean groupNorm(int groups, double eps, boolean silu, Tensor[] in, Tensor[] out) {
    VectorGroupNorm.run(ScalarGroupNorm.Channels.of(in[0].shape(), groups), eps, silu, in, out);
    return true;
  }

  private static boolean groupNormGrad(int groups, boolean silu, Tensor[] in, Tensor[] out) {
    VectorGroupNorm.gradient(ScalarGroupNorm.Channels.of(in[1].shape(), groups), silu, in, out);
    return true;
  }

  /** {@code dx = (x - mean) slope + (g scale + constant)}; g may be dx itself. */
  static void gradient(Floats g, float scale, Floats x, float mean, float slope, float constant, Floats dx,
      long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atG = g.byteAt(start);
    long atX = x.byteAt(start);
    long atD = dx.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector scaled = fromMemorySegment(FLOATS, g.memory(), atG + step, ORDER).fma(scale, constant);
      FloatVector d = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(mean);
      d.lanewise(FMA, slope, scaled).intoMemorySegment(dx.memory(), atD + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      dx.set(i, Math.fma(x.get(i) - mean, slope, Math.fma(g.get(i), scale, constant)));
    }
  }

  /** The gradient of one row; adds the row's terms to the chains of dw and db that start at {@code at}. */
  @FunctionalInterface
  interface Row {
    void run(long row, VectorSums sums, Floats dw, Floats db, long at);
  }

  /**
   * Runs {@code body} over all rows, in the blocks of {@link VectorColumns}: so dy and x are read once for the gradients of x,
   * weight and bias. dw and db are null where they are not wanted, db alone where there is no bias.
   */
  static void forBlocks(Slab slab, Floats dw, Floats db, Row body) {
    long n = slab.n();
    if (dw == null) {
      Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
        VectorSums sums = new VectorSums();
        for (long row = from; row < to; row++) {
          body.run(row, sums, null, null, 0);
        }
      });
      return;
    }
    long blocks = VectorColumns.blocks(slab.outer());
    try (Tensor weights = Tensor.empty(Device.CPU, DType.F32, Shape.of(blocks, n));
        Tensor biases = Tensor.empty(Device.CPU, DType.F32, Shape.of(db == null ? 0 : blocks, n))) {
      Floats chainsW = Floats.of(weights);
      Floats chainsB = Floats.of(biases);
      Parallel.forRange(blocks, 1, (from, to) -> {
        VectorSums sums = new VectorSums();
        for (long block = from; block < to; block++) {
          VectorColumns.clear(chainsW, block * n, n);
          if (db != null) {
            VectorColumns.clear(chainsB, block * n, n);
          }
          for (long row = block * Sums.ROWS; row < Math.min(slab.outer(), (block + 1) * Sums.ROWS); row++) {
            body.run(row, sums, chainsW, chainsB, block * n);
          }
        }
      });
      VectorColumns.total(chainsW, 0, blocks, n, dw, 0);
      if (db != null) {
        VectorColumns.total(chainsB, 0, blocks, n, db, 0);
      }
    }
  }

  /** {@code chain_j += dy_j ((x_j - mean) rstd)}. */
  static void addProducts(Floats dy, Floats x, float mean, float rstd, long start, long n, Floats chain, long at) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atDy = dy.byteAt(start);
    long atX = x.byteAt(start);
    long atC = chain.byteAt(at);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector xhat = fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).sub(mean).mul(rstd);
      fromMemorySegment(FLOATS, dy.memory(), atDy + step, ORDER)
          .fma(xhat, fromMemorySegment(FLOATS, chain.memory(), atC + step, ORDER))
          .intoMemorySegment(chain.memory(), atC + step, ORDER);
    }
    for (long j = (long) vectors * Simd.LANES; j < n; j++) {
      float xhat = (x.get(start + j) - mean) * rstd;
      chain.set(at + j, Math.fma(dy.get(start + j), xhat, chain.get(at + j)));
    }
  }

  /** {@code dy w}, written to {@code room}; or dy where there is no weight. */
  static Floats weighted(Floats dy, Floats w, Floats room, long start, long n) {
    if (w == null) {
      return dy;
    }
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atD = dy.byteAt(start);
    long atW = w.byteAt(0);
    long atR = room.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector d = fromMemorySegment(FLOATS, dy.memory(), atD + step, ORDER);
      FloatVector weight = fromMemorySegment(FLOATS, w.memory(), atW + step, ORDER);
      d.mul(weight).intoMemorySegment(room.memory(), atR + step, ORDER);
    }
    for (long i = (long) vectors * Simd.LANES; i < n; i++) {
      room.set(start + i, dy.get(start + i) * w.get(i));
    }
    return room;
  }

  // ---------------------------------------------------------------------------------------------------- RMS norm

  private static boolean rmsNorm(Slab slab, float eps, Tensor[] in, Tensor[] out) {
    if (slab.n() < SHORT) {
      return false;
    }
    Floats x = Floats.of(in[0]);
    Floats w = in.length > 1 ? Floats.of(in[1]) : null;
    Floats y = Floats.of(out[0]);
    Floats rrms = Floats.of(out[1]);
    long n = slab.n();
    Parallel.forRange(slab.outer(), slab.grain(), (from, to) -> {
      VectorSums sums = new VectorSums();
      for (long row = from; row < to; row++) {
        float r = ScalarNorms.rms(sums.dot(x, row * n, x, row * n, n), n, eps);
        rrms.set(row, r);
        if (w == null) {
          normalize(x, r, y, row * n, n);
        } else {
          normalize(x, r, w, y, row * n, n);
        }
      }
    });
    return true;
  }

  /** {@code y = x r}. */
  private static void normalize(Floats x, float r, Floats y, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atX = x.byteAt(start);
    long atY = y.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).mul(r).intoMemorySegment(y.memory(), atY + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      y.set(i, x.get(i) * r);
    }
  }

  /** {@code y = x r w}. */
  private static void normalize(Floats x, float r, Floats w, Floats y, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atX = x.byteAt(start);
    long atW = w.byteAt(0);
    long atY = y.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).mul(r)
          .mul(fromMemorySegment(FLOATS, w.memory(), atW + step, ORDER)).intoMemorySegment(y.memory(), atY + step, ORDER);
    }
    for (long i = (long) vectors * Simd.LANES; i < n; i++) {
      y.set(start + i, x.get(start + i) * r * w.get(i));
    }
  }

  private static boolean rmsNormGrad(Slab slab, Tensor[] in, Tensor[] out) {
    if (slab.n() < SHORT) {
      return false;
    }
    Floats dy = Floats.of(in[0]);
    Floats x = Floats.of(in[1]);
    Floats rrms = Floats.of(in[2]);
    Floats w = in.length > 3 ? Floats.of(in[3]) : null;
    Floats dx = Floats.of(out[0]);
    long n = slab.n();
    boolean ofWeight = out.length > 1;
    forBlocks(slab, ofWeight ? Floats.of(out[1]) : null, null, (row, sums, dw, db, at) -> {
      Floats g = weighted(dy, w, dx, row * n, n);
      float r = rrms.get(row);
      float slope = ScalarNorms.slopeFactor(r, r * sums.dot(g, row * n, x, row * n, n), n);
      gradient(g, r, x, slope, dx, row * n, n);
      if (ofWeight) {
        addProducts(dy, x, 0f, r, row * n, n, dw, at);
      }
    });
    return true;
  }

  /** {@code dx = x slope + g r}; g may be dx itself. */
  private static void gradient(Floats g, float r, Floats x, float slope, Floats dx, long start, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atG = g.byteAt(start);
    long atX = x.byteAt(start);
    long atD = dx.byteAt(start);
    for (int i = 0; i < vectors; i++) {
      long step = (long) i * Simd.BYTES;
      FloatVector scaled = fromMemorySegment(FLOATS, g.memory(), atG + step, ORDER).mul(r);
      fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER).lanewise(FMA, slope, scaled)
          .intoMemorySegment(dx.memory(), atD + step, ORDER);
    }
    for (long i = start + (long) vectors * Simd.LANES; i < start + n; i++) {
      dx.set(i, Math.fma(x.get(i), slope, g.get(i) * r));
    }
  }
}
