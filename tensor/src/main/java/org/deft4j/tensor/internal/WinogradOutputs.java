package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;

/** Y of {@link VectorWinograd}, {@code A^T M A} and the bias. An instance holds what one thread needs. */
final class WinogradOutputs {
  private static final int LANES = Simd.LANES;
  private static final int WIDTH = RegisterTile.WIDTH;

  private final Winograd form;
  private final WinogradLoops loops;
  private final Product.Bias bias;
  private final Tensor y;
  private final Cut rows;
  private final WinogradTiles tiles;
  /** {@code A^T m} of a filter and a panel of tiles, then the phases of its rows, then the rows. */
  private final float[] half;
  private final float[] phases;
  private final float[] out;

  /** {@code bias} may be null. */
  WinogradOutputs(Winograd form, Product.Bias bias, Tensor y, Cut rows, WinogradTiles tiles) {
    this.form = form;
    this.loops = WinogradLoops.of(form);
    this.bias = bias;
    this.y = y;
    this.rows = rows;
    this.tiles = tiles;
    this.half = new float[form.tile * form.patch * WIDTH];
    this.phases = new float[form.tile * form.tile * WIDTH];
    this.out = new float[form.tile * form.tile * WIDTH];
  }

  /** The outputs of a panel of filters and a panel of tiles, whose points begin at {@code at}, {@link VectorWinograd#TILE} floats each. */
  void store(long row, int panel, float[] m, int at) {
    List<WinogradTiles.Run> runs = tiles.runs(panel);
    for (int i = 0; i < rows.lines(row); i++) {
      long channel = rows.start(row) + i;
      transform(m, at + i * WIDTH);
      // As in the plain form.
      float added = bias == null ? -0f : bias.get(channel);
      for (WinogradTiles.Run run : runs) {
        store(run, channel, added);
      }
    }
  }

  /** {@code A^T m A}. */
  private void transform(float[] m, int at) {
    int row = form.tile * WIDTH;
    int across = form.patch * WIDTH;
    for (int i = 0; i < WIDTH; i += LANES) {
      loops.outputs(m, at + i, form.patch * VectorWinograd.TILE, VectorWinograd.TILE, half, i, across, WIDTH, form.patch);
      loops.outputs(half, i, WIDTH, across, phases, i, WIDTH, row, form.tile);
      loops.join(phases, i, WIDTH, row, out, form.tile * i, row, form.tile);
    }
  }

  private void store(WinogradTiles.Run run, long channel, float added) {
    long height = y.size(2);
    long width = y.size(3);
    long left = (long) form.tile * run.tile();
    long top = (long) form.tile * run.row();
    int length = (int) Math.min((long) form.tile * run.length(), width - left);
    long to = y.offset() + ((run.picture() * y.size(1) + channel) * height + top) * width + left;
    for (int i = 0; i < Math.min(form.tile, height - top); i++) {
      storeRow(form.tile * (i * WIDTH + run.lane()), length, added, Float.BYTES * (to + i * width));
    }
  }

  private void storeRow(int from, int length, float added, long to) {
    MemorySegment memory = y.memory();
    int i = 0;
    for (; i + LANES <= length; i += LANES) {
      Simd.store(FloatVector.fromArray(Simd.FLOATS, out, from + i).add(added), memory, to + (long) Float.BYTES * i);
    }
    for (; i < length; i++) {
      memory.set(Simd.F32, to + (long) Float.BYTES * i, out[from + i] + added);
    }
  }
}
