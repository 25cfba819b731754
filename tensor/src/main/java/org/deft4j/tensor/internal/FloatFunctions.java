package org.deft4j.tensor.internal;

import org.deft4j.tensor.op.Unary;

/** Every {@link Unary} and its derivative in float32: the formulas, rounding by rounding, that all kernels follow. */
final class FloatFunctions {
  /** {@code -log2(e) / 2}. */
  static final float HALF_LOG2_E = -0.7213475f;
  static final float INV_SQRT_2PI = 0.3989423f;
  static final float TWO_OVER_SQRT_PI = 1.1283792f;
  /** {@code sqrt(2/pi)} and 0.044715 times that. */
  static final float TANH_K0 = 0.7978846f;
  static final float TANH_K1 = 0.035677407f;
  static final float QUICK = 1.702f;

  private FloatFunctions() {}

  /** A power that needs no logarithm, as the operation that it is; any other operation as it is. */
  static Unary plain(Unary op) {
    if (op instanceof Unary.Power(var exponent)) {
      if (exponent == 2) {
        return new Unary.Square();
      } else if (exponent == 0.5) {
        return new Unary.Sqrt();
      } else if (exponent == -0.5) {
        return new Unary.Rsqrt();
      } else if (exponent == -1) {
        return new Unary.Reciprocal();
      }
    }
    return op;
  }

  /** {@code f}. */
  static FloatFunction of(Unary op) {
    return switch (plain(op)) {
      case Unary.Neg() -> x -> -x;
      case Unary.Abs() -> Math::abs;
      case Unary.Exp() -> MathF32::exp;
      case Unary.Log() -> MathF32::log;
      case Unary.Sqrt() -> x -> (float) Math.sqrt(x);
      case Unary.Rsqrt() -> x -> 1f / (float) Math.sqrt(x);
      case Unary.Reciprocal() -> x -> 1f / x;
      case Unary.Square() -> x -> x * x;
      case Unary.Sin() -> MathF32::sin;
      case Unary.Cos() -> MathF32::cos;
      case Unary.Tanh() -> MathF32::tanh;
      case Unary.Erf() -> MathF32::erf;
      case Unary.Sigmoid() -> MathF32::sigmoid;
      case Unary.Silu() -> x -> x * MathF32.sigmoid(x);
      case Unary.Gelu() -> FloatFunctions::gelu;
      case Unary.GeluTanh() -> FloatFunctions::geluTanh;
      case Unary.QuickGelu() -> x -> x * MathF32.sigmoid(QUICK * x);
      case Unary.Relu() -> x -> Math.max(x, 0f);
      case Unary.LeakyRelu(var slope) -> leakyRelu((float) slope);
      case Unary.Softplus() -> MathF32::softplus;
      case Unary.Sign() -> Math::signum;
      case Unary.Affine(var scale, var shift) -> affine((float) scale, (float) shift);
      case Unary.Clamp(var low, var high) -> clamp((float) low, (float) high);
      case Unary.Power(var exponent) -> power(exponent);
    };
  }

  /** {@code f'}; at a kink one of the two sides, as in torch. */
  static FloatFunction derivative(Unary op) {
    return switch (plain(op)) {
      case Unary.Neg() -> x -> -1f;
      case Unary.Abs() -> Math::signum;
      case Unary.Exp() -> MathF32::exp;
      case Unary.Log() -> x -> 1f / x;
      case Unary.Sqrt() -> x -> 0.5f / (float) Math.sqrt(x);
      case Unary.Rsqrt() -> x -> -0.5f / (x * (float) Math.sqrt(x));
      case Unary.Reciprocal() -> x -> -1f / (x * x);
      case Unary.Square() -> x -> 2f * x;
      case Unary.Sin() -> MathF32::cos;
      case Unary.Cos() -> x -> -MathF32.sin(x);
      case Unary.Tanh() -> FloatFunctions::tanhSlope;
      case Unary.Erf() -> x -> TWO_OVER_SQRT_PI * MathF32.exp(-(x * x));
      case Unary.Sigmoid() -> FloatFunctions::sigmoidSlope;
      case Unary.Silu() -> x -> swishSlope(x);
      case Unary.Gelu() -> FloatFunctions::geluSlope;
      case Unary.GeluTanh() -> FloatFunctions::geluTanhSlope;
      case Unary.QuickGelu() -> x -> swishSlope(QUICK * x);
      case Unary.Relu() -> x -> x > 0f ? 1f : 0f;
      case Unary.LeakyRelu(var slope) -> leakyReluSlope((float) slope);
      case Unary.Softplus() -> MathF32::sigmoid;
      case Unary.Sign() -> x -> 0f;
      case Unary.Affine(var scale, var shift) -> constant((float) scale);
      case Unary.Clamp(var low, var high) -> inside((float) low, (float) high);
      case Unary.Power(var exponent) -> powerSlope(exponent);
    };
  }

