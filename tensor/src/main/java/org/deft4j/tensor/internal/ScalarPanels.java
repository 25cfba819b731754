package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.internal.PanelRows.Block;

import static org.deft4j.tensor.internal.PanelRows.WIDTH;

/** The plain loops of a QR decomposition. */
final class ScalarPanels implements PanelLoops {
  @Override
  public void load(MemorySegment x, boolean single, long from, long pitch, Block a, int count) {
    for (int i = 0; i < count; i++) {
      long row = from + i * pitch;
      for (int c = 0; c < a.width(); c++) {
        double value = c >= a.columns() ? 0
            : single ? x.get(ValueLayout.JAVA_FLOAT, row + (long) Float.BYTES * c) : x.get(ValueLayout.JAVA_DOUBLE, row + (long) Double.BYTES * c);
        a.set(i, c, value);
      }
    }
  }

  @Override
  public void store(Block a, int count, MemorySegment x, boolean single, long to, long pitch) {
    for (int i = 0; i < count; i++) {
      long row = to + i * pitch;
      for (int c = 0; c < a.columns(); c++) {
        if (single) {
          x.set(ValueLayout.JAVA_FLOAT, row + (long) Float.BYTES * c, (float) a.get(i, c));
        } else {
          x.set(ValueLayout.JAVA_DOUBLE, row + (long) Double.BYTES * c, a.get(i, c));
        }
      }
    }
  }

  @Override
  public void largest(Block a, int count, double[] largest, int at) {
    for (int c = 0; c < a.columns(); c++) {
      double most = 0;
      for (int i = 0; i < count; i++) {
        most = Math.max(most, Math.abs(a.get(i, c)));
      }
      largest[at + c] = most;
    }
  }

  @Override
  public void project(Block v, Block c, int count, double[] z, int at) {
    for (int r = 0; r < v.columns(); r++) {
      for (int l = 0; l < c.columns(); l++) {
        double sum = 0;
        for (int i = 0; i < count; i++) {
          sum = Math.fma(v.get(i, r), c.get(i, l), sum);
        }
        z[at + r * WIDTH + l] = sum;
      }
    }
  }

  @Override
  public void eliminate(Block a, int j, double factor, double[] w, int count, double[] y) {
    for (int i = 0; i < count; i++) {
      double v = a.get(i, j) * factor;
      for (int c = 0; c < a.columns(); c++) {
        a.set(i, c, Math.fma(v, w[c], a.get(i, c)));
      }
    }
    for (int c = 0; c < a.columns(); c++) {
      y[c] = 0;
      for (int i = 0; i < count; i++) {
        y[c] = Math.fma(a.get(i, j + 1), a.get(i, c), y[c]);
      }
    }
    for (int i = 0; i < count; i++) {
      a.set(i, j, a.get(i, j) * factor);
    }
    y[j] *= factor;
  }

  @Override
  public void add(Block v, double[] w, int at, Block c, int count) {
    for (int i = 0; i < count; i++) {
      for (int l = 0; l < c.columns(); l++) {
        double sum = c.get(i, l);
        for (int r = 0; r < v.columns(); r++) {
          sum = Math.fma(v.get(i, r), w[at + r * WIDTH + l], sum);
        }
        c.set(i, l, sum);
      }
    }
  }
}
