package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * Runs an encoder or a decoder over a large input tile by tile (diffusers' {@code AutoencoderKL.tiled_decode} and {@code
 * tiled_encode}), so that the memory it takes does not grow with the picture. Neighbouring tiles share a quarter of their
 * side. There the result goes over from one to the next in a straight line, first downwards, then to the right:
 *
 * <pre>{@code y[k] = (1 - k / e) above[k] + (k / e) below[k]      k = 0 .. e - 1,   e = side / 4}</pre>
 *
 * The last tile of a row or column is as small as what its start leaves for it. Statistics of a norm and the reach of attention are a
 * tile's, so the result is close to that of one piece, not equal to it.
 *
 * @param inputSide side of a tile of the input
 * @param outputSide side of what it becomes
 */
record VaeTiles(int inputSide, int outputSide) {
  private static final int ROWS = 2;
  private static final int COLUMNS = 3;

  /** Sides that have a quarter. */
  VaeTiles {
    if (inputSide < 4 || inputSide % 4 != 0 || outputSide < 4 || outputSide % 4 != 0) {
      throw new IllegalArgumentException("tiles of " + inputSide + " and " + outputSide + ": multiples of 4 are needed");
    }
  }

  /** {@code coder} of x [N,C,H,W]: in one piece where that is a single tile. */
  Tensor run(Tensor x, UnaryOperator<Tensor> coder) {
    if (x.size(ROWS) <= inputSide && x.size(COLUMNS) <= inputSide) {
      return coder.apply(x);
    }
    return Scope.run(() -> {
      List<Tensor> bands = new ArrayList<>();
      List<Tensor> above = List.of();
      for (long top = 0; top < x.size(ROWS); top += step()) {
        try (Scope scope = Scope.open()) {
          List<Tensor> row = row(x, top, above, coder);
          row.forEach(scope::keep);
          bands.add(scope.keep(band(row)));
          above.forEach(Tensor::close);
          above = row;
        }
      }
      return Tensor.concat(ROWS, bands);
    });
  }

  private int step() {
    return inputSide / 4 * 3;
  }

  private int overlap() {
    return outputSide / 4;
  }

  /** The tiles from {@code top} on, each blended into its neighbours above and to the left. */
  private List<Tensor> row(Tensor x, long top, List<Tensor> above, UnaryOperator<Tensor> coder) {
    List<Tensor> row = new ArrayList<>();
    for (long left = 0; left < x.size(COLUMNS); left += step()) {
      long start = left;
      int column = row.size();
      row.add(Scope.run(() -> {
        Tensor tile = coder.apply(part(part(x, ROWS, top), COLUMNS, start).contiguous());
        Tensor below = above.isEmpty() ? tile : blend(ROWS, above.get(column), tile);
        return column == 0 ? below : blend(COLUMNS, row.getLast(), below);
      }));
    }
    return row;
  }

  private Tensor part(Tensor x, int dim, long start) {
    return x.slice(dim, start, Math.min(x.size(dim), start + inputSide));
  }

  /** {@code next} with its first elements along {@code dim} made from the last of {@code before} and its own. */
  private Tensor blend(int dim, Tensor before, Tensor next) {
    int extent = (int) Math.min(overlap(), Math.min(before.size(dim), next.size(dim)));
    Tensor share = shares(extent, before.device()).unsqueeze(dim == ROWS ? 1 : 0);
    Tensor end = before.slice(dim, before.size(dim) - extent, before.size(dim));
    Tensor start = next.slice(dim, 0, extent);
    Tensor mixed = end.mul(share.affine(-1, 1)).add(start.mul(share));
    return Tensor.concat(dim, mixed, next.slice(dim, extent, next.size(dim)));
  }

  /** {@code k / extent} for each k. */
  private static Tensor shares(int extent, Device device) {
    if (device == Device.META) {
      return Tensor.empty(device, DType.F32, Shape.of(extent));
    }
    float[] shares = new float[extent];
    for (int k = 0; k < extent; k++) {
      shares[k] = (float) k / extent;
    }
    return Tensor.of(shares, extent);
  }

  /** A row of the result: of each tile what the next ones do not go over. */
  private Tensor band(List<Tensor> row) {
    int side = outputSide - overlap();
    return Tensor.concat(COLUMNS, row.stream()
        .map(tile -> tile.slice(ROWS, 0, Math.min(side, tile.size(ROWS))).slice(COLUMNS, 0, Math.min(side, tile.size(COLUMNS))))
        .toList());
  }
}
