package org.deft4j.nn;

import java.util.List;
import org.deft4j.tensor.Tensor;

/**
 * Tensors that are trained alike.
 *
 * @param name names the group in states that are saved; no two groups of an optimizer share one
 * @param parameters F32 or F64; owned by whoever made them
 * @param lrFactor times the optimizer's learning rate
 * @param weightDecay the strength of the pull towards zero
 */
public record ParameterGroup(String name, List<Tensor> parameters, double lrFactor, double weightDecay) {
  /** Copies the list. */
  public ParameterGroup {
    parameters = List.copyOf(parameters);
    if (!(lrFactor >= 0) || !(weightDecay >= 0)) {
      throw new IllegalArgumentException("parameter group " + name + ": the learning rate's factor and the weight decay must "
          + "not be negative, found " + lrFactor + " and " + weightDecay);
    }
  }
}