  /** {@code x P(x)}, P the normal distribution. */
  private static float gelu(float x) {
    return x * MathF32.normal(x);
  }

  /** {@code P(x) + x p(x)}, p its density. */
  private static float geluSlope(float x) {
    float density = INV_SQRT_2PI * MathF32.exp2OrZero((x * x) * HALF_LOG2_E);
    return Math.fma(x, density, MathF32.normal(x));
  }

  private static float geluTanh(float x) {
    float half = 0.5f * x;
    return Math.fma(half, MathF32.tanh(x * Math.fma(x * x, TANH_K1, TANH_K0)), half);
  }

  /** {@code (1 + t)/2 + x/2 (1 - t^2) u'} with {@code t = tanh u}. */
  private static float geluTanhSlope(float x) {
    float z = x * x;
    float t = MathF32.tanh(x * Math.fma(z, TANH_K1, TANH_K0));
    float inner = (0.5f * x) * Math.fma(z, 3f * TANH_K1, TANH_K0);
    return Math.fma(inner, Math.fma(-t, t, 1f), Math.fma(0.5f, t, 0.5f));
  }

  private static float tanhSlope(float x) {
    float t = MathF32.tanh(x);
    return Math.fma(-t, t, 1f);
  }

  /** {@code s (1 - s)}, without cancellation. */
  private static float sigmoidSlope(float x) {
    float e = MathF32.exp(-Math.abs(x));
    float q = 1f / (1f + e);
    return (e * q) * q;
  }

  /** {@code s (1 + v (1 - s))} with {@code s = sigmoid v}: the slope of {@code x sigmoid(a x)} at {@code v = a x}. */
  static float swishSlope(float v) {
    float s = MathF32.sigmoid(v);
    return s * Math.fma(v, 1f - s, 1f);
  }

  private static FloatFunction leakyRelu(float slope) {
    return x -> x > 0f ? x : slope * x;
  }

  private static FloatFunction leakyReluSlope(float slope) {
    return x -> x > 0f ? 1f : slope;
  }

  /** Without a shift a plain product, which keeps the sign of a zero. */
  private static FloatFunction affine(float scale, float shift) {
    return shift == 0f ? x -> x * scale : x -> Math.fma(x, scale, shift);
  }

  private static FloatFunction constant(float value) {
    return x -> value;
  }

  private static FloatFunction clamp(float low, float high) {
    return x -> Math.min(Math.max(x, low), high);
  }

  private static FloatFunction inside(float low, float high) {
    return x -> low <= x && x <= high ? 1f : 0f;
  }

  private static FloatFunction power(double exponent) {
    float y = (float) exponent;
    if (y == 0f) {
      return constant(1f);
    } else if (y == 1f) {
      return x -> x;
    } else if (y == 3f) {
      return x -> x * x * x;
    }
    return x -> MathF32.pow(x, y);
  }

  private static FloatFunction powerSlope(double exponent) {
    float y = (float) exponent;
    if (y == 0f) {
      return constant(0f);
    }
    FloatFunction power = of(new Unary.Power(exponent - 1));
    return x -> y * power.apply(x);
  }
}
