package org.deft4j.diffusion.image;

import org.deft4j.tensor.RandomSource;

/**
 * A picture made to fit the size a model is trained at, and what SDXL is told about it.
 *
 * @param picture of the wanted size
 * @param originalHeight rows before resizing
 * @param originalWidth columns before resizing
 * @param cropTop rows cut away above, after resizing
 * @param cropLeft columns cut away on the left, after resizing
 */
public record Framed(Picture picture, int originalHeight, int originalWidth, int cropTop, int cropLeft) {
  /**
   * Resized so that it just covers {@code width x height} (the longer side rounded down), mirrored if {@code flip}, and the
   * middle cut out (half pixels rounded to even), as diffusers' training scripts do with torchvision.
   */
  public static Framed center(Picture picture, int width, int height, Filter filter, boolean flip) {
    Picture covering = covering(picture, width, height, filter, flip);
    return cut(picture, covering, (int) Math.rint((covering.height() - height) / 2.0),
        (int) Math.rint((covering.width() - width) / 2.0), width, height);
  }

  /** As {@link #center}, but cut out at a random place: first the row is drawn, then the column. */
  public static Framed random(Picture picture, int width, int height, Filter filter, boolean flip, RandomSource random) {
    Picture covering = covering(picture, width, height, filter, flip);
    int top = (int) random.between(0, covering.height() - height + 1L);
    int left = (int) random.between(0, covering.width() - width + 1L);
    return cut(picture, covering, top, left, width, height);
  }

  private static Framed cut(Picture original, Picture covering, int top, int left, int width, int height) {
    return new Framed(covering.crop(left, top, width, height), original.height(), original.width(), top, left);
  }

  private static Picture covering(Picture picture, int width, int height, Filter filter, boolean flip) {
    if (width < 1 || height < 1) {
      throw new IllegalArgumentException("size: " + width + " x " + height + ": both sides must be at least 1");
    }
    boolean byWidth = (long) picture.width() * height <= (long) picture.height() * width;
    int newWidth = byWidth ? width : Math.toIntExact((long) height * picture.width() / picture.height());
    int newHeight = byWidth ? Math.toIntExact((long) width * picture.height() / picture.width()) : height;
    Picture resized = Resize.resize(picture, newWidth, newHeight, filter);
    return flip ? resized.flipHorizontal() : resized;
  }
}
