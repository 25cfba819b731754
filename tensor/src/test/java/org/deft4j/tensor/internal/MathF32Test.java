package org.deft4j.tensor.internal;

import java.util.function.DoubleUnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The errors that {@link MathF32} states, over all exponents and signs, subnormal numbers included. */
class MathF32Test {
  /** A prime, so that the low bits of the samples vary; 300,000 samples of the whole range of float32. */
  private static final int STEP = 14_323;

  @ParameterizedTest
  @CsvSource({"exp, 1", "log, 1", "tanh, 1.4", "erf, 1", "sigmoid, 2.2", "softplus, 2", "sin, 2", "cos, 2"})
  void errorInUlp(String name, double limit) {
    FloatFunction f = function(name);
    DoubleUnaryOperator exact = exact(name);
    for (long bits = 0; bits < 1L << 32; bits += STEP) {
      check(name, Float.intBitsToFloat((int) bits), f, exact, limit);
    }
    // Where networks live, more densely.
    for (int i = -200_000; i <= 200_000; i++) {
      check(name, i * 1.0003e-4f, f, exact, limit);
    }
  }

  private static void check(String name, float x, FloatFunction f, DoubleUnaryOperator exact, double limit) {
    float y = f.apply(x);
    double wanted = exact.applyAsDouble(x);
    float rounded = (float) wanted;
    if (Float.isNaN(rounded) || Float.isInfinite(rounded) || rounded == 0f) {
      assertEquals(rounded, y, () -> name + "(" + x + ")");
      return;
    }
    double error = Math.abs(y - wanted) / Math.ulp(rounded);
    assertTrue(error <= limit, () -> name + "(" + x + ") = " + y + ", exactly " + wanted + ": " + error + " ulp");
  }

  @Test
  void powersOfTwo() {
    for (float x = -126f; x <= 127f; x += 1.7e-3f) {
      check("exp2", x, MathF32::exp2OrZero, v -> StrictMath.pow(2, v), 1);
    }
    for (int n = -126; n <= 127; n++) {
      assertEquals(Math.scalb(1f, n), MathF32.exp2OrZero(n));
    }
    assertEquals(0f, MathF32.exp2OrZero(-126.001f));
    assertEquals(0f, MathF32.exp2OrZero(Float.NEGATIVE_INFINITY));
    assertTrue(Float.isNaN(MathF32.exp2OrZero(Float.NaN)));
  }

  @Test
  void normalDistribution() {
    for (int i = -80_000; i <= 80_000; i++) {
      float x = i * 1.0003e-4f;
      double wanted = normal(x);
      double error = Math.abs(MathF32.normal(x) - wanted);
      assertTrue(error <= 8e-8 && (x <= -MathF32.TAIL_END || error <= 1.2e-4 * wanted), () -> "normal(" + x + "): " + error);
    }
    assertEquals(0.5f, MathF32.normal(0f));
    assertEquals(0f, MathF32.normal(-6.001f));
    assertEquals(0f, MathF32.normal(Float.NEGATIVE_INFINITY));
    assertEquals(1f, MathF32.normal(Float.POSITIVE_INFINITY));
    assertTrue(Float.isNaN(MathF32.normal(Float.NaN)));
  }

  /** Far below zero {@code 1 + erf} has no digits left: there by Laplace's continued fraction. */
  private static double normal(double x) {
    if (x > -3) {
      return 0.5 * (1 + MathF64.erf(x * Math.sqrt(0.5)));
    }
    double fraction = -x;
    for (int k = 200; k > 0; k--) {
      fraction = -x + k / fraction;
    }
    return StrictMath.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI) / fraction;
  }

  @Test
  void log1pFromZeroToOne() {
    for (float x = 1f; x > 1e-30f; x *= 0.9993f) {
      check("log1p", x, MathF32::log1p, StrictMath::log1p, 1.3);
    }
    assertEquals(0f, MathF32.log1p(0f));
  }

  @Test
  void turnsThatAreLargeFallBackToFloat64() {
    for (float x = 9.9e4f; x < 1e38f; x *= 1.01f) {
      check("sin", x, MathF32::sin, StrictMath::sin, 2);
      check("cos", -x, MathF32::cos, StrictMath::cos, 2);
    }
  }

  @Test
  void zerosKeepTheirSign() {
    for (String name : new String[] {"tanh", "erf", "sin"}) {
      FloatFunction f = function(name);
      assertEquals(Float.floatToRawIntBits(-0f), Float.floatToRawIntBits(f.apply(-0f)), name);
      assertEquals(Float.floatToRawIntBits(0f), Float.floatToRawIntBits(f.apply(0f)), name);
    }
  }

  /** To 20 digits, on both sides of where the series ends. */
  @ParameterizedTest
  @CsvSource({"0.5, 0.52049987781304653768", "1, 0.84270079294971486934", "2, 0.99532226501895273416",
      "2.999, 0.99997776983140016593", "3, 0.99997790950300141456", "4, 0.99999998458274209972"})
  void erfInFloat64(double x, double wanted) {
    assertEquals(wanted, MathF64.erf(x), 2e-15);
    assertEquals(-wanted, MathF64.erf(-x), 2e-15);
  }

  private static FloatFunction function(String name) {
    return switch (name) {
      case "exp" -> MathF32::exp;
      case "log" -> MathF32::log;
      case "tanh" -> MathF32::tanh;
      case "erf" -> MathF32::erf;
      case "sigmoid" -> MathF32::sigmoid;
      case "softplus" -> MathF32::softplus;
      case "sin" -> MathF32::sin;
      default -> MathF32::cos;
    };
  }

  private static DoubleUnaryOperator exact(String name) {
    return switch (name) {
      case "exp" -> StrictMath::exp;
      case "log" -> StrictMath::log;
      case "tanh" -> StrictMath::tanh;
      case "erf" -> MathF64::erf;
      case "sigmoid" -> MathF64::sigmoid;
      case "softplus" -> MathF64::softplus;
      case "sin" -> StrictMath::sin;
      default -> StrictMath::cos;
    };
  }
}
