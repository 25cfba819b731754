package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static org.deft4j.tensor.internal.Simd.FLOATS;
import static org.deft4j.tensor.internal.Simd.ORDER;

/**
 * Sums across rows in the order of {@link Sums#sumRows}: a chain of additions for each block of 128 rows, the chains added in
 * order. A block is read row after row, as it lies in memory, onto chains that stay in the cache next to the processor; the
 * blocks are what threads share.
 */
final class VectorColumns {
  /** Columns of a block that are summed at a time. */
  private static final int TILE = 2048;

  private VectorColumns() {}

  /** {@code y[outer, j] = sum_i x[outer, i, j]}. */
  static void sum(Slab slab, Floats x, Floats y) {
    long blocks = blocks(slab.n());
    if (blocks == 1) {
      chains(slab, 1, x, y);
      return;
    }
    try (Tensor room = Tensor.empty(Device.CPU, DType.F32, Shape.of(slab.outer(), blocks, slab.inner()))) {
      chains(slab, blocks, x, Floats.of(room));
      for (long outer = 0; outer < slab.outer(); outer++) {
        total(Floats.of(room), outer * blocks * slab.inner(), blocks, slab.inner(), y, outer * slab.inner());
      }
    }
  }

  /** How many chains {@code rows} rows need; at least one. */
  static long blocks(long rows) {
    return Math.max(1, (rows + Sums.ROWS - 1) / Sums.ROWS);
  }

  private static void chains(Slab slab, long blocks, Floats x, Floats chains) {
    long tiles = (slab.inner() + TILE - 1) / TILE;
    long work = Math.max(1, Math.min(slab.n(), Sums.ROWS) * Math.min(slab.inner(), TILE));
    Parallel.forRange(slab.outer() * blocks * tiles, Math.max(1, VectorElementwise.GRAIN / work), (from, to) -> {
      for (long piece = from; piece < to; piece++) {
        long column = piece % tiles * TILE;
        long block = piece / tiles % blocks;
        long outer = piece / tiles / blocks;
        long row = block * Sums.ROWS;
        chain(x, (outer * slab.n() + row) * slab.inner() + column, Math.min(Sums.ROWS, slab.n() - row), slab.inner(),
            chains, (outer * blocks + block) * slab.inner() + column, (int) Math.min(TILE, slab.inner() - column));
      }
    });
  }

  private static void chain(Floats x, long start, long rows, long width, Floats chain, long at, int n) {
    clear(chain, at, n);
    long row = 0;
    for (; row + 4 <= rows; row += 4) {
      addFour(x, start + row * width, width, chain, at, n);
    }
    for (; row < rows; row++) {
      add(x, start + row * width, chain, at, n);
    }
  }

  /** {@code chain_j = 0}. */
  static void clear(Floats chain, long at, long n) {
    chain.memory().asSlice(chain.byteAt(at), n * Float.BYTES).fill((byte) 0);
  }

  /** {@code chain_j += x_j}. */
  static void add(Floats x, long start, Floats chain, long at, long n) {
    int vectors = Math.toIntExact(n / Simd.LANES);
    long atX = x.byteAt(start);
    long atC = chain.byteAt(at);
    for (int v = 0; v < vectors; v++) {
      long step = (long) v * Simd.BYTES;
      fromMemorySegment(FLOATS, chain.memory(), atC + step, ORDER).add(fromMemorySegment(FLOATS, x.memory(), atX + step, ORDER))
          .intoMemorySegment(chain.memory(), atC + step, ORDER);
    }
    for (long j = (long) vectors * Simd.LANES; j < n; j++) {
      chain.set(at + j, chain.get(at + j) + x.get(start + j));
    }
  }

  /** Four rows, which are {@code width} apart, in order. */
  private static void addFour(Floats x, long start, long width, Floats chain, long at, int n) {
    int vectors = n / Simd.LANES;
    long first = x.byteAt(start);
    long second = x.byteAt(start + width);
    long third = x.byteAt(start + 2 * width);
    long fourth = x.byteAt(start + 3 * width);
    long atC = chain.byteAt(at);
    for (int v = 0; v < vectors; v++) {
      long step = (long) v * Simd.BYTES;
      FloatVector sum = fromMemorySegment(FLOATS, chain.memory(), atC + step, ORDER);
      sum = sum.add(fromMemorySegment(FLOATS, x.memory(), first + step, ORDER));
      sum = sum.add(fromMemorySegment(FLOATS, x.memory(), second + step, ORDER));
      sum = sum.add(fromMemorySegment(FLOATS, x.memory(), third + step, ORDER));
      sum = sum.add(fromMemorySegment(FLOATS, x.memory(), fourth + step, ORDER));
      sum.intoMemorySegment(chain.memory(), atC + step, ORDER);
    }
    for (long j = (long) vectors * Simd.LANES; j < n; j++) {
      float sum = chain.get(at + j);
      for (long row = start; row < start + 4 * width; row += width) {
        sum += x.get(row + j);
      }
      chain.set(at + j, sum);
    }
  }

  /** {@code y_j = chain_0j + chain_1j + ...}: the chains of the blocks, n columns each, side by side from {@code start}. */
  static void total(Floats chains, long start, long blocks, long n, Floats y, long out) {
    clear(y, out, n);
    for (long block = 0; block < blocks; block++) {
      add(chains, start + block * n, y, out, n);
    }
  }
}
