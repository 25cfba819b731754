package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/** The {@link InPlace} operations that compute: {@code updates.cu}. Steps of Adam that come one after the other are launched together. */
final class CudaUpdates {
  private static final String SOURCE = "updates";
  private static final String NORM = "global_norm";
  /** Elements of a tensor that a thread takes: {@code EACH} of {@code global_norm.cu}. */
  private static final long EACH = 16;

  private final Launcher launcher;
  private final GatheringCard card;
  private final TableRoom room;
  /** Steps that wait for more of their kind, or null; whoever touches them holds the card's lock. */
  private AdamBatch gathered;

  CudaUpdates(Launcher launcher, GatheringCard card) {
    this.launcher = launcher;
    this.card = card;
    this.room = new TableRoom(card);
  }

  /** {@code target = fma(alpha, x, target)}, of any strides. */
  void run(InPlace.AddScaledInto op, Tensor target, Tensor x) {
    Walk walk = Walk.over(target.shape(), target, x);
    int unit = walk.unit(target.dtype(), target, x);
    long count = target.elementCount() / unit;
    launcher.each(count, SOURCE, Launcher.variant("add_scaled", target.dtype()), unit > 1, target, x, count, walk.inUnits(unit),
        real(target, op.alpha()));
  }

  void run(InPlace.ScaleInto op, Tensor target) {
    each("scale", target, target, target.elementCount(), real(target, op.factor()));
  }

  /** The sum of each block's squares, and of these, in float64. */
  void globalNorm(Tensor[] in, Tensor norm) {
    TensorTable table = table(in, 0);
    try (Tensor sums = Tensor.empty(Device.CUDA, DType.F64, Shape.of(table.blocks()))) {
      launcher.rows(table.blocks(), Launcher.THREADS, NORM, Launcher.variant("squares", in[0].dtype()), room.put(table), table.count(), sums);
      launcher.rows(1, Launcher.THREADS, NORM, "root", sums, table.blocks(), norm);
    }
  }

  /** {@code in} is the norm, and what is clipped. */
  void clip(InPlace.ClipInto op, Tensor[] in) {
    TensorTable table = table(in, 1);
    launcher.rows(table.blocks(), Launcher.THREADS, NORM, Launcher.variant("clip", in[1].dtype()), room.put(table), table.count(), in[0],
        op.most());
  }

  private static TensorTable table(Tensor[] in, int first) {
    TensorTable table = new TensorTable(EACH);
    for (int i = first; i < in.length; i++) {
      table.add(in[i].elementCount(), in[i].address());
    }
    return table;
  }

  /** {@code in} is p, g and perhaps the buffer. */
  void run(InPlace.SgdUpdate op, Tensor[] in) {
    Tensor p = in[0];
    Tensor buffer = in.length > 2 ? in[2] : null;
    each("sgd", p, p, in[1], buffer, p.elementCount(), real(p, op.lr()), real(p, op.momentum()), real(p, op.weightDecay()), op.nesterov(),
        op.first());
  }

  /** {@code in} is p, g, m and v. */
  void run(InPlace.AdamUpdate op, Tensor[] in) {
    DType dtype = in[0].dtype();
    if (in[0].elementCount() == 0) {
      return;
    }
    synchronized (card) {
      if (gathered != null && !gathered.takes(op, in)) {
        card.settle();
      }
      if (gathered == null) {
        card.postpone(this::launchGathered);
        gathered = new AdamBatch(op, dtype);
      }
      gathered.add(in);
    }
  }

  private void launchGathered() {
    AdamBatch batch = gathered;
    gathered = null;
    batch.launch(launcher, SOURCE, room);
  }

  private static Object real(Tensor of, double value) {
    return Arguments.real(of.dtype(), value);
  }

  private void each(String kernel, Tensor target, Object... arguments) {
    launcher.each(target.elementCount(), SOURCE, Launcher.variant(kernel, target.dtype()), arguments);
  }
}
