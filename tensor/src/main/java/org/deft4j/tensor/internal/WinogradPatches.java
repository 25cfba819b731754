package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

import static org.deft4j.tensor.internal.Buffer.START;

/**
 * V of {@link VectorWinograd}, {@code B^T d B}: some rows of tiles, those of all pictures one after another, and of these some channels, all of one
 * point after another; as the panels of columns that {@link RegisterTile} reads.
 */
final class WinogradPatches {
  private static final int LANES = Simd.LANES;
  private static final int WIDTH = RegisterTile.WIDTH;

  private final Winograd form;
  private final WinogradLoops loops;
  private final Tensor x;
  private final long top;
  private final long left;
  /** Tiles in a row of them, and rows of tiles in a picture. */
  private final int across;
  private final int down;
  /** The rows {@code from .. to}, and {@code count} channels from {@code begin} on. */
  final int from;
  private final int to;
  final int begin;
  final int count;
  final float[] v;
  final int tiles;
  final int panels;
  /** Floats from point to point. */
  private final int step;

  /**
   * Room for them.
   *
   * @param y the outputs, which say how many tiles there are
   * @param v holds {@link #floats}
   */
  WinogradPatches(Winograd form, Tensor x, long top, long left, Tensor y, int from, int to, int begin, int count, float[] v) {
    this.form = form;
    this.loops = WinogradLoops.of(form);
    this.x = x;
    this.top = top;
    this.left = left;
    this.across = form.tiles(y.size(3));
    this.down = form.tiles(y.size(2));
    this.from = from;
    this.to = to;
    this.begin = begin;
    this.count = count;
    this.v = v;
    this.tiles = (to - from) * across;
    this.panels = Math.ceilDiv(tiles, WIDTH);
    this.step = panels * count * WIDTH + VectorWinograd.APART;
  }

  /** Floats for so many panels and channels. */
  static long floats(Winograd form, long panels, int count) {
    return START + form.points * (panels * WIDTH * count + VectorWinograd.APART);
  }

  /** Where a channel of a panel of a point is. */
  int at(int point, int panel, int channel) {
    return START + point * step + (panel * count + channel) * WIDTH;
  }

  void transform() {
    Parallel.forRange(panels, Math.max(1, panels / (4L * Threads.count())), (first, end) -> {
      Lines lines = new Lines();
      for (int i = (int) first; i < end; i++) {
        lines.transform(below(i));
      }
    });
  }

  /** The panels in such an order that those of wide pictures are followed by the ones below, which see two of their rows too. */
  private int below(int i) {
    int beside = across / WIDTH;
    return across % WIDTH == 0 ? i % (to - from) * beside + i / (to - from) : i;
  }

  /**
   * What one thread needs to transform patches. It goes along the channels of a panel, so that each point is written in the order in which
   * it lies in memory.
   */
  private final class Lines {
    /** The runs of tiles of a panel that lie in one row of tiles, as many as are in use, and room for more. */
    final List<Run> runs = new ArrayList<>();
    int used;
    /** Where tiles go that would reach beyond their panel. */
    final float[] aside = new float[form.points * WIDTH];

    void transform(int panel) {
      int first = panel * WIDTH;
      int inPanel = Math.min(WIDTH, tiles - first);
      used = 0;
      for (int i = 0; i < inPanel; used++) {
        int index = first + i;
        if (used == runs.size()) {
          runs.add(new Run());
        }
        int run = Math.min(inPanel - i, across - index % across);
        runs.get(used).begin(i, from + index / across, index % across, run);
        i += run;
      }
      for (int c = 0; c < count; c++) {
        for (int i = 0; i < used; i++) {
          // What is written beyond a run is overwritten by the next one.
          runs.get(i).transform(panel, c, aside);
        }
      }
    }
  }

