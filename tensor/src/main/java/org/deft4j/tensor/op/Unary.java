package org.deft4j.tensor.op;

/** Element by element: {@code y_i = f(x_i)}; one input, one output of its shape and type. */
public sealed interface Unary extends Op {
  /** {@code -x}. */
  record Neg() implements Unary {}

  /** {@code |x|}. */
  record Abs() implements Unary {}

  /** {@code e^x}. */
  record Exp() implements Unary {}

  /** The natural logarithm. */
  record Log() implements Unary {}

  /** The square root. */
  record Sqrt() implements Unary {}

  /** {@code 1 / sqrt(x)}. */
  record Rsqrt() implements Unary {}

  /** {@code 1 / x}. */
  record Reciprocal() implements Unary {}

  /** {@code x^2}. */
  record Square() implements Unary {}

  /** {@code sin x}, x in radians. */
  record Sin() implements Unary {}

  /** {@code cos x}, x in radians. */
  record Cos() implements Unary {}

  /** The hyperbolic tangent. */
  record Tanh() implements Unary {}

  /** The error function {@code 2/sqrt(pi) * integral of e^(-t^2) from 0 to x}. */
  record Erf() implements Unary {}

  /** {@code 1 / (1 + e^-x)}. */
  record Sigmoid() implements Unary {}

  /** {@code x * sigmoid(x)}, also called swish. */
  record Silu() implements Unary {}

  /** {@code x/2 * (1 + erf(x / sqrt 2))}: torch's {@code gelu} without approximation. */
  record Gelu() implements Unary {}

  /** {@code x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))}: torch's {@code gelu(approximate="tanh")}. */
  record GeluTanh() implements Unary {}

  /** {@code x * sigmoid(1.702 x)}: the activation of OpenAI's CLIP. */
  record QuickGelu() implements Unary {}

  /** {@code max(x, 0)}. */
  record Relu() implements Unary {}

  /** {@code x} where positive, else {@code slope * x}. */
  record LeakyRelu(double slope) implements Unary {}

  /** {@code log(1 + e^x)}, and {@code x} above 20 as in torch. */
  record Softplus() implements Unary {}

  /** -1, 0 or 1. */
  record Sign() implements Unary {}

  /** {@code scale * x + shift}. */
  record Affine(double scale, double shift) implements Unary {}

  /** {@code min(max(x, low), high)}. */
  record Clamp(double low, double high) implements Unary {}

  /** {@code x^exponent}. */
  record Power(double exponent) implements Unary {}
}
