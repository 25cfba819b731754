package org.deft4j.diffusion;

import java.util.List;
import java.util.function.UnaryOperator;
import org.deft4j.autograd.Tape;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.testing.LeakCheck;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Tiles against the plain form of diffusers' loops, against one piece, and how visible their seams may be. */
@ExtendWith(LeakCheck.class)
class VaeTilesTest {
  /** 8 positions of the input become 16 of the output. */
  private static final VaeTiles TILES = new VaeTiles(8, 16);

  static List<TinyModel> models() {
    return TinyModel.all();
  }

  /** A decoder whose tiles disagree: twice the size, and what it gives depends on the whole tile. */
  private static Tensor doubled(Tensor x) {
    return Scope.run(() -> x.upsampleNearest(2 * x.size(2), 2 * x.size(3)).add(x.mean().mul(3)));
  }

  @ParameterizedTest
  @CsvSource({"9, 8", "8, 9", "12, 20", "14, 15", "16, 6", "31, 17"})
  void theResultIsThatOfThePlainLoops(int height, int width) {
    try (Scope _ = Scope.open()) {
      Tensor x = new TorchRandom(height).normal(DType.F32, 1, 1, height, width);
      double[][] expected = plain(x);
      Tensor actual = TILES.run(x, VaeTilesTest::doubled);
      assertEquals(List.of(1L, 1L, 2L * height, 2L * width), List.of(actual.size(0), actual.size(1), actual.size(2), actual.size(3)));
      double[] values = actual.toDoubles();
      for (int y = 0; y < 2 * height; y++) {
        for (int c = 0; c < 2 * width; c++) {
          assertEquals(expected[y][c], values[y * 2 * width + c], 1e-6, y + ", " + c);
        }
      }
    }
  }

  /** {@code tiled_decode} with {@code blend_v} and {@code blend_h}, element by element, on the arrays of all tiles at once. */
  private static double[][] plain(Tensor x) {
    int height = (int) x.size(2);
    int width = (int) x.size(3);
    int rows = (height + 5) / 6;
    int columns = (width + 5) / 6;
    double[][][][] tiles = new double[rows][columns][][];
    double[][] result = new double[2 * height][2 * width];
    for (int i = 0; i < rows; i++) {
      for (int j = 0; j < columns; j++) {
        double[][] tile = array(doubled(x.slice(2, 6L * i, Math.min(height, 6L * i + 8)).slice(3, 6L * j, Math.min(width, 6L * j + 8))));
        tiles[i][j] = tile;
        double[][] above = i > 0 ? tiles[i - 1][j] : null;
        int down = i > 0 ? Math.min(4, Math.min(above.length, tile.length)) : 0;
        for (int y = 0; y < down; y++) {
          for (int c = 0; c < tile[0].length; c++) {
            tile[y][c] = above[above.length - down + y][c] * (1 - (double) y / down) + tile[y][c] * y / down;
          }
        }
        double[][] before = j > 0 ? tiles[i][j - 1] : null;
        int across = j > 0 ? Math.min(4, Math.min(before[0].length, tile[0].length)) : 0;
        for (int y = 0; y < tile.length; y++) {
          for (int c = 0; c < across; c++) {
            tile[y][c] = before[y][before[0].length - across + c] * (1 - (double) c / across) + tile[y][c] * c / across;
          }
        }
        for (int y = 0; y < Math.min(12, tile.length); y++) {
          System.arraycopy(tile[y], 0, result[12 * i + y], 12 * j, Math.min(12, tile[0].length));
        }
      }
    }
    return result;
  }

  private static double[][] array(Tensor x) {
    double[] values = x.toDoubles();
    double[][] rows = new double[(int) x.size(2)][(int) x.size(3)];
    for (int y = 0; y < rows.length; y++) {
      System.arraycopy(values, y * rows[0].length, rows[y], 0, rows[0].length);
    }
    return rows;
  }

  @Test
  void aCoderThatSeesOnePositionIsExact() {
    try (Scope _ = Scope.open()) {
      Tensor x = new TorchRandom(1).normal(DType.F32, 2, 3, 21, 34);
      UnaryOperator<Tensor> local = t -> t.upsampleNearest(2 * t.size(2), 2 * t.size(3));
      Fixtures.closeTo("tiles", TILES.run(x, local), local.apply(x), 1e-6);
    }
  }

  @Test
  void oneTileIsRunAsItIs() {
    try (Scope _ = Scope.open()) {
      Tensor x = new TorchRandom(1).normal(DType.F32, 1, 1, 8, 8);
      assertTrue(TILES.run(x, t -> t) == x);
      assertThrows(IllegalArgumentException.class, () -> new VaeTiles(6, 16));
    }
  }

