package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import org.deft4j.tensor.Tensor;

/** Y of {@link VectorWinograd}, {@code A^T M A} and the bias. An instance holds what one thread needs. */
final class WinogradOutputs {
  private static final int WIDTH = RegisterTile.WIDTH;

  private final Winograd form;
  private final WinogradLoops loops;
  private final Product.Bias bias;
  private final Tensor y;
  private final Cut rows;
  /** Tiles in a row of them, and rows of tiles in a picture. */
  private final int across;
  private final int down;
  /** {@code A^T m} of a filter and a panel of tiles, then the phases of its rows, then the rows. */
  private final float[] half;
  private final float[] phases;
  private final float[] out;

  /** {@code bias} may be null. */
  WinogradOutputs(Winograd form, Product.Bias bias, Tensor y, Cut rows) {
    this.form = form;
    this.loops = WinogradLoops.of(form);
    this.bias = bias;
    this.y = y;
    this.rows = rows;
    this.across = form.tiles(y.size(3));
    this.down = form.tiles(y.size(2));
    this.half = new float[form.tile * form.patch * WIDTH];
    this.phases = new float[form.tile * form.tile * WIDTH];
    this.out = new float[form.tile * form.tile * WIDTH];
  }

  /** The outputs of a panel of filters and a panel of tiles, whose points begin at {@code at}, {@link RegisterTile#WIDE} x WIDTH floats each. */
  void store(long row, WinogradPatches tiles, int panel, float[] m, int at) {
    int first = panel * WIDTH;
    int count = Math.min(WIDTH, tiles.tiles - first);
    for (int i = 0; i < rows.lines(row); i++) {
      long channel = rows.start(row) + i;
      // As in the plain form.
      transform(m, at + i * WIDTH, bias == null ? -0f : bias.get(channel));
      for (int j = 0; j < count;) {
        int index = first + j;
        int run = Math.min(count - j, across - index % across);
        storeRun(tiles.from + index / across, index % across, channel, run, form.tile * j);
        j += run;
      }
    }
  }

  /** {@code A^T m A} and the bias. */
  private void transform(float[] m, int at, float added) {
    int vectors = WIDTH / Simd.LANES;
    int row = form.tile * WIDTH;
    for (int j = 0; j < form.patch; j++) {
      loops.outputs(m, at + j * VectorWinograd.TILE, form.patch * VectorWinograd.TILE, half, j * WIDTH, form.patch * WIDTH, vectors);
    }
    for (int i = 0; i < form.tile; i++) {
      loops.outputs(half, i * form.patch * WIDTH, WIDTH, phases, i * row, WIDTH, vectors);
      loops.join(phases, i * row, WIDTH, added, out, i * row, vectors);
    }
  }

  /** The outputs of {@code run} tiles of a row of tiles, from {@code tile} on. */
  private void storeRun(int row, int tile, long channel, int run, int from) {
    long height = y.size(2);
    long width = y.size(3);
    long left = (long) form.tile * tile;
    long top = (long) row % down * form.tile;
    int length = (int) Math.min((long) form.tile * run, width - left);
    long to = y.offset() + ((row / down * y.size(1) + channel) * height + top) * width + left;
    for (int i = 0; i < Math.min(form.tile, height - top); i++) {
      MemorySegment.copy(out, i * form.tile * WIDTH + from, y.memory(), Simd.F32, Float.BYTES * (to + i * width), length);
    }
  }
}
