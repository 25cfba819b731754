package org.deft4j.nn;

import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * A gated perceptron (Shazeer 2020, under diffusers' names {@code net.0.proj} and {@code net.2}):
 * {@code [a, g] = x W1^T + b1; y = (a * gelu(g)) W2^T + b2}; x and y [..., D], a and g four times as wide.
 */
public final class GegluFeedForward extends Module {
  private static final int FACTOR = 4;

  private final Linear in;
  private final Linear out;

  /** For a last dimension of size {@code dim}. */
  public GegluFeedForward(long dim) {
    in = child("net.0.proj", new Linear(dim, 2 * FACTOR * dim));
    out = child("net.2", new Linear(FACTOR * dim, dim));
  }

  /** x [..., D], result of the same shape. */
  public Tensor forward(Tensor x) {
    return observed(Scope.run(() -> out.forward(observed("net.0", in.forward(x).geglu()))));
  }
}
