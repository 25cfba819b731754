package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/** The way of a finished tile of {@link RegisterTile} to where its product goes, and of a partial one back. */
final class Tiles {
  private static final int WIDTH = RegisterTile.WIDTH;

  private Tiles() {}

  /**
   * Copies a tile to the target, or the target to the tile, a run of columns at a time.
   *
   * @param row its first row in the target, of {@code height}
   * @param column its first column in the target, of {@code width}
   * @param c the tile, rows of WIDTH from {@code tileAt} on
   * @param out whether to the target
   */
  static void exchange(Target target, long row, int height, long column, int width, float[] c, int tileAt, boolean out) {
    MemorySegment memory = target.memory();
    for (int j = 0; j < width;) {
      int run = (int) Math.min(width - j, target.run(column + j));
      long at = target.at(row, column + j);
      if (run == WIDTH && target.columnStep() == Float.BYTES) {
        exchangeWhole(memory, at, target.rowStep(), height, c, tileAt, out);
        return;
      }
      for (int i = 0; i < height; i++) {
        exchangeRun(memory, at + i * target.rowStep(), target.columnStep(), run, c, tileAt + i * WIDTH + j, out);
      }
      j += run;
    }
  }

  private static void exchangeRun(MemorySegment memory, long at, long step, int run, float[] c, int inTile, boolean out) {
    int i = 0;
    for (; i + Simd.LANES <= run && step == Float.BYTES; i += Simd.LANES) {
      if (out) {
        Simd.store(FloatVector.fromArray(Simd.FLOATS, c, inTile + i), memory, at + (long) i * Float.BYTES);
      } else {
        Simd.load(memory, at + (long) i * Float.BYTES).intoArray(c, inTile + i);
      }
    }
    for (; i < run; i++) {
      if (out) {
        memory.set(Simd.F32, at + i * step, c[inTile + i]);
      } else {
        c[inTile + i] = memory.get(Simd.F32, at + i * step);
      }
    }
  }

  private static void exchangeWhole(MemorySegment memory, long at, long step, int height, float[] c, int tileAt, boolean out) {
    for (int i = 0; i < height; i++) {
      long inC = at + i * step;
      int inTile = tileAt + i * WIDTH;
      if (out) {
        Simd.store(FloatVector.fromArray(Simd.FLOATS, c, inTile), memory, inC);
        Simd.store(FloatVector.fromArray(Simd.FLOATS, c, inTile + Simd.LANES), memory, inC + Simd.BYTES);
      } else {
        Simd.load(memory, inC).intoArray(c, inTile);
        Simd.load(memory, inC + Simd.BYTES).intoArray(c, inTile + Simd.LANES);
      }
    }
  }
}
