package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/** Steps of Adam with the same numbers, one for each of several parameters: {@code struct AdamTensors} of {@code updates.cu}. */
final class AdamBatch implements Struct {
  /** The most that the arguments of a launch hold. */
  static final int MOST = 80;
  /** Elements that a block changes. */
  private static final long PIECE = 4L * Launcher.THREADS;
  private static final int PARTS = 4;
  private static final int GRADIENT = 1;

  private final InPlace.AdamUpdate op;
  private final DType dtype;
  private final List<Step> steps = new ArrayList<>();
  private long blocks;

  /** Of p, g, m and v at these addresses, of {@code count} elements each; {@code first} is the first block to work on it. */
  private record Step(long first, long count, long[] addresses) {}

  AdamBatch(InPlace.AdamUpdate op, DType dtype) {
    this.op = op;
    this.dtype = dtype;
  }

  /**
   * Whether a step can be one of this launch: there is room, its numbers are the same, and it neither changes nor reads what another
   * changes, for they run in no order.
   */
  boolean takes(InPlace.AdamUpdate other, Tensor[] in) {
    if (steps.size() == MOST || !other.equals(op) || in[0].dtype() != dtype) {
      return false;
    }
    for (Step step : steps) {
      if (meets(step, in)) {
        return false;
      }
    }
    return true;
  }

  private boolean meets(Step step, Tensor[] in) {
    long bytes = in[0].elementCount() * dtype.bytes();
    for (int i = 0; i < PARTS; i++) {
      long here = in[i].address();
      for (int j = 0; j < PARTS; j++) {
        boolean read = i == GRADIENT && j == GRADIENT;
        long there = step.addresses[j];
        if (!read && here < there + step.count * dtype.bytes() && there < here + bytes) {
          return true;
        }
      }
    }
    return false;
  }

  void add(Tensor[] in) {
    long[] addresses = new long[PARTS];
    for (int i = 0; i < PARTS; i++) {
      addresses[i] = in[i].address();
    }
    long count = in[0].elementCount();
    steps.add(new Step(blocks, count, addresses));
    blocks += (count + PIECE - 1) / PIECE;
  }

  void launch(Launcher launcher, String source) {
    launcher.rows(blocks, Launcher.THREADS, source, Launcher.variant("adam", dtype), this, real(op.keep()), real(op.gradientDecay()),
        real(op.beta1()), real(1 - op.beta1()), real(op.beta2()), real(1 - op.beta2()), real(op.stepSize()), real(op.rootCorrection()),
        real(op.eps()));
  }

  private Object real(double value) {
    return Arguments.real(dtype, value);
  }

  @Override
  public int bytes() {
    return Long.BYTES + MOST * (2 + PARTS) * Long.BYTES;
  }

  @Override
  public void put(ByteBuffer bytes) {
    int end = bytes.position() + bytes();
    bytes.putLong(steps.size());
    for (Step step : steps) {
      bytes.putLong(step.first).putLong(step.count);
      for (long address : step.addresses) {
        bytes.putLong(address);
      }
    }
    bytes.position(end);
  }
}
