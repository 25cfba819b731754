package org.deft4j.tensor.internal.cuda;

import java.util.Arrays;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/** The {@link InPlace} operations that compute: {@code updates.cu}. Steps of Adam that come one after the other are launched together. */
final class CudaUpdates {
  private static final String SOURCE = "updates";
  private static final String NORM = "global_norm";

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

  /** The sum of each block's squares, and of these, in float64. */
  void globalNorm(Tensor[] in, Tensor norm) {
    List<TensorBatch> batches = TensorBatch.of(Arrays.asList(in));
    long blocks = batches.stream().mapToLong(TensorBatch::blocks).sum();
    try (Tensor sums = Tensor.empty(Device.CUDA, DType.F64, Shape.of(blocks))) {
      long at = sums.address();
      for (TensorBatch batch : batches) {
        launcher.rows(batch.blocks(), Launcher.THREADS, NORM, Launcher.variant("squares", in[0].dtype()), batch, at);
        at += batch.blocks() * Double.BYTES;
      }
      launcher.rows(1, Launcher.THREADS, NORM, "root", sums, blocks, norm);
    }
  }

  void clip(InPlace.ClipInto op, Tensor[] in) {
    for (TensorBatch batch : TensorBatch.of(Arrays.asList(in).subList(1, in.length))) {
      launcher.rows(batch.blocks(), Launcher.THREADS, NORM, Launcher.variant("clip", in[1].dtype()), batch, in[0], op.most());
    }
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
