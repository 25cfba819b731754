package org.deft4j.nn;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/** A layer {@code y = product(x, W) + b} that adapters can correct: {@link Linear} or {@link Conv2d}. */
public abstract sealed class AdaptedLayer extends Module permits Linear, Conv2d {
  private final List<Adapter> adapters = new ArrayList<>();

  AdaptedLayer() {}

  /**
   * The product of the layer's input with another weight in place of its own, without bias: {@code weight} has the shape of the layer's
   * but for the number of outputs n; the result has n output channels.
   */
  public abstract Tensor product(Tensor x, Tensor weight);

  /** A matrix [n, out] times the output channels of y: [..., out] to [..., n], or [N, out, H, W] to [N, n, H, W]. */
  public abstract Tensor mixOutputs(Tensor y, Tensor matrix);

  /** Every output channel of y times its own of {@code factors} [out]. */
  public abstract Tensor scaleOutputs(Tensor y, Tensor factors);

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

  /** Removes {@code adapter}, which gives up its place. */
  public void detach(Adapter adapter) {
    if (!adapters.remove(adapter)) {
      throw new IllegalArgumentException("detach: the adapter is not attached to " + path());
    }
  }

  /** The attached adapters, in the order of attachment. */
  public List<Adapter> adapters() {
    return List.copyOf(adapters);
  }

  /** {@code product(x, W) + b}, corrected by those of the attached {@linkplain Adapter adapters} that {@linkplain Adapter#acts act}. */
  public Tensor forward(Tensor x) {
    List<Adapter> acting = adapters.stream().filter(Adapter::acts).toList();
    if (acting.isEmpty()) {
      return observed(bias() == null ? product(x, weight().value()) : productAndBias(x));
    }
    return observed(Scope.run(() -> {
      Tensor input = x;
      for (Adapter adapter : acting) {
        input = adapter.input(input);
      }
      Tensor product = product(input, weight().value());
      Tensor y = product;
      for (Adapter adapter : acting) {
        y = y == product || adapter.inSequence() ? adapter.applied(input, y) : y.add(adapter.delta(input, product));
      }
      return bias() == null ? y : addBias(y);
    }));
  }
}
