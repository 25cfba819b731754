package org.deft4j.nn;

import java.util.SplittableRandom;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** Made-up values for tests, the same in every run. */
final class RandomWeights {
  private final SplittableRandom random;

  RandomWeights(long seed) {
    random = new SplittableRandom(seed);
  }

  /** F64, uniform in -1 .. 1. */
  Tensor tensor(long... sizes) {
    int count = Math.toIntExact(Shape.of(sizes).elementCount());
    double[] values = new double[count];
    for (int i = 0; i < count; i++) {
      values[i] = random.nextDouble(-1, 1);
    }
    return Tensor.of(values, sizes);
  }

  /** Gives every parameter a value in F64; returns the module. */
  <M extends Module> M fill(M module) {
    for (Parameter parameter : module.parameters().values()) {
      try (Scope _ = Scope.open()) {
        parameter.set(tensor(parameter.shape().toArray()));
      }
    }
    return module;
  }
}
