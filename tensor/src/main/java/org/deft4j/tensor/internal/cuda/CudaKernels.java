package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.CpuKernels;
import org.deft4j.tensor.internal.Kernels;
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
  private final CudaProducts products;
  private final CudaConvolution convolution;
  private final CudaAttention attention;
  private final CudaReductions reductions;
  private final CudaNorms norms;
  private final CudaUpdates updates;

  CudaKernels(GatheringCard card) {
    this.card = card;
    this.faults = new Faults(card);
    Launcher launcher = new Launcher(card);
    CudaCopies copies = new CudaCopies(launcher);
    this.elementwise = new CudaElementwise(launcher, copies);
    this.layout = new CudaLayout(launcher, copies, faults);
    this.indexing = new CudaIndexing(launcher, copies, faults);
    this.spatial = new CudaSpatial(launcher, copies, indexing);
    this.rotary = new CudaRotary(launcher);
    this.products = new CudaProducts(launcher, this);
    this.convolution = new CudaConvolution(launcher, products, this);
    this.attention = new CudaAttention(launcher);
    this.reductions = new CudaReductions(launcher);
    this.norms = new CudaNorms(launcher, reductions);
    this.updates = new CudaUpdates(launcher, card);
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
      case Reduction reduction -> reductions.run(reduction, in[0], out[0]);
      case Norm norm -> norms.run(norm, in, out);
      case InPlace update -> runInPlace(update, in);
      case View view -> throw new IllegalStateException(view.label() + ": a view computes nothing");
      case Contraction contraction -> runContraction(contraction, in, out);
      case Fused fused -> runFused(fused, in, out);
      case Decompose decompose -> onCpu(decompose, in, out);
    }
  }

  /** What is not here is rare in a model, and given F32. */
  @Override
  public boolean takesBf16(Op op, Tensor[] in) {
    return switch (op) {
      case Unary _ -> true;
      case Binary _ -> true;
      case Fused.Gated _ -> true;
      case Fused.GatedGrad _ -> true;
      case Fused.ActivationGrad _ -> true;
      case Fused.Rotary _ -> true;
      case Norm _ -> true;
      case Spatial.UpsampleNearest _ -> true;
      case Spatial.UpsampleNearestGrad _ -> true;
      case Reduction.Sum _ -> true;
      case InPlace.AddScaledInto _ -> true;
      case Contraction.Attention _ -> CudaAttention.takesBf16(in[0]);
      case Contraction.AttentionGrad _ -> CudaAttention.takesBf16(in[1]);
      case Contraction _ -> true;
      default -> false;
    };
  }

  private void runContraction(Contraction op, Tensor[] in, Tensor[] out) {
    switch (op) {
      case Contraction.MatMul _ -> products.matMul(in[0], in[1], out[0]);
      case Contraction.Linear() -> products.linear(in, out[0]);
      case Contraction.RankUpdate(var scale) -> products.rankUpdate(scale, in, out[0], out[1]);
      case Contraction.Conv2d(var spec) -> convolution.forward(spec, in, out[0]);
      case Contraction.Conv2dInputGrad(var spec, var _) -> convolution.inputGrad(spec, in[0], in[1], out[0]);
      case Contraction.Conv2dWeightGrad(var spec, var _) -> convolution.weightGrad(spec, in[0], in[1], out[0]);
      case Contraction.Attention forward -> attention.run(forward, in, out);
      case Contraction.AttentionGrad gradient -> attention.gradient(gradient, in, out);
    }
  }

  /** Decompositions are of thin matrices, in float64, and step by step: the processor does them. */
  private static void onCpu(Decompose op, Tensor[] in, Tensor[] out) {
    try (Scope _ = Scope.open()) {
      Tensor[] inputs = new Tensor[in.length];
      for (int i = 0; i < in.length; i++) {
        inputs[i] = Tensor.empty(Device.CPU, in[i].dtype(), in[i].shape());
        Cuda.download(in[i].address(), inputs[i].bytes());
      }
      Tensor[] results = new Tensor[out.length];
      for (int i = 0; i < out.length; i++) {
        results[i] = Tensor.empty(Device.CPU, out[i].dtype(), out[i].shape());
      }
      CpuKernels.get().run(op, inputs, results);
      for (int i = 0; i < out.length; i++) {
        Tensor result = results[i];
        out[i].write(bytes -> bytes.copyFrom(result.bytes()));
      }
    }
  }

  private void runFused(Fused op, Tensor[] in, Tensor[] out) {
    switch (op) {
      case Fused.Gated gated -> elementwise.run(gated, in[0], out[0]);
      case Fused.GatedGrad(var gated) -> elementwise.gradient(gated, in[0], in[1], out[0]);
      case Fused.Rotary(var inverse) -> rotary.run(inverse, in[0], in[1], in[2], out[0]);
      case Fused.ActivationGrad(var function) -> elementwise.gradient(function, in[0], in[1], out[0]);
      case Fused.GlobalNorm() -> updates.globalNorm(in, out[0]);
      case Fused.SoftmaxGrad(var dim) -> reductions.softmaxGradient(dim, in[0], in[1], out[0]);
    }
  }

  private void runInPlace(InPlace op, Tensor[] in) {
    switch (op) {
      case InPlace.CopyInto() -> layout.convert(in[1], in[0]);
      case InPlace.Fill(var value) -> layout.fill(in[0], value);
      case InPlace.AddScaledInto add -> updates.run(add, in[0], in[1]);
      case InPlace.ScaleInto scale -> updates.run(scale, in[0]);
      case InPlace.ClipInto clip -> updates.clip(clip, in);
      case InPlace.AdamUpdate adam -> updates.run(adam, in);
      case InPlace.SgdUpdate sgd -> updates.run(sgd, in);
    }
  }

  @Override
  public String describe() {
    return "CUDA kernels on " + card.describe();
  }
}
