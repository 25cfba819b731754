package org.deft4j.tensor.op;

import java.util.List;
import org.deft4j.tensor.Shape;

/** Another look at the same memory: no element is read or written. */
public sealed interface View extends Op {
  /** The same elements, in row-major order, in another shape, which strides over the input's memory can express. */
  record Reshape(Shape shape) implements View {}

  /** Dimension {@code i} of the result is dimension {@code dims[i]} of the input. */
  record Permute(List<Integer> dims) implements View {}

  /** Elements {@code start, start + step, ...} below {@code end} of one dimension. */
  record Slice(int dim, long start, long end, long step) implements View {}

  /** Broadcasts to {@code shape}: stride 0 where a size of 1 stretches. */
  record Expand(Shape shape) implements View {}
}
