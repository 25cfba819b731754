package org.deft4j.nn;

import org.deft4j.tensor.Tensor;

/**
 * A trainable correction of a layer whose weight stays frozen. With {@code y0} the layer's product without bias, the layer
 * gives {@code y0 + sum over adapters of delta(x, y0) + b}.
 */
@FunctionalInterface
public interface Adapter {
  /** What this adapter adds; x is the layer's input, the result has the shape of y0. */
  Tensor delta(Tensor x, Tensor y0);

  /** {@code y0 + delta(x, y0)}, where that can be had in one step, to the same bits. */
  default Tensor applied(Tensor x, Tensor y0) {
    return y0.add(delta(x, y0));
  }
}
