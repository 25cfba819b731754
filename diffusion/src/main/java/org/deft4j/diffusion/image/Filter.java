package org.deft4j.diffusion.image;

/**
 * A resampling filter: weight as a function of the distance from the centre, in pixels of the smaller picture, zero beyond
 * the support. The five that Stable Diffusion tools use, as PIL defines them.
 */
public enum Filter {
  /** The one pixel under the centre. */
  NEAREST(0) {
    @Override
    double weight(double x) {
      throw new IllegalStateException("nearest has no weights");
    }
  },
  /** The mean over a pixel's area. */
  BOX(0.5) {
    @Override
    double weight(double x) {
      return x > -0.5 && x <= 0.5 ? 1 : 0;
    }
  },
  /** {@code 1 - |x|}. */
  BILINEAR(1) {
    @Override
    double weight(double x) {
      double distance = Math.abs(x);
      return distance < 1 ? 1 - distance : 0;
    }
  },
  /** Keys' cubic convolution with a = -1/2. */
  BICUBIC(2) {
    @Override
    double weight(double x) {
      double a = -0.5;
      double d = Math.abs(x);
      if (d < 1) {
        return ((a + 2) * d - (a + 3)) * d * d + 1;
      }
      return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
    }
  },
  /** {@code sinc(x) sinc(x/3)} with {@code sinc(x) = sin(pi x) / (pi x)}. */
  LANCZOS(3) {
    @Override
    double weight(double x) {
      return x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0;
    }
  };

  private final double support;

  Filter(double support) {
    this.support = support;
  }

  /** The distance beyond which the weight is zero. */
  double support() {
    return support;
  }

  abstract double weight(double x);

  private static double sinc(double x) {
    return x == 0 ? 1 : StrictMath.sin(x * Math.PI) / (x * Math.PI);
  }
}
