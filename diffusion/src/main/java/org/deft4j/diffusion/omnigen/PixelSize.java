package org.deft4j.diffusion.omnigen;

import org.deft4j.diffusion.image.Picture;

/**
 * The size of a picture.
 *
 * @param width pixels per row
 * @param height rows
 */
public record PixelSize(int width, int height) {
  /** Pixels per side of the square that is one token: a latent for 8 x 8 pixels, a patch for 2 x 2 latents. */
  public static final int GRAIN = 16;

  /**
   * A size.
   *
   * @throws IllegalArgumentException if a side is below 1
   */
  public PixelSize {
    if (width < 1 || height < 1) {
      throw new IllegalArgumentException("size " + width + " x " + height + ": both sides must be at least 1");
    }
  }

  /** The size of {@code picture}. */
  public static PixelSize of(Picture picture) {
    return new PixelSize(picture.width(), picture.height());
  }

  /**
   * How many tokens such a picture takes: W H / 256.
   *
   * @param what which picture it is, for the error
   * @throws ConditionException if a side is no multiple of 16
   */
  public long tokens(String what) {
    if (width % GRAIN != 0 || height % GRAIN != 0) {
      throw new ConditionException(what + " has " + this + " pixels; OmniGen takes sides in multiples of " + GRAIN);
    }
    return (long) (width / GRAIN) * (height / GRAIN);
  }

  @Override
  public String toString() {
    return width + " x " + height;
  }
}
