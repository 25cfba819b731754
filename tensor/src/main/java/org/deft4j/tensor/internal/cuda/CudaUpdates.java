package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/** The {@link InPlace} operations that compute: {@code updates.cu}. Steps of Adam that come one after the other are launched together. */
final class CudaUpdates {
  private static final String SOURCE = "updates";

  private final Launcher launcher;
  private final GatheringCard card;
  /** Steps that wait for more of their kind, or null; whoever touches them holds the card's lock. */
  private AdamBatch gathered;

  CudaUpdates(Launcher launcher, GatheringCard card) {
    this.launcher = launcher;
    this.card = card;
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
    batch.launch(launcher, SOURCE);
  }

  private static Object real(Tensor of, double value) {
    return Arguments.real(of.dtype(), value);
  }

  private void each(String kernel, Tensor target, Object... arguments) {
    launcher.each(target.elementCount(), SOURCE, Launcher.variant(kernel, target.dtype()), arguments);
  }
}
