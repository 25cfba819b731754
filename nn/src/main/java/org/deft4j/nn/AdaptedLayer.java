package org.deft4j.nn;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/** A layer {@code y = product(x, W) + b} that adapters can correct: {@link Linear} or {@link Conv2d}. */
public abstract sealed class AdaptedLayer extends Module permits Linear, Conv2d {
  private final List<Adapter> adapters = new ArrayList<>();

  AdaptedLayer() {}

  /** The product with the weight, without bias. */
  abstract Tensor product(Tensor x);

  /** The product and the bias in one operation. */
  abstract Tensor productAndBias(Tensor x);

  /** {@code y + b} along the dimension of the output channels. */
  abstract Tensor addBias(Tensor y);

  /** The weight. */
  public abstract Parameter weight();

  /** The bias, or null. */
  public abstract Parameter bias();

  /** Adds {@code adapter} after those already attached. */
  public void attach(Adapter adapter) {
    adapters.add(adapter);
  }

  /** Removes {@code adapter}. */
  public void detach(Adapter adapter) {
    if (!adapters.remove(adapter)) {
      throw new IllegalArgumentException("detach: the adapter is not attached to " + path());
    }
  }

  /** The attached adapters, in the order of attachment. */
  public List<Adapter> adapters() {
    return List.copyOf(adapters);
  }

  /** {@code y0 = product(x, W)}; {@code y0 + sum of delta(x, y0) + b}. */
  public Tensor forward(Tensor x) {
    if (adapters.isEmpty()) {
      return observed(bias() == null ? product(x) : productAndBias(x));
    }
    return observed(Scope.run(() -> {
      Tensor y0 = product(x);
      Tensor y = adapters.getFirst().applied(x, y0);
      for (Adapter adapter : adapters.subList(1, adapters.size())) {
        y = y.add(adapter.delta(x, y0));
      }
      return bias() == null ? y : addBias(y);
    }));
  }
}
