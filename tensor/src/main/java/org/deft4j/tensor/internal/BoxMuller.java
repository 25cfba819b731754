package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Blocks of 16 uniform numbers to 16 normal ones, by Box and Muller: of the pair {@code u_j, u_{j+8}} the radius is {@code
 * sqrt(-2 log(1 - u_j))}, the angle {@code 2 pi u_{j+8}}, and the results stand where the pair stood.
 *
 * <p>In float32 with the roundings of PyTorch's AVX2 kernel, whose logarithm, sine and cosine are the polynomials of
 * the Cephes library (Moshier): hence these constants, and each {@code fma} or separate rounding where that kernel has it.
 */
public final class BoxMuller {
  private static final int HALF = 8;
  private static final float SQRT_HALF = 0.70710677f;
  private static final float TWO_PI = 6.2831855f;
  private static final float FOUR_OVER_PI = 1.2732395f;

  private BoxMuller() {}

  /** The block of float32 that starts at index {@code start}. */
  public static void floats(MemorySegment memory, long start, float mean, float deviation) {
    for (long i = start; i < start + HALF; i++) {
      float u1 = 1 - memory.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      float u2 = memory.getAtIndex(ValueLayout.JAVA_FLOAT, i + HALF);
      float radius = (float) Math.sqrt(-2f * log(u1));
      float x = TWO_PI * u2;
      int octant = ((int) (x * FOUR_OVER_PI) + 1) & ~1;
      float rest = remainder(x, octant);
      float sine = sine(rest);
      float cosine = cosine(rest);
      boolean swapped = (octant & 2) != 0;
      float y = swapped ? cosine : sine;
      float z = swapped ? sine : cosine;
      y = (octant & 4) != 0 ? -y : y;
      z = ((octant - 2) & 4) == 0 ? -z : z;
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, Math.fma(radius * z, deviation, mean));
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, i + HALF, Math.fma(radius * y, deviation, mean));
    }
  }

  /** The block of float64 that starts at index {@code start}. */
  public static void doubles(MemorySegment memory, long start, double mean, double deviation) {
    for (long i = start; i < start + HALF; i++) {
      double u1 = 1 - memory.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
      double u2 = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, i + HALF);
      double radius = Math.sqrt(-2 * NearestF64.log(u1));
      double theta = 2 * Math.PI * u2;
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, Math.fma(radius * NearestF64.cos(theta), deviation, mean));
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i + HALF, Math.fma(radius * NearestF64.sin(theta), deviation, mean));
    }
  }

  /** The natural logarithm of a positive, normal x. */
  private static float log(float x) {
    int bits = Float.floatToRawIntBits(x);
    float e = (bits >>> 23) - 126;
    float m = Float.intBitsToFloat((bits & 0x007fffff) | 0x3f000000);
    if (m < SQRT_HALF) {
      e -= 1;
      m = (m - 1) + m;
    } else {
      m -= 1;
    }
    float z = m * m;
    float y = 0.070376836f;
    y = Math.fma(y, m, -0.1151461f);
    y = Math.fma(y, m, 0.116769984f);
    y = Math.fma(y, m, -0.12420141f);
    y = Math.fma(y, m, 0.14249323f);
    y = Math.fma(y, m, -0.16668057f);
    y = Math.fma(y, m, 0.20000714f);
    y = Math.fma(y, m, -0.24999994f);
    y = Math.fma(y, m, 0.3333333f);
    y *= m;
    y = Math.fma(y, z, e * -2.1219444e-4f);
    y -= z * 0.5f;
    return Math.fma(e, 0.6933594f, m + y);
  }

  /** {@code x - octant * pi/4}, pi/4 in three parts. */
  private static float remainder(float x, int octant) {
    float j = octant;
    float rest = Math.fma(j, -0.78515625f, x);
    rest = Math.fma(j, -2.4187565e-4f, rest);
    return Math.fma(j, -3.774895e-8f, rest);
  }

  /** The cosine on -pi/4 .. pi/4. */
  private static float cosine(float x) {
    float z = x * x;
    float c = Math.fma(2.4433157e-5f, z, -0.0013887316f);
    c = Math.fma(c, z, 0.041666646f);
    c *= z;
    c = Math.fma(c, z, -(z * 0.5f));
    return c + 1;
  }

  /** The sine on -pi/4 .. pi/4. */
  private static float sine(float x) {
    float z = x * x;
    float s = Math.fma(-1.9515296e-4f, z, 0.008332161f);
    s = Math.fma(s, z, -0.16666655f);
    s *= z;
    return Math.fma(s, x, x);
  }
}
