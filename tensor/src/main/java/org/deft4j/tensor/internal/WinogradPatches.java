package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;

import static jdk.incubator.vector.FloatVector.fromArray;
import static org.deft4j.tensor.internal.Buffer.START;

/**
 * V of {@link VectorWinograd}, {@code B^T d B}: some panels of tiles, and of these some channels, all of one point after another; as the panels of
 * columns that {@link RegisterTile} reads. An instance holds what one thread needs. It goes along the channels of a panel, so that each point is
 * written in the order in which it lies in memory. From the picture a number goes
 *
 * <pre>
 *   window    the rows that the panel sees, with the zeros around them
 *   lines     row i of each patch: m columns of all, side by side, then the m columns after these, of which two are wanted
 *   patches   number by number, those of all tiles side by side: d
 * </pre>
 *
 * <p>one after the other for all rows, since a vector that is read across two others waits until these have reached the cache.
 */
final class WinogradPatches implements AutoCloseable {
  private static final int LANES = Simd.LANES;
  private static final int WIDTH = RegisterTile.WIDTH;

  private final Winograd form;
  private final WinogradLoops loops;
  private final Tensor x;
  private final int height;
  private final int width;
  private final int top;
  private final int left;
  private final WinogradTiles tiles;
  private final Buffer points;
  final float[] v;
  /** The panels from this one on, and {@code count} channels from {@code begin} on. */
  private int from;
  private int begin;
  private int count;
  /** Floats from point to point. */
  private int step;

  /** Floats of row i of all patches. */
  private final int length;
  /** Floats of a line, with room for what vectors write beyond. */
  private final int line;
  /** Floats of a row of the window, with room for what vectors write beyond. */
  private final int pitch;
  private final List<Row> rows = new ArrayList<>();
  private final List<Part> parts = new ArrayList<>();
  private final float[] window;
  private final float[] lines;
  private final float[] patches;
  /** {@code B^T d}. */
  private final float[] half;

  /** A row of the window that is in the picture: where it lies in the first plane of x, where it goes, and how many columns. */
  private record Row(long from, int to, int columns) {}

  /** A part of the lines, the rows of a run of tiles: where they begin in the window, where they go, and how many columns. */
  private record Part(int from, int to, int columns) {}

  /**
   * Room for so many panels and channels.
   *
   * @param top rows from the first row of x up to the first row of the first tile's patch
   * @param left columns
   */
  WinogradPatches(Winograd form, Tensor x, long top, long left, WinogradTiles tiles, long panels, long channels) {
    this.form = form;
    this.loops = WinogradLoops.of(form);
    this.x = x;
    this.height = Math.toIntExact(x.size(2));
    this.width = Math.toIntExact(x.size(3));
    this.top = (int) top;
    this.left = (int) left;
    this.tiles = tiles;
    this.points = Buffer.of(START + form.points * (panels * channels * WIDTH + VectorWinograd.APART));
    this.v = points.floats;
    this.length = 2 * form.tile * WIDTH;
    this.line = form.tile * WIDTH + LANES;
    this.pitch = form.tile * Math.min(tiles.across(), WIDTH) + Winograd.TAPS - 1 + LANES;
    int mostRuns = Math.ceilDiv(WIDTH, tiles.across()) + 1;
    this.window = new float[mostRuns * form.patch * pitch];
    this.lines = new float[2 * form.patch * line];
    this.patches = new float[form.patch * length];
    this.half = new float[form.patch * length];
  }

  @Override
  public void close() {
    points.close();
  }

  /** Where a channel of a panel of a point is. */
  int at(int point, int panel, int channel) {
    return START + point * step + ((panel - from) * count + channel) * WIDTH;
  }

  /** Transforms the panels {@code first .. end}, {@code some} channels from {@code channel} on. */
  void transform(int first, int end, int channel, int some) {
    from = first;
    begin = channel;
    count = some;
    step = (end - first) * count * WIDTH + VectorWinograd.APART;
    for (int panel = first; panel < end; panel++) {
      open(panel);
      for (int c = 0; c < count; c++) {
        transform(panel, c);
      }
    }
  }

  /** Opens the window on what a panel sees. Where a row of tiles is followed by the next, that one has two rows of the window in common with it. */
  private void open(int panel) {
    rows.clear();
    parts.clear();
    Arrays.fill(window, 0f);
    WinogradTiles.Run above = null;
    int seen = 0;
    for (WinogradTiles.Run run : tiles.runs(panel)) {
      int known = above != null && above.tile() == 0 && run.row() > 0 ? Winograd.TAPS - 1 : 0;
      seen -= known;
      parts.add(new Part(seen * pitch, form.tile * run.lane(), form.tile * run.length()));
      int column = form.tile * run.tile() - left;
      int first = Math.max(0, column);
      int columns = Math.min(width, column + pitch - LANES) - first;
      for (int i = known; i < form.patch; i++) {
        long row = (long) form.tile * run.row() - top + i;
        if (row >= 0 && row < height && columns > 0) {
          long start = x.offset() + (run.picture() * x.size(1) * height + row) * width + first;
          rows.add(new Row(start, (seen + i) * pitch + first - column, columns));
        }
      }
      seen += form.patch;
      above = run;
    }
  }

  /** {@code B^T d B} of one channel. */
  private void transform(int panel, int channel) {
    long plane = (long) (begin + channel) * height * width;
    for (Row row : rows) {
      copy(Float.BYTES * (row.from + plane), row.columns, row.to);
    }
    for (Part part : parts) {
      deal(part);
    }
    for (int i = 0; i < WIDTH; i += LANES) {
      loops.split(lines, form.tile * i, line, patches, i, WIDTH, length / 2, 2 * form.patch);
    }
    loops.patch(patches, 0, length, LANES, half, 0, length, LANES, form.patch * WIDTH / LANES);
    for (int i = 0; i < WIDTH; i += LANES) {
      loops.patch(half, i, WIDTH, length, v, at(0, panel, channel) + i, step, form.patch * step, form.patch);
    }
  }

  /** A row of the picture: whole vectors and, after it, zeros, unless memory ends before. */
  private void copy(long from, int columns, int to) {
    MemorySegment memory = x.memory();
    if (from + (long) Float.BYTES * (columns + LANES - 1) > memory.byteSize()) {
      for (int i = 0; i < columns; i++) {
        window[to + i] = memory.get(Simd.F32, from + (long) Float.BYTES * i);
      }
      return;
    }
    for (int i = 0; i < columns; i += LANES) {
      Simd.load(memory, from + (long) Float.BYTES * i).intoArray(window, to + i);
    }
    FloatVector.zero(Simd.FLOATS).intoArray(window, to + columns);
  }

  /** What is written beyond a part is overwritten by the next one. */
  private void deal(Part part) {
    for (int i = 0; i < form.patch; i++) {
      int at = part.from + i * pitch;
      int to = 2 * i * line + part.to;
      for (int j = 0; j < part.columns; j += LANES) {
        fromArray(Simd.FLOATS, window, at + j).intoArray(lines, to + j);
        fromArray(Simd.FLOATS, window, at + form.tile + j).intoArray(lines, to + line + j);
      }
    }
  }
}
