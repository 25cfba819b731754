package org.deft4j.nn;

import java.util.List;
import org.deft4j.tensor.op.InPlace;

/**
 * Stochastic gradient descent: {@code g += wd * p}; with momentum mu, {@code b = mu b + g} (= g at first) and g becomes b, or
 * {@code g + mu b} for Nesterov's form; {@code p -= lr * g}.
 */
public final class Sgd extends Optimizer {
  private final double momentum;
  private final boolean nesterov;

  /** A learning rate that follows {@code schedule}; {@code nesterov} needs momentum. */
  public Sgd(List<ParameterGroup> groups, double learningRate, Schedule schedule, double momentum, boolean nesterov) {
    super(groups, learningRate, schedule);
    if (!(momentum >= 0) || (nesterov && momentum == 0)) {
      throw new IllegalArgumentException("sgd: momentum must not be negative, and positive for Nesterov's form, found "
          + momentum);
    }
    this.momentum = momentum;
    this.nesterov = nesterov;
  }

  @Override
  List<String> stateNames() {
    return momentum == 0 ? List.of() : List.of("momentum_buffer");
  }

  @Override
  InPlace update(double rate, double weightDecay, long update) {
    return new InPlace.SgdUpdate(rate, momentum, weightDecay, nesterov, update == 1);
  }
}
