package org.deft4j.nn;

import org.deft4j.tensor.Tensor;

/** Activation functions under the names that model configurations give them. */
public enum Activation {
  /** {@code x * sigmoid(x)}. */
  SILU,
  /** {@code x * Phi(x)}, with the error function. */
  GELU,
  /** {@code x * sigmoid(1.702 x)}. */
  QUICK_GELU,
  /** {@code 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))}. */
  GELU_TANH,
  /** {@code max(x, 0)}. */
  RELU,
  /** The hyperbolic tangent. */
  TANH;

  /** Whether {@link #of} knows {@code name}. */
  public static boolean isKnown(String name) {
    return find(name) != null;
  }

  /** The function that configurations call {@code name}. */
  public static Activation of(String name) {
    Activation activation = find(name);
    if (activation == null) {
      throw new IllegalArgumentException("activation '" + name + "' is unknown; known are silu, swish, gelu, quick_gelu, "
          + "gelu_tanh, gelu_new, gelu_pytorch_tanh, gelu-approximate, relu, tanh");
    }
    return activation;
  }

  private static Activation find(String name) {
    return switch (name) {
      case "silu", "swish" -> SILU;
      case "gelu" -> GELU;
      case "quick_gelu" -> QUICK_GELU;
      case "gelu_tanh", "gelu_new", "gelu_pytorch_tanh", "gelu-approximate" -> GELU_TANH;
      case "relu" -> RELU;
      case "tanh" -> TANH;
      default -> null;
    };
  }

  /** {@code f(x)}, element by element. */
  public Tensor apply(Tensor x) {
    return switch (this) {
      case SILU -> x.silu();
      case GELU -> x.gelu();
      case QUICK_GELU -> x.quickGelu();
      case GELU_TANH -> x.geluTanh();
      case RELU -> x.relu();
      case TANH -> x.tanh();
    };
  }
}
