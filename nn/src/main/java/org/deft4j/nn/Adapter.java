package org.deft4j.nn;

import org.deft4j.tensor.Tensor;

/**
 * A trainable correction of a layer whose weight stays frozen. With {@code y0} the layer's product without bias, each adapter in turn
 * makes {@code y' = y + delta(x, base)} of what those before it made, y0 at first; {@code base} is y0, so that corrections are
 * summed, or y, where the adapter is {@linkplain #inSequence in sequence}. The bias comes last.
 */
@FunctionalInterface
public interface Adapter {
  /** What this adapter adds; x is the layer's input, {@code base} the product it corrects, whose shape the result has. */
  Tensor delta(Tensor x, Tensor base);

  /** {@code base + delta(x, base)}, where that can be had in one step, to the same bits. */
  default Tensor applied(Tensor x, Tensor base) {
    return base.add(delta(x, base));
  }

  /** Whether it corrects what the adapters before it made, as if that were the layer, instead of the layer's own product. */
  default boolean inSequence() {
    return false;
  }

  /** Whether it takes part; one that does not keeps its place, and the layer answers as if it were not attached. */
  default boolean acts() {
    return true;
  }

  /** What the layer and all its adapters get in place of the input x. */
  default Tensor input(Tensor x) {
    return x;
  }
}
