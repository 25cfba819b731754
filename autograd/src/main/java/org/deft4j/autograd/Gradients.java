package org.deft4j.autograd;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * The gradients by the tensors that a tape watched. Each is contiguous and has memory of its own, so that it may be
 * changed in place (clipped, say); a tensor stored in 16 bits has a gradient in F32.
 */
public final class Gradients {
  private final Set<Long> watched;
  private final Map<Long, Tensor> gradients = new HashMap<>();

  private Gradients(Set<Long> watched) {
    this.watched = watched;
  }

  /** Takes the sums for the watched ids and gives them to the innermost scope. */
  static Gradients collect(Set<Long> watched, GradientSums sums) {
    Gradients result = new Gradients(watched);
    for (long id : watched) {
      Tensor sum = sums.take(id);
      if (sum == null) {
        continue;
      }
      if (sum.isContiguous() && !sum.isShared()) {
        result.gradients.put(id, Scope.adopt(sum));
      } else {
        result.gradients.put(id, sum.copy());
        sum.close();
      }
    }
    return result;
  }

  /** Whether {@code tensor} was watched and the output depends on it. */
  public boolean has(Tensor tensor) {
    return gradients.containsKey(tensor.id());
  }

  /**
   * The gradient by {@code tensor}, of its shape.
   *
   * @throws IllegalArgumentException if there is none
   */
  public Tensor of(Tensor tensor) {
    Tensor gradient = gradients.get(tensor.id());
    if (gradient == null) {
      throw new IllegalArgumentException("gradients: none for " + tensor + ": " + (watched.contains(tensor.id())
          ? "it is watched, but the output does not depend on it" : "it was not watched by this tape"));
    }
    return gradient;
  }
}
