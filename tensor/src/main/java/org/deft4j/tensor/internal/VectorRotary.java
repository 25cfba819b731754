package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;

/**
 * {@link Fused.Rotary} in float32, in blocks of rows of the last dimension but one. All that a block of positions is the same for
 * comes before the next block: its cos and sin stay in the cache, and heads side by side in memory are read as they lie.
 */
final class VectorRotary {
  /** Rows whose inputs and results stay together in the cache next to the processor. */
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
      return new Lines(Floats.of(tensor), StridedCopy.stretched(tensor, rank));
    }

    boolean isDense() {
      return strides[strides.length - 1] == 1;
    }

    /** Those of the outer dimensions' element {@code index}, from {@code row} on. */
    Column from(Shape outer, long index, long row) {
      long step = strides[strides.length - 2];
      return new Column(floats.memory(), floats.byteAt(Positions.offset(index, outer, strides) + row * step), Float.BYTES * step);
    }
  }

  /** A vector in every row: the first from a byte address, and how many bytes the next is further. */
  private record Column(MemorySegment memory, long at, long step) {
    Column right(long elements) {
      return new Column(memory, at + Float.BYTES * elements, step);
    }

    FloatVector load(int row) {
      return Simd.load(memory, at + row * step);
    }

    void store(int row, FloatVector vector) {
      Simd.store(vector, memory, at + row * step);
    }
  }

  /** A column of vectors at a time, the last one moved back to end with its half: loops along single rows would be too short. */
  private static void rotate(Column x, Column cos, Column sin, float turn, Column y, int half, int rows) {
    for (int d = 0; d < half; d += Simd.LANES) {
      int i = Math.min(d, half - Simd.LANES);
      rotate(x.right(i), x.right(half + i), cos.right(i), sin.right(i), turn, y.right(i), y.right(half + i), rows);
    }
  }

  private static void rotate(Column a, Column b, Column cos, Column sin, float turn, Column first, Column second, int rows) {
    for (int row = 0; row < rows; row++) {
      FloatVector left = a.load(row);
      FloatVector right = b.load(row);
      FloatVector c = cos.load(row);
      FloatVector s = sin.load(row).mul(turn);
      first.store(row, left.mul(c).sub(right.mul(s)));
      second.store(row, right.mul(c).add(left.mul(s)));
    }
  }
}
