package org.deft4j.tensor.internal;

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

  /** The run of tiles of a panel that begins at a lane; null beyond the last. */
  Run run(int panel, int lane) {
    int index = panel * WIDTH + lane;
    int length = Math.min(Math.min(WIDTH - lane, count - index), across - index % across);
    return length <= 0 ? null : new Run(lane, length, index / across / down, index / across % down, index % across);
  }
}
