package org.deft4j.autograd;

import java.util.HashMap;
import java.util.Map;
import java.util.function.UnaryOperator;
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

  /** Adds {@code gradient}, which the caller still owns, to that of {@code value}. */
  void add(Object from, Value value, Tensor gradient) {
    add(from, value, gradient, null);
  }

  /**
   * Adds {@code gradient}, which the caller still owns, to that of {@code value}, or to a {@code part} of it: in place where
   * nobody else sees the sum's memory and no other tape wants to record the addition. The bits are the same. Where inputs of one
   * operation are partly BF16 and partly F32, a rule gives gradients as they fall out, and here they become what they should be.
   */
  void add(Object from, Value value, Tensor gradient, UnaryOperator<Tensor> part) {
    if (gradient.dtype().wide() != value.gradientType().wide()) {
      throw new IllegalStateException(from + ": a rule gave a gradient " + gradient + " for " + value);
    }
    addOfType(value, gradient.cast(value.gradientType()), part);
  }

  private void addOfType(Value value, Tensor gradient, UnaryOperator<Tensor> part) {
    Tensor sum = sums.get(value.id());
    if (sum == null || sum.isShared() || !sum.isContiguous() || !Tape.recording().isEmpty()) {
      Tensor term = part == null ? undoBroadcast(gradient, value.shape()) : among(zeros(gradient, value), part, gradient);
      sums.put(value.id(), sum == null ? term.share() : sum.add(term).share());
      if (sum != null) {
        sum.close();
      }
    } else if (part == null) {
      Dispatch.run(new InPlace.AddScaledInto(1), sum, undoBroadcast(gradient, value.shape()));
    } else {
      Dispatch.run(new InPlace.AddScaledInto(1), part.apply(sum), gradient);
    }
  }

  private static Tensor zeros(Tensor like, Value value) {
    return Backward.filled(like.device(), like.dtype(), value.shape(), 0);
  }

  private static Tensor among(Tensor zeros, UnaryOperator<Tensor> part, Tensor gradient) {
    Dispatch.run(new InPlace.CopyInto(), part.apply(zeros), gradient);
    return zeros;
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