  /** A run of tiles of one row of tiles, and what they see of the picture. */
  private final class Run {
    /** Floats of a phase of a row, with those of the tile that would come after the last. */
    static final int PHASE = WIDTH + LANES;
    /** Floats of a row: all columns that a panel of tiles sees, and what vectors read beyond. */
    final int length = form.tile * PHASE;
    final int height = Math.toIntExact(x.size(2));
    final int width = Math.toIntExact(x.size(3));
    /** A row of the picture with zeros around it. */
    final float[] line = new float[length];
    /** The rows that the tiles see, in phases: d. */
    final float[] patches = new float[form.patch * length];
    /** {@code B^T d}. */
    final float[] half = new float[form.patch * length];

    private int lane;
    private int run;
    private int vectors;
    /** The rows {@code first .. end} of d that are in the picture, and their columns: where they are in x and in a line, and how many. */
    private int first;
    private int end;
    private long start;
    private int indent;
    private int columns;

    /** Prepares for the tiles from {@code tile} on, which are those from {@code lane} on in their panel. */
    void begin(int lane, int row, int tile, int run) {
      this.lane = lane;
      this.run = run;
      this.vectors = Math.ceilDiv(run, LANES);
      Arrays.fill(line, 0f);
      Arrays.fill(patches, 0f);
      int left = form.tile * tile - (int) WinogradPatches.this.left;
      int begin = Math.max(0, left);
      this.indent = begin - left;
      this.columns = Math.min(width, left + form.tile * run + Winograd.TAPS - 1) - begin;
      int top = row % down * form.tile - (int) WinogradPatches.this.top;
      this.first = Math.max(0, -top);
      this.end = columns > 0 ? Math.min(form.patch, height - top) : 0;
      this.start = x.offset() + ((long) row / down * x.size(1) * height + top) * width + begin;
    }

    /** {@code B^T d B} of one channel. */
    void transform(int panel, int channel, float[] aside) {
      long plane = start + (long) (begin + channel) * height * width;
      for (int i = first; i < end; i++) {
        copy(Float.BYTES * (plane + (long) i * width));
        split(i * length);
      }
      for (int phase = 0; phase < form.tile; phase++) {
        // The tile after the last has two numbers.
        int some = phase < Winograd.TAPS - 1 ? run / LANES + 1 : vectors;
        loops.patch(patches, phase * PHASE, phase * PHASE + form.tile * length, length, half, phase * PHASE, length, some);
      }
      int to = at(0, panel, channel) + lane;
      boolean fits = lane + vectors * LANES <= WIDTH;
      for (int i = 0; i < form.patch; i++) {
        if (fits) {
          across(i, v, to + i * form.patch * step, step);
        } else {
          across(i, aside, i * form.patch * WIDTH, WIDTH);
        }
      }
      for (int point = 0; point < form.points && !fits; point++) {
        System.arraycopy(aside, point * WIDTH, v, to + point * step, run);
      }
    }

    /** A row of the picture becomes the line; the last vector is moved back to end with it. */
    private void copy(long from) {
      MemorySegment memory = x.memory();
      if (columns < LANES) {
        for (int i = 0; i < columns; i++) {
          line[indent + i] = memory.get(Simd.F32, from + (long) Float.BYTES * i);
        }
        return;
      }
      for (int i = 0; i < columns; i += LANES) {
        int column = Math.min(i, columns - LANES);
        Simd.load(memory, from + (long) Float.BYTES * column).intoArray(line, indent + column);
      }
    }

    /** Deals the line out to the tiles, and two columns to the one after them. */
    private void split(int to) {
      loops.split(line, 0, patches, to, PHASE, vectors);
      for (int i = 0; i < Winograd.TAPS - 1; i++) {
        patches[to + i * PHASE + run] = line[run * form.tile + i];
      }
    }

    /** A row of {@code B^T d}, times B: the last two numbers of a tile are the first two of the next. */
    private void across(int row, float[] to, int at, int step) {
      loops.patch(half, row * length, row * length + 1, PHASE, to, at, step, vectors);
    }
  }
}
