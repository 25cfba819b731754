package org.deft4j.deft;

import java.util.Map;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/**
 * Removes what {@code removal} removes and injects through P itself, {@code W' = W - L S^T W + s P R}, so that the signs of a
 * decomposition's columns do not matter.
 *
 * @param removal the decomposition of P that gives M
 */
public record InjectedThroughP(Decomposition removal) implements Decomposition {
  @Override
  public String method() {
    return removal.method() + "+p";
  }

  @Override
  public Truncation truncation() {
    return removal.truncation();
  }

  @Override
  public Decomposition truncated(Truncation truncation) {
    return new InjectedThroughP(removal.truncated(truncation));
  }

  @Override
  public Tensor start(RandomSource random, DType type, long out, long rank) {
    return removal.start(random, type, out, rank);
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    return injecting(removal.factors(p, layer), p);
  }

  @Override
  public Map<String, Factors> factors(Map<String, Tensor> ps) {
    Map<String, Factors> factors = removal.factors(ps);
    factors.replaceAll((layer, removed) -> injecting(removed, ps.get(layer)));
    return factors;
  }

  private static Factors injecting(Factors removed, Tensor p) {
    return new Factors(removed.left(), removed.right(), p);
  }
}
