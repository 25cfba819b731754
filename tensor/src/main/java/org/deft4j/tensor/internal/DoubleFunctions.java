package org.deft4j.tensor.internal;

import java.util.function.DoubleUnaryOperator;
import org.deft4j.tensor.op.Unary;

/** Every {@link Unary} and its derivative in float64. */
final class DoubleFunctions {
  private static final double INV_SQRT_2 = Math.sqrt(0.5);
  private static final double INV_SQRT_2PI = 1 / Math.sqrt(2 * Math.PI);
  private static final double TANH_K = Math.sqrt(2 / Math.PI);
  private static final double CUBIC = 0.044715;
  private static final double QUICK = 1.702;

  private DoubleFunctions() {}

  /** {@code f}. */
  static DoubleUnaryOperator of(Unary op) {
    return switch (op) {
      case Unary.Neg() -> x -> -x;
      case Unary.Abs() -> Math::abs;
      case Unary.Exp() -> StrictMath::exp;
      case Unary.Log() -> StrictMath::log;
      case Unary.Sqrt() -> Math::sqrt;
      case Unary.Rsqrt() -> x -> 1 / Math.sqrt(x);
      case Unary.Reciprocal() -> x -> 1 / x;
      case Unary.Square() -> x -> x * x;
      case Unary.Sin() -> StrictMath::sin;
      case Unary.Cos() -> StrictMath::cos;
      case Unary.Tanh() -> StrictMath::tanh;
      case Unary.Erf() -> MathF64::erf;
      case Unary.Sigmoid() -> MathF64::sigmoid;
      case Unary.Silu() -> x -> x * MathF64.sigmoid(x);
      case Unary.Gelu() -> DoubleFunctions::gelu;
      case Unary.GeluTanh() -> x -> 0.5 * x * (1 + StrictMath.tanh(TANH_K * (x + CUBIC * x * x * x)));
      case Unary.QuickGelu() -> x -> x * MathF64.sigmoid(QUICK * x);
      case Unary.Relu() -> x -> Math.max(x, 0);
      case Unary.LeakyRelu(var slope) -> x -> x > 0 ? x : slope * x;
      case Unary.Softplus() -> MathF64::softplus;
      case Unary.Sign() -> Math::signum;
      case Unary.Affine(var scale, var shift) -> shift == 0 ? x -> x * scale : x -> Math.fma(x, scale, shift);
      case Unary.Clamp(var low, var high) -> x -> Math.min(Math.max(x, low), high);
      case Unary.Power(var exponent) -> x -> StrictMath.pow(x, exponent);
    };
  }

  /** {@code f'}; at a kink one of the two sides, as in torch. */
  static DoubleUnaryOperator derivative(Unary op) {
    return switch (op) {
      case Unary.Neg() -> x -> -1;
      case Unary.Abs() -> Math::signum;
      case Unary.Exp() -> StrictMath::exp;
      case Unary.Log() -> x -> 1 / x;
      case Unary.Sqrt() -> x -> 0.5 / Math.sqrt(x);
      case Unary.Rsqrt() -> x -> -0.5 / (x * Math.sqrt(x));
      case Unary.Reciprocal() -> x -> -1 / (x * x);
      case Unary.Square() -> x -> 2 * x;
      case Unary.Sin() -> StrictMath::cos;
      case Unary.Cos() -> x -> -StrictMath.sin(x);
      case Unary.Tanh() -> x -> 1 - StrictMath.tanh(x) * StrictMath.tanh(x);
      case Unary.Erf() -> x -> 2 / Math.sqrt(Math.PI) * StrictMath.exp(-x * x);
      case Unary.Sigmoid() -> x -> MathF64.sigmoid(x) * MathF64.sigmoid(-x);
      case Unary.Silu() -> DoubleFunctions::swishSlope;
      case Unary.Gelu() -> DoubleFunctions::geluSlope;
      case Unary.GeluTanh() -> DoubleFunctions::geluTanhSlope;
      case Unary.QuickGelu() -> x -> swishSlope(QUICK * x);
      case Unary.Relu() -> x -> x > 0 ? 1 : 0;
      case Unary.LeakyRelu(var slope) -> x -> x > 0 ? 1 : slope;
      case Unary.Softplus() -> MathF64::sigmoid;
      case Unary.Sign() -> x -> 0;
      case Unary.Affine(var scale, var shift) -> x -> scale;
      case Unary.Clamp(var low, var high) -> x -> low <= x && x <= high ? 1 : 0;
      case Unary.Power(var exponent) ->
          exponent == 0 ? x -> 0 : x -> exponent * StrictMath.pow(x, exponent - 1);
    };
  }

  static double gelu(double x) {
    return 0.5 * x * (1 + MathF64.erf(x * INV_SQRT_2));
  }

  static double geluSlope(double x) {
    return 0.5 * (1 + MathF64.erf(x * INV_SQRT_2)) + x * INV_SQRT_2PI * StrictMath.exp(-0.5 * x * x);
  }

  private static double geluTanhSlope(double x) {
    double t = StrictMath.tanh(TANH_K * (x + CUBIC * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * TANH_K * (1 + 3 * CUBIC * x * x);
  }

  private static double swishSlope(double v) {
    double s = MathF64.sigmoid(v);
    return s * (1 + v * MathF64.sigmoid(-v));
  }
}
