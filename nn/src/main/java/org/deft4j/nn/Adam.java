package org.deft4j.nn;

import java.util.List;
import org.deft4j.tensor.op.InPlace;

/**
 * Adam (Kingma and Ba 2015), weight decay added to the gradient:
 *
 * <pre>{@code
 * g += wd * p;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
 * p -= lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 * }</pre>
 */
public final class Adam extends Optimizer {
  private final AdamBetas betas;

  /** A learning rate that follows {@code schedule}. */
  public Adam(List<ParameterGroup> groups, double learningRate, Schedule schedule, AdamBetas betas) {
    super(groups, learningRate, schedule);
    this.betas = betas;
  }

  @Override
  List<String> stateNames() {
    return AdamBetas.STATE;
  }

  @Override
  InPlace update(double rate, double weightDecay, long update) {
    return new InPlace.AdamUpdate(rate, betas.beta1(), betas.beta2(), betas.eps(), weightDecay, false, update);
  }
}
