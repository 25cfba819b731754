package org.deft4j.deft.data;

import java.util.Arrays;
import java.util.List;
import java.util.function.IntUnaryOperator;
import org.deft4j.diffusion.image.Filter;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Resize;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;

/** A picture damaged in one of the ways that models learn to mend. Values v are 0 .. 255 and stay so: rounded and limited. */
public sealed interface Degradation extends Condition {
  /** One of each kind, strong enough to be seen in a photograph. */
  static List<Degradation> known() {
    return List.of(new GaussianNoise(25), new SaltAndPepper(0.05), new Blur(3), new LowResolution(4), new JpegArtifacts(10),
        new Grayscale(), new LowLight(0.3), new Overexposure(0.3), new LowContrast(0.4), new Pixelation(12), new Posterization(4),
        new InpaintingMask(0.25));
  }

  /** {@code v + deviation n}, n from the normal distribution for each value. */
  record GaussianNoise(double deviation) implements Degradation {
    /** Refuses a deviation that is no positive number. */
    public GaussianNoise {
      require(deviation > 0 && deviation <= 255, "gaussian noise", deviation, "a deviation above 0, at most 255");
    }

    @Override
    public String role() {
      return "gaussian_noise";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      byte[] rgb = picture.rgb().clone();
      float[] noise;
      try (Scope _ = Scope.open()) {
        noise = random.normal(DType.F32, rgb.length).toFloats();
      }
      for (int i = 0; i < rgb.length; i++) {
        rgb[i] = Planes.rounded((rgb[i] & 0xff) + (float) deviation * noise[i]);
      }
      return new Picture(picture.width(), picture.height(), rgb);
    }
  }

  /** Each pixel becomes black or white, half {@code share} each. */
  record SaltAndPepper(double share) implements Degradation {
    /** Refuses a share outside 0 .. 1. */
    public SaltAndPepper {
      require(share > 0 && share <= 1, "salt and pepper", share, "a share above 0, at most 1");
    }

    @Override
    public String role() {
      return "salt_and_pepper";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      byte[] rgb = picture.rgb().clone();
      double[] draws;
      try (Scope _ = Scope.open()) {
        draws = random.uniform(DType.F64, rgb.length / 3).toDoubles();
      }
      for (int i = 0; i < draws.length; i++) {
        if (draws[i] < share) {
          byte value = (byte) (draws[i] < share / 2 ? 0 : 255);
          rgb[3 * i] = value;
          rgb[3 * i + 1] = value;
          rgb[3 * i + 2] = value;
        }
      }
      return new Picture(picture.width(), picture.height(), rgb);
    }
  }

  /** Convolved with a Gaussian of {@code sigma} pixels. */
  record Blur(double sigma) implements Degradation {
    /** Refuses what is not a positive number of pixels. */
    public Blur {
      require(sigma > 0 && sigma <= 100, "blur", sigma, "a sigma above 0, at most 100");
    }

    @Override
    public String role() {
      return "blur";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      int width = picture.width();
      int height = picture.height();
      float[][] planes = new float[3][];
      for (int channel = 0; channel < 3; channel++) {
        planes[channel] = Planes.blur(Planes.channel(picture, channel), width, height, sigma);
      }
      return Planes.picture(width, height, planes[0], planes[1], planes[2]);
    }
  }

  /** Reduced {@code factor} times and enlarged again, both bicubic. */
  record LowResolution(int factor) implements Degradation {
    /** Refuses a factor below 2. */
    public LowResolution {
      require(factor >= 2, "low resolution", factor, "a factor of at least 2");
    }

    @Override
    public String role() {
      return "low_resolution";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      Picture small = Resize.resize(picture, Math.ceilDiv(picture.width(), factor), Math.ceilDiv(picture.height(), factor),
          Filter.BICUBIC);
      return Resize.resize(small, picture.width(), picture.height(), Filter.BICUBIC);
    }
  }

  /** As after saving as JPEG of that quality, 1 to 100: see {@link JpegLoss}. */
  record JpegArtifacts(int quality) implements Degradation {
    /** Refuses a quality outside 1 .. 100. */
    public JpegArtifacts {
      require(quality >= 1 && quality <= 100, "jpeg artifacts", quality, "a quality from 1 to 100");
    }

    @Override
    public String role() {
      return "jpeg_artifacts";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      return new JpegLoss(quality).of(picture);
    }
  }

  /** The luminance alone. */
  record Grayscale() implements Degradation {
    @Override
    public String role() {
      return "grayscale";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      float[] gray = Planes.luminance(picture);
      return Planes.picture(picture.width(), picture.height(), gray, gray, gray);
    }
  }

  /** {@code gain v}. */
  record LowLight(double gain) implements Degradation {
    /** Refuses a gain outside 0 .. 1. */
    public LowLight {
      require(gain > 0 && gain < 1, "low light", gain, "a gain between 0 and 1");
    }

    @Override
    public String role() {
      return "low_light";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      return mapped(picture, v -> Planes.rounded((float) (gain * v)));
    }
  }

