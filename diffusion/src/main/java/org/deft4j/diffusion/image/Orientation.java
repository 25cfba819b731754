package org.deft4j.diffusion.image;

/**
 * How a stored picture is turned into the one to be seen: EXIF tag 0x0112, values 1 .. 8.
 *
 * <p>With (x, y) in the result, each reads the stored pixel at column {@code transposed ? y : x} and row
 * {@code transposed ? x : y}, counted from the right or the bottom where mirrored.
 */
enum Orientation {
  UPRIGHT(false, false, false),
  MIRRORED(false, true, false),
  UPSIDE_DOWN(false, true, true),
  MIRRORED_UPSIDE_DOWN(false, false, true),
  TRANSPOSED(true, false, false),
  TURN_RIGHT(true, false, true),
  TRANSVERSED(true, true, true),
  TURN_LEFT(true, true, false);

  private final boolean transposed;
  private final boolean fromRight;
  private final boolean fromBottom;

  Orientation(boolean transposed, boolean fromRight, boolean fromBottom) {
    this.transposed = transposed;
    this.fromRight = fromRight;
    this.fromBottom = fromBottom;
  }

  /** The orientation of an EXIF value; whatever is not 2 .. 8 means upright. */
  static Orientation ofExif(int value) {
    return value >= 1 && value <= values().length ? values()[value - 1] : UPRIGHT;
  }

  Picture apply(Picture stored) {
    if (this == UPRIGHT) {
      return stored;
    }
    int storedWidth = stored.width();
    int width = transposed ? stored.height() : storedWidth;
    int height = transposed ? storedWidth : stored.height();
    Picture result = Picture.black(width, height);
    byte[] from = stored.rgb();
    byte[] to = result.rgb();
    int stepX = transposed ? (fromBottom ? -storedWidth : storedWidth) : (fromRight ? -1 : 1);
    int stepY = transposed ? (fromRight ? -1 : 1) : (fromBottom ? -storedWidth : storedWidth);
    int start = (fromRight ? storedWidth - 1 : 0) + (fromBottom ? (stored.height() - 1) * storedWidth : 0);
    for (int y = 0, out = 0; y < height; y++) {
      int in = 3 * (start + y * stepY);
      for (int x = 0; x < width; x++, out += 3, in += 3 * stepX) {
        to[out] = from[in];
        to[out + 1] = from[in + 1];
        to[out + 2] = from[in + 2];
      }
    }
    return result;
  }
}
