package org.deft4j.diffusion.omnigen;

import org.deft4j.diffusion.image.Filter;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Resize;

/**
 * Pictures brought to sizes that OmniGen takes, byte for byte as its own code does with PIL. Both ways begin by halving the
 * picture, box-filtered, as long as its smaller side is at least twice the size that is asked for.
 */
public final class InputPictures {
  private static final int GRAIN = PixelSize.GRAIN;
  private static final int MAX_BYTES = Integer.MAX_VALUE - 8;

  private InputPictures() {}

  /**
   * The picture with its larger side at most {@code max}, each side at least 16 and cut to a multiple of 16, the same on both
   * sides or one pixel more at the right and the bottom: OmniGen's {@code crop_arr}. Its shape stays; where one side is many
   * times the other, the larger one may be beyond {@code max} so that the smaller is 16.
   *
   * @throws IllegalArgumentException if {@code max} is below 16
   * @throws ConditionException if the picture is so narrow that one side would be nothing, or it would grow beyond 2 GiB
   */
  public static Picture fit(Picture picture, int max) {
    requireSize(max);
    Picture fitted = halved(picture, max);
    if (Math.max(fitted.width(), fitted.height()) > max) {
      fitted = scaled(fitted, (double) max / Math.max(fitted.width(), fitted.height()));
    }
    if (smaller(fitted) < GRAIN) {
      fitted = scaled(fitted, (double) GRAIN / smaller(fitted));
    }
    int right = fitted.width() % GRAIN;
    int bottom = fitted.height() % GRAIN;
    return fitted.crop(right / 2, bottom / 2, fitted.width() - right, fitted.height() - bottom);
  }

  /**
   * The square of {@code size} pixels a side from the middle of the picture, whose smaller side is scaled to that:
   * {@code center_crop_arr}, which OmniGen has from ADM (Dhariwal and Nichol 2021).
   *
   * @throws IllegalArgumentException if {@code size} is below 16
   * @throws ConditionException if the picture is so narrow that it would grow beyond 2 GiB
   */
  public static Picture centerCrop(Picture picture, int size) {
    requireSize(size);
    Picture halved = halved(picture, size);
    Picture scaled = scaled(halved, (double) size / smaller(halved));
    return scaled.crop((scaled.width() - size) / 2, (scaled.height() - size) / 2, size, size);
  }

  private static void requireSize(int size) {
    if (size < GRAIN) {
      throw new IllegalArgumentException("input pictures: a size of " + size + " pixels: at least " + GRAIN + " is needed");
    }
  }

  private static Picture halved(Picture picture, int size) {
    Picture result = picture;
    while (smaller(result) >= 2L * size) {
      result = Resize.resize(result, result.width() / 2, result.height() / 2, Filter.BOX);
    }
    return result;
  }

  private static Picture scaled(Picture picture, double scale) {
    int width = (int) Math.rint(picture.width() * scale);
    int height = (int) Math.rint(picture.height() * scale);
    if (width == 0 || height == 0 || 3L * width * height > MAX_BYTES) {
      throw new ConditionException("a picture of " + PixelSize.of(picture) + " pixels is too narrow: scaled by " + scale
          + " it would have " + width + " x " + height);
    }
    return Resize.resize(picture, width, height, Filter.BICUBIC);
  }

  private static int smaller(Picture picture) {
    return Math.min(picture.width(), picture.height());
  }
}
