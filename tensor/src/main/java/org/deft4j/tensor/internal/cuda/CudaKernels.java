package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.Kernels;
import org.deft4j.tensor.internal.Limits;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.Unary;
import org.deft4j.tensor.op.View;

/** What a card computes: for each family of operations, which kernels of the sources are launched, or which products asked for. */
final class CudaKernels implements Kernels {
  private final Card card;
  private final Faults faults;
  private final CudaElementwise elementwise;
  private final CudaLayout layout;
  private final CudaIndexing indexing;
  private final CudaSpatial spatial;
  private final CudaRotary rotary;

  CudaKernels(Card card) {
    this.card = card;
    this.faults = new Faults(card);
    Launcher launcher = new Launcher(card);
    this.elementwise = new CudaElementwise(launcher);
    CudaCopies copies = new CudaCopies(launcher);
    this.layout = new CudaLayout(launcher, copies, faults);
    this.indexing = new CudaIndexing(launcher, copies, faults);
    this.spatial = new CudaSpatial(launcher, copies, indexing);
    this.rotary = new CudaRotary(launcher);
  }

  Faults faults() {
    return faults;
  }

  @Override
  public void run(Op op, Tensor[] in, Tensor[] out) {
    switch (op) {
      case Unary unary -> elementwise.run(unary, in[0], out[0]);
      case Binary binary -> elementwise.run(binary, in[0], in[1], out[0]);
      case Layout moved -> layout.run(moved, in, out[0]);
      case Indexing chosen -> indexing.run(chosen, in, out);
      case Spatial resampled -> spatial.run(resampled, in, out);
      case InPlace inPlace -> runInPlace(inPlace, in);
      case View view -> throw new IllegalStateException(view.label() + ": a view computes nothing");
      case Fused fused -> runFused(fused, in, out);
      default -> throw new UnsupportedOperationException(op.label());
    }
  }

  private void runFused(Fused op, Tensor[] in, Tensor[] out) {
    switch (op) {
      case Fused.Gated gated -> elementwise.run(gated, in[0], out[0]);
      case Fused.GatedGrad(var gated) -> elementwise.gradient(gated, in[0], in[1], out[0]);
      case Fused.Rotary(var inverse) -> rotary.run(inverse, in[0], in[1], in[2], out[0]);
      case Fused.ActivationGrad(var function) -> elementwise.gradient(function, in[0], in[1], out[0]);
      default -> throw new UnsupportedOperationException(op.label());
    }
  }

  private void runInPlace(InPlace op, Tensor[] in) {
    switch (op) {
      case InPlace.CopyInto() -> layout.convert(in[1], in[0]);
      case InPlace.Fill(var value) -> layout.fill(in[0], value);
      default -> throw new UnsupportedOperationException(op.label());
    }
  }

  @Override
  public Limits limits() {
    throw new UnsupportedOperationException("the limits of a card are not found by loops of this process");
  }

  @Override
  public String describe() {
    return "CUDA kernels on " + card.describe();
  }
}
