package org.deft4j.autograd;

import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.Unary;

import static org.deft4j.autograd.Input.any;
import static org.deft4j.autograd.Input.between;
import static org.deft4j.autograd.Input.index;

/** Samples of operations without a gradient. */
final class OtherSamples {
  private OtherSamples() {}

  private static Sample sample(Op op, Input... inputs) {
    return Sample.of(op.getClass(), op.toString(), in -> Dispatch.run(op, in)[0], inputs);
  }

  private static Sample inPlace(InPlace op, Input... inputs) {
    return Sample.of(op.getClass(), op.toString(), in -> {
      Dispatch.run(op, in);
      return in[0];
    }, inputs);
  }

  /** Operations whose results are integers or truth values: a tape does not follow them. */
  static List<Sample> constant() {
    return List.of(
        sample(new Binary.Equal(), any(3), any(3)),
        sample(new Binary.Less(), any(3), any(3)),
        sample(new Binary.LessEqual(), any(3), any(3)),
        sample(new Reduction.ArgMax(0, false), any(3)),
        sample(new Reduction.ArgMin(0, true), any(3)),
        sample(new Layout.Cast(DType.I64), any(3)),
        sample(new Layout.Cast(DType.BOOL), any(3)));
  }

  /** Operations that compute a gradient: a tape refuses them. */
  static List<Sample> firstOrderOnly() {
    ConvSpec spec = ConvSpec.of(1, 1);
    Spatial.Window window = new Spatial.Window(2, 2, 0);
    Input picture = any(1, 2, 4, 4);
    Input half = any(1, 2, 2, 2);
    Input heads = any(1, 2, 3, 2);
    return List.of(
        sample(new Contraction.Conv2dInputGrad(spec, Shape.of(1, 2, 4, 4)), any(1, 3, 4, 4), any(3, 2, 3, 3)),
        sample(new Contraction.Conv2dWeightGrad(spec, Shape.of(3, 2, 3, 3)), any(1, 3, 4, 4), picture),
        sample(new Contraction.AttentionGrad(1, false), heads, heads, heads, heads, heads, any(1, 2, 3)),
        sample(new Decompose.QrGrad(), any(3, 2), any(2, 2), any(3, 2)),
        sample(new Norm.GroupNormGrad(1), picture, picture, any(1, 1), between(1, 2, 1, 1), any(2)),
        sample(new Norm.GroupNormSiluGrad(1), picture, picture, any(1, 1), between(1, 2, 1, 1), any(2), any(2)),
        sample(new Norm.LayerNormGrad(1, true), any(2, 3), any(2, 3), any(2), between(1, 2, 2), any(3)),
        sample(new Norm.RmsNormGrad(true), any(2, 3), any(2, 3), between(1, 2, 2), any(3)),
        sample(new Spatial.UpsampleNearestGrad(2, 2), picture),
        sample(new Spatial.UpsampleBilinearGrad(2, 2), picture),
        sample(new Spatial.AvgPool2dGrad(window, true, 4, 4), half),
        sample(new Spatial.MaxPool2dGrad(4, 4), half, index(new long[] {0, 2, 8, 10, 0, 2, 8, 10}, 1, 2, 2, 2)),
        sample(new Fused.GatedGrad(Fused.Gated.SWIGLU), any(2, 2), any(2, 4)),
        sample(new Fused.ActivationGrad(new Unary.Silu()), any(3), any(3)),
        sample(new Fused.GlobalNorm(), any(3), any(2, 2)),
        sample(new Fused.SoftmaxGrad(0), any(3), any(3)));
  }

  /** Operations that work in place: a tape refuses them where it would matter. The function gives the target. */
  static List<Sample> inPlace() {
    return List.of(
        inPlace(new InPlace.CopyInto(), any(3), any(3)),
        inPlace(new InPlace.Fill(2), any(3)),
        inPlace(new InPlace.AddScaledInto(2), any(3), any(3)),
        inPlace(new InPlace.ScaleInto(2), any(3)),
        inPlace(new InPlace.ClipInto(0.1), _ -> Tensor.scalar(DType.F64, 2), any(3), any(2)),
        inPlace(new InPlace.AdamUpdate(0.1, 0.9, 0.999, 1e-8, 0.01, true, 1), any(3), any(3), any(3), between(1, 2, 3)),
        inPlace(new InPlace.SgdUpdate(0.1, 0.9, 0, false, true), any(3), any(3), any(3)));
  }
}
