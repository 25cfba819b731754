package org.deft4j.deft.bench;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;

/** Made-up inputs from the standard normal distribution. */
final class Inputs {
  private final RandomSource random = new TorchRandom(0);

  /** F32. */
  Tensor draw(long... sizes) {
    return random.normal(DType.F32, sizes);
  }

  /** Of any floating type. */
  Tensor draw(DType type, long... sizes) {
    return draw(sizes).cast(type);
  }

  /** F32 with the given standard deviation. */
  Tensor draw(double deviation, Shape shape) {
    Tensor tensor = Tensor.empty(Device.CPU, DType.F32, shape);
    random.fillNormal(tensor, 0, deviation);
    return tensor;
  }
}
