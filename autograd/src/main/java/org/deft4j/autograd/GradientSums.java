package org.deft4j.autograd;

import java.util.HashMap;
import java.util.Map;
import java.util.stream.IntStream;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/**
 * The gradients that are known so far on the way back, by tensor id. A tensor that was used several times gets several
 * contributions; they are added in the order in which they come, that of the steps walked back and, within a step, of its
 * inputs. The sums are handles of this class's own: it closes them.
 */
final class GradientSums implements AutoCloseable {
  private final Map<Long, Tensor> sums = new HashMap<>();

  /**
   * Adds {@code gradient}, which the caller still owns, to that of {@code value}: in place where nobody else sees the sum's
   * memory and no other tape wants to record the addition. The bits are the same.
   */
  void add(Object from, Value value, Tensor gradient) {
    if (gradient.dtype() != value.gradientType()) {
      throw new IllegalStateException(from + ": a rule gave a gradient " + gradient + " for " + value);
    }
    Tensor term = undoBroadcast(gradient, value.shape());
    Tensor sum = sums.get(value.id());
    if (sum == null) {
      sums.put(value.id(), term.share());
    } else if (sum.isShared() || !sum.isContiguous() || !Tape.recording().isEmpty()) {
      sums.put(value.id(), sum.add(term).share());
      sum.close();
    } else {
      Dispatch.run(new InPlace.AddScaledInto(1), sum, term);
    }
  }

  /**
   * The one place where broadcasting is undone. {@code y_ij = f(x_j)} for all i gives {@code dx_j = sum_i dy_ij}: the sum
   * over the dimensions that the input lacked or had with size 1.
   */
  private static Tensor undoBroadcast(Tensor gradient, Shape shape) {
    if (gradient.shape().equals(shape)) {
      return gradient;
    }
    int lead = gradient.rank() - shape.rank();
    int[] stretched = IntStream.range(0, gradient.rank())
        .filter(i -> i < lead || (shape.size(i - lead) == 1 && gradient.size(i) != 1)).toArray();
    Tensor sum = stretched.length == 0 ? gradient : gradient.sumKeep(stretched);
    return sum.reshape(shape.toArray());
  }

  /** Takes out the sum for {@code id}: the caller closes it; null if there is none. */
  Tensor take(long id) {
    return sums.remove(id);
  }

  /** Whether there is a sum for {@code id}. */
  boolean has(long id) {
    return sums.containsKey(id);
  }

  /** Makes the sum for one id that of another, which has none. */
  void move(long from, long to) {
    sums.put(to, sums.remove(from));
  }

  @Override
  public void close() {
    sums.values().forEach(Tensor::close);
    sums.clear();
  }
}
