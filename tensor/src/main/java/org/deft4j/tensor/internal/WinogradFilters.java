package org.deft4j.tensor.internal;

import static org.deft4j.tensor.internal.Buffer.START;

/**
 * U of {@link VectorWinograd}, {@code G g G^T}: some panels of filters, and of these some channels, all of one point after another; as the panels of rows
 * that {@link RegisterTile} reads.
 */
final class WinogradFilters {
  private static final int LANES = Simd.LANES;
  private static final int TAPS = Winograd.TAPS * Winograd.TAPS;
  /** Channels whose filters are turned at a time. */
  private static final int TURNED = 32;
  /** Forward. */
  private static final ReadAhead STRAIGHT = new ReadAhead();
  /** For the input's gradient. */
  private static final ReadAhead BACKWARD = new ReadAhead();

  private final Winograd form;
  private final WinogradLoops loops;
  private final Panels filters;
  private final boolean turned;
  private final Cut rows;
  /** The panels {@code from .. to}, and {@code count} channels from {@code begin} on. */
  final long from;
  final long to;
  private final int begin;
  private final int count;
  final float[] u;
  /** Floats from point to point. */
  private final int step;

  /**
   * Room for them.
   *
   * @param filters a line for each output channel, which runs along the channels and, in each, the nine taps
   * @param u holds {@link #floats}
   */
  WinogradFilters(Winograd form, Panels filters, boolean turned, Cut rows, long from, long to, int begin, int count, float[] u) {
    this.form = form;
    this.loops = WinogradLoops.of(form);
    this.filters = filters;
    this.turned = turned;
    this.rows = rows;
    this.from = from;
    this.to = to;
    this.begin = begin;
    this.count = count;
    this.u = u;
    this.step = (int) ((rows.before(to) - rows.before(from)) * count) + VectorWinograd.APART;
  }

  /** Floats for so many panels and channels. */
  static long floats(Winograd form, long panels, int count) {
    return START + form.points * (panels * RegisterTile.WIDE_PITCH * count + VectorWinograd.APART);
  }

  /** Where the panel of a point begins. */
  int at(int point, long panel) {
    return START + point * step + (int) (rows.before(panel) - rows.before(from)) * count;
  }

  /** In the order in which the filters lie in memory: filter by filter, or, if turned, channel by channel. */
  void transform() {
    boolean byPanels = filters.stretch() == Integer.MAX_VALUE;
    long turns = Math.ceilDiv(count, TURNED);
    Parallel.forRange(byPanels ? to - from : turns, 1, (first, end) -> {
      try (Buffer taps = Buffer.of(START + (long) TURNED * TAPS * RegisterTile.WIDE_PITCH);
          Buffer room = Buffer.of(Math.max(Panels.ROOM, (long) RegisterTile.WIDTH * TURNED * TAPS))) {
        for (long i = first; i < end; i++) {
          if (byPanels) {
            long panel = from + i;
            STRAIGHT.run(0, turns, (a, b) -> readAhead(panel, panel + 1, a, b), (a, b) -> {
              for (long turn = a; turn < b; turn++) {
                transform(panel, (int) turn * TURNED, taps.floats, room.floats);
              }
            });
          } else {
            long turn = i;
            BACKWARD.run(from, to, (a, b) -> readAhead(a, b, turn, turn + 1), (a, b) -> {
              for (long panel = a; panel < b; panel++) {
                transform(panel, (int) turn * TURNED, taps.floats, room.floats);
              }
            });
          }
        }
      }
    });
  }

  /** Brings the panels {@code first .. end}, of the turns {@code turn .. last} of channels. */
  private void readAhead(long first, long end, long turn, long last) {
    int lines = (int) (Math.min(rows.lines(), rows.start(end)) - rows.start(first));
    long channel = turn * TURNED;
    filters.readAhead(rows.start(first), lines, TAPS * (begin + channel), TAPS * (int) (Math.min(count, last * TURNED) - channel));
  }

  private void transform(long panel, int channel, float[] taps, float[] room) {
    int some = Math.min(TURNED, count - channel);
    int pitch = rows.pitch(panel);
    filters.pack(rows.start(panel), rows.lines(panel), (long) TAPS * (begin + channel), TAPS * some, taps, START, pitch, room);
    int to = at(0, panel) + channel * pitch;
    for (int i = 0; i < pitch; i += LANES) {
      for (int c = 0; c < some; c++) {
        transform(taps, START + c * TAPS * pitch + i, pitch, room, to + c * pitch + i);
      }
    }
  }

  /** {@code G g G^T} of one vector of filters, whose taps are {@code pitch} floats apart. */
  private void transform(float[] taps, int from, int pitch, float[] room, int to) {
    // Turned, the last tap is the first, and so on.
    int tap = turned ? -pitch : pitch;
    int first = turned ? from + (TAPS - 1) * pitch : from;
    for (int j = 0; j < Winograd.TAPS; j++) {
      loops.filter(taps, first + j * tap, Winograd.TAPS * tap, room, START + j * LANES, Winograd.TAPS * LANES);
    }
    for (int i = 0; i < form.patch; i++) {
      loops.filter(room, START + i * Winograd.TAPS * LANES, LANES, u, to + i * form.patch * step, step);
    }
  }
}
