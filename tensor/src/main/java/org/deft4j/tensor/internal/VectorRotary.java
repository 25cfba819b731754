package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;

/**
 * {@link Fused.Rotary} in float32. A block of positions (of the last dimension but one) is done for all heads before the next: its cos
 * and sin stay in the cache, and heads that lie side by side in memory are read one after the other.
 */
final class VectorRotary {
  /** Positions in a block: few enough that cos, sin and the memory's pages are still at hand for the next head. */
  private static final int BLOCK = 16;

  private VectorRotary() {}

  /** Computes it, or returns false. */
  static boolean run(boolean inverse, Tensor[] in, Tensor out) {
    Shape shape = out.shape();
    int rank = shape.rank();
    int half = Math.toIntExact(shape.size(-1) / 2);
    if (rank < 2 || half < Simd.LANES) {
      return false;
    }
    Lines x = Lines.of(in[0], rank);
    Lines cos = Lines.of(in[1], rank);
    Lines sin = Lines.of(in[2], rank);
    Lines y = Lines.of(out, rank);
    if (!x.isDense() || !cos.isDense() || !sin.isDense()) {
      return false;
    }
    Shape outer = shape.sub(0, rank - 2);
    long count = outer.elementCount();
    long rows = shape.size(-2);
    long blocks = (rows + BLOCK - 1) / BLOCK;
    float turn = inverse ? -1f : 1f;
    Parallel.forRange(blocks * count, Math.max(1, VectorElementwise.GRAIN / (2L * BLOCK * half)), (from, to) -> {
      for (long task = from; task < to; task++) {
        long row = task / count * BLOCK;
        long index = task % count;
        rotate(x.from(outer, index, row), cos.from(outer, index, row), sin.from(outer, index, row), turn,
            y.from(outer, index, row), half, (int) Math.min(BLOCK, rows - row));
      }
    });
    return true;
  }

  /** The rows of a tensor, by its strides over the dimensions of the result. */
  private record Lines(Floats floats, long[] strides) {
    static Lines of(Tensor tensor, int rank) {
      return new Lines(Floats.of(tensor), Strides.stretched(tensor, rank));
    }

    boolean isDense() {
      return strides[strides.length - 1] == 1;
    }

    /** Those of the outer dimensions' element {@code index}, from {@code row} on. */
    Block from(Shape outer, long index, long row) {
      long step = strides[strides.length - 2];
      return new Block(floats.memory(), floats.byteAt(Positions.offset(index, outer, strides) + row * step), Float.BYTES * step);
    }
  }

  /** Rows from a byte address on, and how many bytes the next one is further. */
  private record Block(MemorySegment memory, long at, long step) {
    long row(int index) {
      return at + index * step;
    }
  }

  /** The last vector of a half is moved back to end with it. */
  private static void rotate(Block x, Block cos, Block sin, float turn, Block y, int half, int rows) {
    int last = half - Simd.LANES;
    long apart = (long) Float.BYTES * half;
    for (int row = 0; row < rows; row++) {
      long atX = x.row(row);
      long atCos = cos.row(row);
      long atSin = sin.row(row);
      long atY = y.row(row);
      for (int i = 0; i < half; i += Simd.LANES) {
        long step = (long) Float.BYTES * Math.min(i, last);
        FloatVector a = Simd.load(x.memory(), atX + step);
        FloatVector b = Simd.load(x.memory(), atX + apart + step);
        FloatVector c = Simd.load(cos.memory(), atCos + step);
        FloatVector s = Simd.load(sin.memory(), atSin + step).mul(turn);
        Simd.store(a.mul(c).sub(b.mul(s)), y.memory(), atY + step);
        Simd.store(b.mul(c).add(a.mul(s)), y.memory(), atY + apart + step);
      }
    }
  }
}
