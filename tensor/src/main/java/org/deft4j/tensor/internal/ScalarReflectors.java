package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.internal.ColumnMatrix.Block;

import static org.deft4j.tensor.internal.ColumnMatrix.LANES;
import static org.deft4j.tensor.internal.ColumnMatrix.WIDTH;

/** The plain loops of a QR decomposition. */
final class ScalarReflectors implements ReflectorLoops {
  private static double get(MemorySegment memory, long at, int index) {
    return memory.get(ValueLayout.JAVA_DOUBLE, at + (long) Double.BYTES * index);
  }

  private static void set(MemorySegment memory, long at, int index, double value) {
    memory.set(ValueLayout.JAVA_DOUBLE, at + (long) Double.BYTES * index, value);
  }

  @Override
  public void load(MemorySegment x, boolean single, long from, long pitch, Block a, int count) {
    for (int c = 0; c < a.columns(); c++) {
      for (int i = 0; i < count; i++) {
        long at = from + i * pitch;
        set(a.memory(), a.column(c), i, single ? x.get(ValueLayout.JAVA_FLOAT, at + (long) Float.BYTES * c) : get(x, at, c));
      }
    }
  }

  @Override
  public void store(Block a, int count, MemorySegment x, boolean single, long to, long pitch) {
    for (int c = 0; c < a.columns(); c++) {
      for (int i = 0; i < count; i++) {
        double value = get(a.memory(), a.column(c), i);
        if (single) {
          x.set(ValueLayout.JAVA_FLOAT, to + i * pitch + (long) Float.BYTES * c, (float) value);
        } else {
          set(x, to + i * pitch, c, value);
        }
      }
    }
  }

  @Override
  public void largest(Block a, int count, long[] largest) {
    for (int c = 0; c < a.columns(); c++) {
      for (int i = 0; i < count; i++) {
        largest[c] = Math.max(largest[c], Double.doubleToRawLongBits(Math.abs(get(a.memory(), a.column(c), i))));
      }
    }
  }

  @Override
  public void project(Block v, Block c, int count, MemorySegment sums, long to) {
    for (int r = 0; r < v.columns(); r++) {
      for (int l = 0; l < c.columns(); l++) {
        double[] chains = new double[LANES];
        for (int i = 0; i < count; i++) {
          chains[i % LANES] = Math.fma(get(v.memory(), v.column(r), i), get(c.memory(), c.column(l), i), chains[i % LANES]);
        }
        for (int lane = 0; lane < LANES; lane++) {
          set(sums, to, (r * WIDTH + l) * LANES + lane, chains[lane]);
        }
      }
    }
  }

  @Override
  public void scale(Block a, int j, double factor, int count) {
    for (int i = 0; i < count; i++) {
      set(a.memory(), a.column(j), i, get(a.memory(), a.column(j), i) * factor);
    }
  }

  @Override
  public void eliminate(Block a, int j, double factor, double[] w, int count, MemorySegment sums, long to) {
    scale(a, j, factor, count);
    for (int c = 0; c < a.columns(); c++) {
      for (int i = 0; i < count; i++) {
        set(a.memory(), a.column(c), i, Math.fma(get(a.memory(), a.column(j), i), w[c], get(a.memory(), a.column(c), i)));
      }
    }
    project(new Block(a.memory(), a.column(j + 1), a.pitch(), 1), a, count, sums, to);
  }

  @Override
  public void add(Block v, double[] w, Block c, int count) {
    for (int l = 0; l < c.columns(); l++) {
      for (int i = 0; i < count; i++) {
        double sum = get(c.memory(), c.column(l), i);
        for (int r = 0; r < v.columns(); r++) {
          sum = Math.fma(get(v.memory(), v.column(r), i), w[r * WIDTH + l], sum);
        }
        set(c.memory(), c.column(l), i, sum);
      }
    }
  }

  @Override
  public void fold(MemorySegment sums, long at, long step, int chunks, double[] total, int first, int end) {
    for (int n = first; n < end; n++) {
      double[] chains = new double[LANES];
      for (int chunk = 0; chunk < chunks; chunk++) {
        for (int lane = 0; lane < LANES; lane++) {
          chains[lane] += get(sums, at + chunk * step, n * LANES + lane);
        }
      }
      for (int half = LANES / 2; half > 0; half /= 2) {
        for (int lane = 0; lane < half; lane++) {
          chains[lane] += chains[lane + half];
        }
      }
      total[n] = chains[0];
    }
  }
}
