package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/** Steps of Adam with the same numbers, one for each of however many parameters, that become one launch: {@code updates.cu}. */
final class AdamBatch {
  /** Elements of a tensor that a thread changes: {@code EACH} of the source. */
  private static final long EACH = 4;
  private static final int GRADIENT = 1;

  private final InPlace.AdamUpdate op;
  private final DType dtype;
  private final TensorTable table = new TensorTable(EACH);
  private final Ranges changed = new Ranges();
  private final Ranges read = new Ranges();

  AdamBatch(InPlace.AdamUpdate op, DType dtype) {
    this.op = op;
    this.dtype = dtype;
  }

  /**
   * Whether a step can be one of this launch: its numbers are the same, and it neither changes nor reads what another changes, for they run in
   * no order.
   */
  boolean takes(InPlace.AdamUpdate other, Tensor[] in) {
    if (!other.equals(op) || in[0].dtype() != dtype) {
      return false;
    }
    long bytes = bytes(in);
    for (int i = 0; i < in.length; i++) {
      long start = in[i].address();
      if (changed.meets(start, start + bytes) || (i != GRADIENT && read.meets(start, start + bytes))) {
        return false;
      }
    }
    return true;
  }

  /** p, g, m and v, which are not empty. */
  void add(Tensor[] in) {
    long bytes = bytes(in);
    for (int i = 0; i < in.length; i++) {
      (i == GRADIENT ? read : changed).add(in[i].address(), in[i].address() + bytes);
    }
    table.add(in[0].elementCount(), in[0].address(), in[1].address(), in[2].address(), in[3].address());
  }

  private long bytes(Tensor[] in) {
    return in[0].elementCount() * dtype.bytes();
  }

  /** @param room where the table is put on the card */
  void launch(Launcher launcher, String source, TableRoom room) {
    launcher.rows(table.blocks(), Launcher.THREADS, source, Launcher.variant("adam", dtype), room.put(table), table.count(), real(op.keep()),
        real(op.gradientDecay()), real(op.beta1()), real(1 - op.beta1()), real(op.beta2()), real(1 - op.beta2()), real(op.stepSize()),
        real(op.rootCorrection()), real(op.eps()));
  }

  private Object real(double value) {
    return Arguments.real(dtype, value);
  }
}
