package org.deft4j.nn;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/**
 * Averages of parameters over the steps of a training, {@code a = d a + (1 - d) p}, which often sample better than the
 * parameters themselves. Early on the decay d is {@code (1 + n) / (10 + n)} after n updates, so that the first, poor
 * parameters are soon forgotten, and never more than {@code decay}.
 */
public final class ExponentialMovingAverage implements AutoCloseable {
  private final List<Tensor> parameters;
  private final List<Tensor> averages = new ArrayList<>();
  private final double decay;
  private long updates;

  /** Starts from the parameters as they are. */
  public ExponentialMovingAverage(List<Tensor> parameters, double decay) {
    if (!(decay >= 0 && decay < 1)) {
      throw new IllegalArgumentException("moving average: the decay must lie in 0 .. 1, found " + decay);
    }
    this.parameters = List.copyOf(parameters);
    this.decay = decay;
    for (Tensor parameter : parameters) {
      averages.add(Scope.release(parameter.copy()));
    }
  }

  /** Takes the parameters as they are now into the averages. */
  public void update() {
    double d = Math.min(decay, (1.0 + updates) / (10.0 + updates));
    for (int i = 0; i < averages.size(); i++) {
      Dispatch.run(new InPlace.ScaleInto(d), averages.get(i));
      Dispatch.run(new InPlace.AddScaledInto(1 - d), averages.get(i), parameters.get(i));
    }
    updates++;
  }

  /** The averages, in the order of the parameters; owned by this object. */
  public List<Tensor> averages() {
    return List.copyOf(averages);
  }

  /** Puts the averages in the parameters' place, and the parameters in theirs; a second call undoes the first. */
  public void swap() {
    for (int i = 0; i < averages.size(); i++) {
      try (Scope _ = Scope.open()) {
        Tensor parameter = parameters.get(i).copy();
        Dispatch.run(new InPlace.CopyInto(), parameters.get(i), averages.get(i));
        Dispatch.run(new InPlace.CopyInto(), averages.get(i), parameter);
      }
    }
  }

  /** Closes the averages. */
  @Override
  public void close() {
    averages.forEach(Tensor::close);
    averages.clear();
  }
}
