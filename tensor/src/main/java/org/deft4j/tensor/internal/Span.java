package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * What a vector loop runs over: so many whole vectors of a result y and of one or two inputs, each from a byte address. An
 * input whose step (in bytes) is 0 gives the same vector again and again.
 */
record Span(MemorySegment a, long atA, long stepA, MemorySegment b, long atB, long stepB, MemorySegment y, long atY, int vectors) {
  /** One input. */
  static Span of(Floats a, Floats y, long from, int vectors) {
    return of(a, a, y, from, vectors);
  }

  /** Two inputs, all from element {@code from}. */
  static Span of(Floats a, Floats b, Floats y, long from, int vectors) {
    return new Span(a.memory(), a.byteAt(from), Simd.BYTES, b.memory(), b.byteAt(from), Simd.BYTES, y.memory(), y.byteAt(from), vectors);
  }

  @Override
  public MemorySegment y() {
    return OffHeap.known(y);
  }

  FloatVector a(int i) {
    return Simd.load(a, atA + i * stepA);
  }

  FloatVector b(int i) {
    return Simd.load(b, atB + i * stepB);
  }

  /** Where vector i of y lies. */
  long at(int i) {
    return atY + (long) i * Simd.BYTES;
  }

  void put(int i, FloatVector value) {
    value.intoMemorySegment(y(), at(i), Simd.ORDER);
  }

  /** Vector i of y from a by the scalar function. */
  void scalar(int i, FloatFunction f) {
    for (long lane = 0; lane < Simd.BYTES; lane += Float.BYTES) {
      long at = (long) i * Simd.BYTES + lane;
      y.set(Simd.F32, atY + at, f.apply(a.get(Simd.F32, atA + at)));
    }
  }

  /** Vector i of y: a times the scalar function of b. */
  void scalarProduct(int i, FloatFunction f) {
    for (long lane = 0; lane < Simd.BYTES; lane += Float.BYTES) {
      long at = (long) i * Simd.BYTES + lane;
      y.set(Simd.F32, atY + at, a.get(Simd.F32, atA + at) * f.apply(b.get(Simd.F32, atB + at)));
    }
  }
}