  /** {@code 255 - gain (255 - v)}. */
  record Overexposure(double gain) implements Degradation {
    /** Refuses a gain outside 0 .. 1. */
    public Overexposure {
      require(gain > 0 && gain < 1, "overexposure", gain, "a gain between 0 and 1");
    }

    @Override
    public String role() {
      return "overexposure";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      return mapped(picture, v -> Planes.rounded((float) (255 - gain * (255 - v))));
    }
  }

  /** {@code 127.5 + gain (v - 127.5)}. */
  record LowContrast(double gain) implements Degradation {
    /** Refuses a gain outside 0 .. 1. */
    public LowContrast {
      require(gain > 0 && gain < 1, "low contrast", gain, "a gain between 0 and 1");
    }

    @Override
    public String role() {
      return "low_contrast";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      return mapped(picture, v -> Planes.rounded((float) (127.5 + gain * (v - 127.5))));
    }
  }

  /** Each square of {@code side} pixels, from the top left, becomes its mean. */
  record Pixelation(int side) implements Degradation {
    /** Refuses squares of one pixel. */
    public Pixelation {
      require(side >= 2, "pixelation", side, "squares of at least 2 pixels");
    }

    @Override
    public String role() {
      return "pixelation";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      byte[] rgb = picture.rgb().clone();
      for (int top = 0; top < picture.height(); top += side) {
        for (int left = 0; left < picture.width(); left += side) {
          for (int channel = 0; channel < 3; channel++) {
            flatten(rgb, picture, left, top, channel);
          }
        }
      }
      return new Picture(picture.width(), picture.height(), rgb);
    }

    private void flatten(byte[] rgb, Picture picture, int left, int top, int channel) {
      int right = Math.min(left + side, picture.width());
      int bottom = Math.min(top + side, picture.height());
      long sum = 0;
      for (int y = top; y < bottom; y++) {
        for (int x = left; x < right; x++) {
          sum += picture.value(x, y, channel);
        }
      }
      byte mean = Planes.rounded(sum / (float) ((right - left) * (bottom - top)));
      for (int y = top; y < bottom; y++) {
        for (int x = left; x < right; x++) {
          rgb[3 * (y * picture.width() + x) + channel] = mean;
        }
      }
    }
  }

  /** The nearest of {@code levels} values spread evenly over 0 .. 255. */
  record Posterization(int levels) implements Degradation {
    /** Refuses other than 2 to 255 levels. */
    public Posterization {
      require(levels >= 2 && levels <= 255, "posterization", levels, "2 to 255 levels");
    }

    @Override
    public String role() {
      return "posterization";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      float step = 255f / (levels - 1);
      return mapped(picture, v -> Planes.rounded(Math.round(v / step) * step));
    }
  }

  /** Rectangles at random places, their sides 1/8 to 3/8 of the picture's, turned gray (128) until {@code share} is covered. */
  record InpaintingMask(double share) implements Degradation {
    /** Refuses a share outside 0 .. 0.9. */
    public InpaintingMask {
      require(share > 0 && share <= 0.9, "inpainting mask", share, "a share above 0, at most 0.9");
    }

    @Override
    public String role() {
      return "inpainting_mask";
    }

    @Override
    public Picture of(Picture picture, RandomSource random) {
      byte[] rgb = picture.rgb().clone();
      boolean[] covered = new boolean[picture.width() * picture.height()];
      long missing = (long) Math.ceil(share * covered.length);
      while (missing > 0) {
        int width = side(picture.width(), random);
        int height = side(picture.height(), random);
        int left = (int) random.between(0, picture.width() - width + 1L);
        int top = (int) random.between(0, picture.height() - height + 1L);
        for (int y = top; y < top + height; y++) {
          for (int x = left; x < left + width; x++) {
            int at = y * picture.width() + x;
            missing -= covered[at] ? 0 : 1;
            covered[at] = true;
            Arrays.fill(rgb, 3 * at, 3 * at + 3, (byte) 128);
          }
        }
      }
      return new Picture(picture.width(), picture.height(), rgb);
    }

    private static int side(int whole, RandomSource random) {
      return (int) random.between(Math.max(1, whole / 8), Math.max(1, 3 * whole / 8) + 1L);
    }
  }

  private static void require(boolean holds, String what, Number found, String needed) {
    if (!holds) {
      throw new IllegalArgumentException(what + ": " + found + ": " + needed + " is needed");
    }
  }

  /** Each value by itself. */
  private static Picture mapped(Picture picture, IntUnaryOperator map) {
    byte[] table = new byte[256];
    for (int v = 0; v < 256; v++) {
      table[v] = (byte) map.applyAsInt(v);
    }
    byte[] rgb = picture.rgb().clone();
    for (int i = 0; i < rgb.length; i++) {
      rgb[i] = table[rgb[i] & 0xff];
    }
    return new Picture(picture.width(), picture.height(), rgb);
  }
}
