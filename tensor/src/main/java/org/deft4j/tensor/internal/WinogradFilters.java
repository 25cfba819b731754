package org.deft4j.tensor.internal;

import static org.deft4j.tensor.internal.Buffer.START;

/**
 * U of {@link VectorWinograd}, {@code G g G^T}: a panel of filters, and of these a link of channels, one point after another; as the panels of rows
 * that {@link RegisterTile} reads. An instance holds what one thread needs.
 */
final class WinogradFilters implements AutoCloseable {
  private static final int LANES = Simd.LANES;
  private static final int TAPS = Winograd.TAPS * Winograd.TAPS;
  /** Channels whose filters are turned at a time. */
  private static final int TURNED = 16;
  /** Floats from point to point. */
  private static final int STEP = RegisterTile.WIDE_PITCH * Winograd.LINK + VectorWinograd.APART;
  /** Forward. */
  private static final ReadAhead STRAIGHT = new ReadAhead();
  /** For the input's gradient. */
  private static final ReadAhead BACKWARD = new ReadAhead();

  private final Winograd form;
  private final WinogradLoops loops;
  private final Panels filters;
  private final boolean turned;
  private final Cut rows;
  private final Buffer points;
  private final Buffer taps = Buffer.of(START + (long) TURNED * TAPS * RegisterTile.WIDE_PITCH);
  /** For packing, and then for {@code G g}. */
  private final Buffer room = Buffer.of(START + Math.max(Panels.ROOM, (long) RegisterTile.WIDTH * TURNED * TAPS));
  final float[] u;

  /** @param filters a line for each output channel, which runs along the channels and, in each, the nine taps */
  WinogradFilters(Winograd form, Panels filters, boolean turned, Cut rows) {
    this.form = form;
    this.loops = WinogradLoops.of(form);
    this.filters = filters;
    this.turned = turned;
    this.rows = rows;
    this.points = Buffer.of(START + (long) form.points * STEP);
    this.u = points.floats;
  }

  @Override
  public void close() {
    points.close();
    taps.close();
    room.close();
  }

  /** Where the filters of a point begin. */
  static int at(int point) {
    return START + point * STEP;
  }

  /** Transforms the filters of a panel, {@code count} channels from {@code begin} on. */
  void transform(long panel, int begin, int count) {
    (turned ? BACKWARD : STRAIGHT).run(0, Math.ceilDiv(count, TURNED), (turn, last) -> {
      int channel = (int) turn * TURNED;
      int some = Math.min(count, (int) last * TURNED) - channel;
      filters.readAhead(rows.start(panel), rows.lines(panel), (long) TAPS * (begin + channel), TAPS * some);
    }, (turn, last) -> {
      for (int channel = (int) turn * TURNED; channel < Math.min(count, last * TURNED); channel += TURNED) {
        transformSome(panel, begin, channel, Math.min(TURNED, count - channel));
      }
    });
  }

  private void transformSome(long panel, int begin, int channel, int some) {
    int pitch = rows.pitch(panel);
    filters.pack(rows.start(panel), rows.lines(panel), (long) TAPS * (begin + channel), TAPS * some, taps.floats, START, pitch, room.floats);
    for (int i = 0; i < pitch; i += LANES) {
      transformVectors(START + i, pitch, some, at(0) + channel * pitch + i);
    }
  }

  /** {@code G g G^T} of one vector of filters of each channel; taps are {@code pitch} floats apart, and channels in U. */
  private void transformVectors(int from, int pitch, int channels, int to) {
    // Turned, the last tap is the first, and so on.
    int tap = turned ? -pitch : pitch;
    int first = turned ? from + (TAPS - 1) * pitch : from;
    float[] half = room.floats;
    int row = Winograd.TAPS * LANES;
    int channel = form.patch * row;
    for (int j = 0; j < Winograd.TAPS; j++) {
      loops.filter(taps.floats, first + j * tap, Winograd.TAPS * tap, TAPS * pitch, half, START + j * LANES, row, channel, channels);
    }
    for (int i = 0; i < form.patch; i++) {
      loops.filter(half, START + i * row, LANES, channel, u, to + i * form.patch * STEP, STEP, pitch, channels);
    }
  }
}
