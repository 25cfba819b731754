package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.nn.Losses;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/**
 * What OmniGen is trained on (rectified flow, Liu et al. 2023): between noise x0 at t = 0 and a picture x1 at t = 1 lies a straight
 * line, {@code x_t = t x1 + (1 - t) x0}, along which the velocity is {@code u = x1 - x0} everywhere.
 */
public final class RectifiedFlow {
  private RectifiedFlow() {}

  /** Times for {@code count} samples, {@code sigmoid(N(0,1))} (logit-normal, Esser et al. 2024); F32 [count]. */
  public static Tensor times(RandomSource random, long count) {
    return random.normal(DType.F32, count).sigmoid();
  }

  /** {@code t x1 + (1 - t) x0}. */
  public static Tensor point(Tensor x1, Tensor x0, float t) {
    return x1.mul(t).add(x0.mul(1 - t));
  }

  /** For each sample the mean of {@code (u - v)^2} over its elements, then their mean, a scalar; v are the predictions. */
  public static Tensor loss(List<Tensor> v, List<Tensor> x1, List<Tensor> x0) {
    List<Tensor> losses = new ArrayList<>();
    for (int i = 0; i < v.size(); i++) {
      losses.add(Losses.mse(v.get(i), x1.get(i).sub(x0.get(i))).reshape(1));
    }
    return Tensor.concat(0, losses).mean();
  }
}
