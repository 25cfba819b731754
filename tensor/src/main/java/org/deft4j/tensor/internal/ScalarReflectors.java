package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

import static org.deft4j.tensor.internal.ThinQr.ROW;
import static org.deft4j.tensor.internal.ThinQr.WIDTH;

/** The plain loops of a QR decomposition. */
final class ScalarReflectors implements ReflectorLoops {
  private static double get(MemorySegment memory, long at, int index) {
    return memory.get(ValueLayout.JAVA_DOUBLE, at + (long) Double.BYTES * index);
  }

  private static void set(MemorySegment memory, long at, int index, double value) {
    memory.set(ValueLayout.JAVA_DOUBLE, at + (long) Double.BYTES * index, value);
  }

  @Override
  public void load(MemorySegment x, long from, long pitch, int lanes, MemorySegment a, long at, int count, long[] largest, int column) {
    for (int i = 0; i < count; i++) {
      for (int c = 0; c < WIDTH; c++) {
        double value = c < lanes ? get(x, from + i * pitch, c) : 0;
        set(a, at + i * ROW, c, value);
        largest[column + c] = Math.max(largest[column + c], Double.doubleToRawLongBits(Math.abs(value)));
      }
    }
  }

  @Override
  public void store(MemorySegment a, long at, int lanes, MemorySegment x, long to, long pitch, int count) {
    for (int i = 0; i < count; i++) {
      for (int c = 0; c < lanes; c++) {
        set(x, to + i * pitch, c, get(a, at + i * ROW, c));
      }
    }
  }

  @Override
  public void dots(MemorySegment a, long at, int count, int j, MemorySegment sums, long to) {
    for (int c = 0; c < WIDTH; c++) {
      double sum = 0;
      for (int i = 0; i < count; i++) {
        sum = Math.fma(get(a, at + i * ROW, j), get(a, at + i * ROW, c), sum);
      }
      set(sums, to, c, sum);
    }
  }

  @Override
  public void eliminate(MemorySegment a, long at, int count, int j, double factor, double[] w, int next, MemorySegment sums, long to) {
    for (int i = 0; i < count; i++) {
      double v = get(a, at + i * ROW, j) * factor;
      set(a, at + i * ROW, j, v);
      for (int c = 0; c < WIDTH; c++) {
        set(a, at + i * ROW, c, Math.fma(v, w[c], get(a, at + i * ROW, c)));
      }
    }
    dots(a, at, count, next, sums, to);
  }

  @Override
  public void project(MemorySegment a, long v, long c, int count, MemorySegment sums, long to) {
    for (int r = 0; r < WIDTH; r++) {
      for (int l = 0; l < WIDTH; l++) {
        double sum = 0;
        for (int i = 0; i < count; i++) {
          sum = Math.fma(get(a, v + i * ROW, r), get(a, c + i * ROW, l), sum);
        }
        set(sums, to, r * WIDTH + l, sum);
      }
    }
  }

  @Override
  public void add(MemorySegment from, long v, double[] w, MemorySegment a, long c, int count) {
    for (int i = 0; i < count; i++) {
      for (int l = 0; l < WIDTH; l++) {
        double sum = get(a, c + i * ROW, l);
        for (int r = 0; r < WIDTH; r++) {
          sum = Math.fma(get(from, v + i * ROW, r), w[r * WIDTH + l], sum);
        }
        set(a, c + i * ROW, l, sum);
      }
    }
  }
}
