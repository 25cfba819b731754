package org.deft4j.tensor.internal;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Tensor;

/**
 * The tiles of outputs of {@link VectorWinograd}: row by row and picture by picture, in panels of {@link RegisterTile#WIDTH}.
 *
 * @param across tiles in a row of them
 * @param down rows of them in a picture
 * @param count in all pictures
 */
record WinogradTiles(int across, int down, int count) {
  private static final int WIDTH = RegisterTile.WIDTH;

  /** Those of the outputs y [N, O, H, W]. */
  static WinogradTiles of(Winograd form, Tensor y) {
    int across = form.tiles(y.size(3));
    int down = form.tiles(y.size(2));
    return new WinogradTiles(across, down, Math.toIntExact(y.size(0) * down * across));
  }

  int panels() {
    return Math.ceilDiv(count, WIDTH);
  }

  /** Some tiles of a panel that lie side by side, from {@code lane} on: in which picture, row of tiles and place of it the first lies. */
  record Run(int lane, int length, int picture, int row, int tile) {}

  /** The runs of a panel: where a row of tiles ends, the next run begins. */
  List<Run> runs(int panel) {
    List<Run> runs = new ArrayList<>();
    int first = panel * WIDTH;
    int end = Math.min(first + WIDTH, count);
    for (int i = first; i < end;) {
      int length = Math.min(end - i, across - i % across);
      runs.add(new Run(i - first, length, i / across / down, i / across % down, i % across));
      i += length;
    }
    return runs;
  }
}
