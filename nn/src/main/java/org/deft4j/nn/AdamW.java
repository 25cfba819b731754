package org.deft4j.nn;

import java.util.List;
import org.deft4j.tensor.op.InPlace;

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter 2019):
 *
 * <pre>{@code
 * p *= 1 - lr * wd;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2
 * p -= lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps)
 * }</pre>
 */
public final class AdamW extends Optimizer {
  private final AdamBetas betas;

  /** A learning rate that follows {@code schedule}. */
  public AdamW(List<ParameterGroup> groups, double learningRate, Schedule schedule, AdamBetas betas) {
    super(groups, learningRate, schedule);
    this.betas = betas;
  }

  /** A constant learning rate and the usual 0.9, 0.999 and 1e-8. */
  public AdamW(List<ParameterGroup> groups, double learningRate) {
    this(groups, learningRate, Schedule.constant(), AdamBetas.USUAL);
  }

  @Override
  List<String> stateNames() {
    return AdamBetas.STATE;
  }

  @Override
  InPlace update(double rate, double weightDecay, long update) {
    return new InPlace.AdamUpdate(rate, betas.beta1(), betas.beta2(), betas.eps(), weightDecay, true, update);
  }
}
