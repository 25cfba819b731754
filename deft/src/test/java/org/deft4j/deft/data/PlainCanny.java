package org.deft4j.deft.data;

import org.deft4j.diffusion.image.Picture;

/** Canny's method in float64, each step as its definition reads: masks applied as such, angles, growth until nothing grows. */
final class PlainCanny {
  private static final double[][] SOBEL = {{-1, 0, 1}, {-2, 0, 2}, {-1, 0, 1}};

  private final int width;
  private final int height;
  private final double[][] across;
  private final double[][] down;

  PlainCanny(Picture picture, double sigma) {
    width = picture.width();
    height = picture.height();
    double[][] gray = new double[height][width];
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        gray[y][x] = 0.299 * picture.value(x, y, 0) + 0.587 * picture.value(x, y, 1) + 0.114 * picture.value(x, y, 2);
      }
    }
    double[][] blurred = sigma == 0 ? gray : correlate(gray, gaussian(sigma));
    across = correlate(blurred, SOBEL);
    double[][] turned = new double[3][3];
    for (int i = 0; i < 9; i++) {
      turned[i % 3][i / 3] = SOBEL[i / 3][i % 3];
    }
    down = correlate(blurred, turned);
  }

  private static double[][] gaussian(double sigma) {
    int radius = (int) Math.floor(4 * sigma + 0.5);
    double[][] mask = new double[2 * radius + 1][2 * radius + 1];
    double sum = 0;
    for (int y = -radius; y <= radius; y++) {
      for (int x = -radius; x <= radius; x++) {
        mask[y + radius][x + radius] = Math.exp(-(x * x + y * y) / (2 * sigma * sigma));
        sum += mask[y + radius][x + radius];
      }
    }
    for (double[] row : mask) {
      for (int x = 0; x < row.length; x++) {
        row[x] /= sum;
      }
    }
    return mask;
  }

  private double[][] correlate(double[][] plane, double[][] mask) {
    int radius = mask.length / 2;
    double[][] result = new double[height][width];
    for (int y = 0; y < height; y++) {
      for (int x = 0; x < width; x++) {
        for (int j = -radius; j <= radius; j++) {
          for (int i = -radius; i <= radius; i++) {
            result[y][x] += mask[j + radius][i + radius] * plane[Math.clamp(y + j, 0, height - 1)][Math.clamp(x + i, 0, width - 1)];
          }
        }
      }
    }
    return result;
  }

  private double length(int x, int y) {
    return x < 0 || y < 0 || x >= width || y >= height ? 0 : Math.hypot(across[y][x], down[y][x]);
  }

  private boolean isRidge(int x, int y) {
    // 0: right, 1: down and right, 2: down, 3: down and left.
    int eighth = Math.floorMod(Math.round(Math.atan2(down[y][x], across[y][x]) / (Math.PI / 4)), 4);
    int dx = new int[] {1, 1, 0, -1}[eighth];
    int dy = eighth == 0 ? 0 : 1;
    return length(x, y) > length(x - dx, y - dy) && length(x, y) >= length(x + dx, y + dy);
  }

  Picture edges(double low, double high) {
    boolean[][] edge = new boolean[height][width];
    boolean grows = true;
    while (grows) {
      grows = false;
      for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
          if (!edge[y][x] && isRidge(x, y) && (length(x, y) > high || (length(x, y) > low && touches(edge, x, y)))) {
            edge[y][x] = true;
            grows = true;
          }
        }
      }
    }
    return Drawn.gray(width, height, (x, y) -> edge[y][x] ? 255 : 0);
  }

  private boolean touches(boolean[][] edge, int x, int y) {
    for (int j = Math.max(0, y - 1); j < Math.min(height, y + 2); j++) {
      for (int i = Math.max(0, x - 1); i < Math.min(width, x + 2); i++) {
        if (edge[j][i]) {
          return true;
        }
      }
    }
    return false;
  }
}
