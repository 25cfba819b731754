package org.deft4j.deft.data;

import org.deft4j.diffusion.image.Picture;
import org.deft4j.tensor.RandomSource;

/**
 * Edges by Canny's method (IEEE PAMI 8, 1986), white on black and one pixel wide.
 *
 * <p>Of the luminance p, 0 .. 255, blurred with a Gaussian: the gradient by Sobel's masks, not scaled,
 *
 * <pre>
 *       -1 0 1              -1 -2 -1
 *   g = -2 0 2 p       h =   0  0  0 p       m = sqrt(g^2 + h^2)
 *       -1 0 1               1  2  1
 * </pre>
 *
 * <p>with p going on beyond the border. A pixel may be an edge where m exceeds that of its two neighbours along the
 * gradient, whose direction is rounded to a multiple of 45 degrees (of two equal ones the left or upper stays). It is one
 * where m is above {@code high}, or above {@code low} and joined to such a pixel by others (8 neighbours). The thresholds
 * are in the units of OpenCV's function, for which 100 and 200 are usual.
 *
 * @param sigma deviation of the blur in pixels; 0 for none
 */
public record Canny(double sigma, double low, double high) implements Condition {
  private static final byte WHITE = (byte) 255;
  /** tan(22.5 degrees). */
  private static final float TANGENT = (float) (StrictMath.sqrt(2) - 1);

  /** A blur of 1 pixel, thresholds of 100 and 200. */
  public Canny() {
    this(1, 100, 200);
  }

  /** Refuses what is not a number, negative or, of the thresholds, the wrong way round. */
  public Canny {
    if (!(sigma >= 0 && sigma <= 100 && low >= 0 && high >= low)) {
      throw new IllegalArgumentException("canny: sigma " + sigma + ", low " + low + ", high " + high
          + ": 0 <= sigma <= 100 and 0 <= low <= high are needed");
    }
  }

  @Override
  public String role() {
    return "canny";
  }

  @Override
  public Picture of(Picture picture, RandomSource random) {
    return of(picture);
  }

  /** The edges of {@code picture}. */
  public Picture of(Picture picture) {
    int width = picture.width();
    int height = picture.height();
    Gradient gradient = Gradient.of(Planes.blur(Planes.luminance(picture), width, height, sigma), width, height);
    byte[] edges = new byte[3 * width * height];
    boolean[] candidates = gradient.ridges((float) low);
    int[] stack = new int[width * height];
    int waiting = 0;
    for (int i = 0; i < candidates.length; i++) {
      if (candidates[i] && gradient.magnitude[i] > (float) high) {
        candidates[i] = false;
        stack[waiting++] = i;
      }
    }
    // Every candidate goes on the stack once at most: it is taken from the candidates at that moment.
    while (waiting > 0) {
      int at = stack[--waiting];
      edges[3 * at] = WHITE;
      edges[3 * at + 1] = WHITE;
      edges[3 * at + 2] = WHITE;
      int x = at % width;
      int y = at / width;
      for (int row = Math.max(y - 1, 0); row <= Math.min(y + 1, height - 1); row++) {
        for (int column = Math.max(x - 1, 0); column <= Math.min(x + 1, width - 1); column++) {
          int next = row * width + column;
          if (candidates[next]) {
            candidates[next] = false;
            stack[waiting++] = next;
          }
        }
      }
    }
    return new Picture(width, height, edges);
  }

  /** The gradient's length, and the way to the later of the two neighbours along it. */
  private record Gradient(int width, int height, float[] magnitude, byte[] direction) {
    private static final byte RIGHT = 0;
    private static final byte DOWN_RIGHT = 1;
    private static final byte DOWN = 2;
    private static final byte DOWN_LEFT = 3;

    static Gradient of(float[] p, int width, int height) {
      float[] magnitude = new float[p.length];
      byte[] direction = new byte[p.length];
      for (int y = 0; y < height; y++) {
        int above = Math.max(y - 1, 0) * width;
        int here = y * width;
        int below = Math.min(y + 1, height - 1) * width;
        for (int x = 0; x < width; x++) {
          int left = Math.max(x - 1, 0);
          int right = Math.min(x + 1, width - 1);
          float g = (p[above + right] + 2 * p[here + right] + p[below + right])
              - (p[above + left] + 2 * p[here + left] + p[below + left]);
          float h = (p[below + left] + 2 * p[below + x] + p[below + right])
              - (p[above + left] + 2 * p[above + x] + p[above + right]);
          magnitude[here + x] = (float) Math.sqrt(g * g + h * h);
          direction[here + x] = direction(g, h);
        }
      }
      return new Gradient(width, height, magnitude, direction);
    }

    private static byte direction(float g, float h) {
      float along = Math.abs(g);
      float down = Math.abs(h);
      if (down <= TANGENT * along) {
        return RIGHT;
      }
      if (along <= TANGENT * down) {
        return DOWN;
      }
      return g > 0 == h > 0 ? DOWN_RIGHT : DOWN_LEFT;
    }

    /** Whether the length is above {@code low} and the largest along the gradient; beyond the border it is 0. */
    boolean[] ridges(float low) {
      boolean[] ridges = new boolean[magnitude.length];
      for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
          int at = y * width + x;
          float m = magnitude[at];
          if (m > low) {
            int dx = direction[at] == DOWN ? 0 : direction[at] == DOWN_LEFT ? -1 : 1;
            int dy = direction[at] == RIGHT ? 0 : 1;
            ridges[at] = m > at(x - dx, y - dy) && m >= at(x + dx, y + dy);
          }
        }
      }
      return ridges;
    }

    private float at(int x, int y) {
      return x < 0 || y < 0 || x >= width || y >= height ? 0 : magnitude[y * width + x];
    }
  }
}