  /**
   * Where tiles give 0, 1, 2, ... all over (neighbours differ by 1 across and 4 down) the result goes from one to the next in
   * as many steps as the overlap is long. Blending down before across makes the shares in the corners u squared instead of u:
   * steps across up to twice as steep, and a step down of up to a quarter of the difference across.
   */
  @Test
  void seamsAreRamps() {
    try (Scope _ = Scope.open()) {
      VaeTiles tiles = new VaeTiles(16, 16);
      int[] count = {0};
      double[][] result = array(tiles.run(Tensor.zeros(DType.F32, 1, 1, 40, 40), t -> t.add(count[0]++)));
      assertEquals(16, count[0]);
      for (int y = 0; y + 1 < 40; y++) {
        for (int x = 0; x + 1 < 40; x++) {
          assertTrue(Math.abs(result[y][x + 1] - result[y][x]) <= 2 * 1 / 4.0 + 1e-6, "across at " + y + ", " + x);
          assertTrue(Math.abs(result[y + 1][x] - result[y][x]) <= 4 / 4.0 + 1 / 4.0 + 1e-6, "down at " + y + ", " + x);
        }
      }
    }
  }

  @Test
  void gradientsGoThroughTiles() {
    try (Scope _ = Scope.open()) {
      Tensor x = new TorchRandom(4).normal(DType.F32, 1, 1, 11, 9);
      try (Tape tape = Tape.watch(List.of(x))) {
        Tensor sum = TILES.run(x, t -> t.upsampleNearest(2 * t.size(2), 2 * t.size(3))).sum();
        float[] gradient = tape.gradients(sum).of(x).toFloats();
        for (float value : gradient) {
          assertEquals(4, value, 1e-5);
        }
      }
    }
  }

  @Test
  void memoryIsThatOfATileAndOfTheResult() {
    try (Scope _ = Scope.open()) {
      UnaryOperator<Tensor> hungry = t -> Scope.run(() -> t.repeatInterleave(1, 512).sumKeep(1));
      VaeTiles tiles = new VaeTiles(16, 16);
      long small = peak(() -> tiles.run(Tensor.zeros(DType.F32, 1, 1, 28, 28), hungry));
      long large = peak(() -> tiles.run(Tensor.zeros(DType.F32, 1, 1, 100, 100), hungry));
      assertTrue(large - small < 6 * 4 * 100 * 100, small + " bytes, then " + large);
    }
  }

  private static long peak(Runnable work) {
    try (Scope _ = Scope.open()) {
      MemoryPool.cpu().resetPeak();
      long before = MemoryPool.cpu().liveBytes();
      work.run();
      return MemoryPool.cpu().peakLiveBytes() - before;
    }
  }

  /** The golden model's own parts: above 512 pixels tiles are taken, and neither picture nor latent is far from one piece. */
  @ParameterizedTest
  @MethodSource("models")
  void theAutoencoderTakesTilesAbove512Pixels(TinyModel model) {
    try (Scope _ = Scope.open(); AutoencoderKL vae = model.vae()) {
      long scale = vae.config().downscale();
      long side = 512 / scale;
      Tensor latent = new TorchRandom(2).normal(DType.F32, 1, vae.config().latentChannels(), side, side + 8);
      Tensor picture = vae.decode(latent);
      Tensor whole = vae.decodeOnePiece(latent);
      assertEquals(whole.shape(), picture.shape());
      assertEquals(512 + 8 * scale, picture.size(3));
      Tensor first = vae.decodeOnePiece(latent.slice(3, 0, side).contiguous());
      Fixtures.equal("the first tile up to the overlap", picture.slice(2, 0, 384).slice(3, 0, 384),
          first.slice(2, 0, 384).slice(3, 0, 384));
      assertTrue(difference(picture, whole) > 0 && difference(picture, whole) < 0.1 * deviation(whole), model
          + ": decoded by tiles and in one piece they differ by " + difference(picture, whole));
      Tensor moments = vae.moments(picture);
      assertArrayEquals(new long[] {1, 2L * vae.config().latentChannels(), side, side + 8}, moments.shape().toArray());
      assertTrue(difference(moments, vae.momentsOfOnePiece(picture)) > 0);
    }
  }

  /** Root of the mean square. */
  private static double difference(Tensor a, Tensor b) {
    return a.sub(b).square().mean().sqrt().item();
  }

  private static double deviation(Tensor x) {
    return x.sub(x.mean()).square().mean().sqrt().item();
  }
}
