package org.deft4j.tensor.internal;

import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * A walk over a row-major result and two inputs that broadcast to its shape, in runs along which all three advance by
 * fixed strides. Neighbouring dimensions that both inputs step through evenly are merged, so that two dense inputs of one
 * shape make one run.
 */
final class Broadcast {
  /** What is done along (part of) a run: indices of the first elements, relative to each tensor's memory. */
  @FunctionalInterface
  interface Run {
    /** Does it for {@code length} elements. */
    void run(long a, long b, long out, long length);
  }

  /** Elements of a run, and the steps between those of a and of b. */
  final long inner;

  final long stepA;
  final long stepB;
  private final long[] sizes;
  private final long[] stridesA;
  private final long[] stridesB;
  private final long offsetA;
  private final long offsetB;
  private final long offsetOut;

  private Broadcast(int rank, long[] sizes, long[] stridesA, long[] stridesB, Tensor a, Tensor b, Tensor out) {
    this.sizes = java.util.Arrays.copyOf(sizes, Math.max(0, rank - 1));
    this.stridesA = stridesA;
    this.stridesB = stridesB;
    this.inner = rank == 0 ? 1 : sizes[rank - 1];
    this.stepA = rank == 0 ? 0 : stridesA[rank - 1];
    this.stepB = rank == 0 ? 0 : stridesB[rank - 1];
    this.offsetA = a.offset();
    this.offsetB = b.offset();
    this.offsetOut = out.offset();
  }

  /** The walk over {@code out = op(a, b)}; out is contiguous. */
  static Broadcast of(Tensor a, Tensor b, Tensor out) {
    Shape shape = out.shape();
    long[] fromA = Strides.stretched(a, shape.rank());
    long[] fromB = Strides.stretched(b, shape.rank());
    long[] sizes = new long[shape.rank()];
    long[] stridesA = new long[shape.rank()];
    long[] stridesB = new long[shape.rank()];
    int rank = 0;
    for (int d = 0; d < shape.rank(); d++) {
      long size = shape.size(d);
      if (size == 1) {
        continue;
      }
      if (rank > 0 && stridesA[rank - 1] == size * fromA[d] && stridesB[rank - 1] == size * fromB[d]) {
        sizes[rank - 1] *= size;
      } else {
        sizes[rank++] = size;
      }
      stridesA[rank - 1] = fromA[d];
      stridesB[rank - 1] = fromB[d];
    }
    return new Broadcast(rank, sizes, stridesA, stridesB, a, b, out);
  }

  /** Walks the elements {@code from} (inclusive) to {@code to} (exclusive) of the result. */
  void forEach(long from, long to, Run body) {
    for (long i = from; i < to;) {
      long within = i % inner;
      long length = Math.min(inner - within, to - i);
      long rest = i / inner;
      long a = offsetA + within * stepA;
      long b = offsetB + within * stepB;
      for (int d = sizes.length - 1; d >= 0; d--) {
        long index = rest % sizes[d];
        rest /= sizes[d];
        a += index * stridesA[d];
        b += index * stridesB[d];
      }
      body.run(a, b, offsetOut + i, length);
      i += length;
    }
  }
}
