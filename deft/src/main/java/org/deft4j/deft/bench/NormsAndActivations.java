package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Unary;

/** Norms, activations and softmax at the sizes of the models, alone and where they meet. */
final class NormsAndActivations {
  private static final double EPS = 1e-5;
  private static final Shape PICTURE = Shape.of(2, 320, 64, 64);
  private static final Shape TOKENS = Shape.of(2, 4096, 320);
  private static final Shape GATED = Shape.of(2, 4096, 2560);

  private NormsAndActivations() {}

  static List<Row> rows() {
    List<Row> rows = new ArrayList<>(norms().rows());
    rows.addAll(activations().rows());
    return rows;
  }

  private static MemoryRows norms() {
    MemoryRows rows = new MemoryRows("norm");
    for (Shape shape : List.of(PICTURE, Shape.of(2, 1280, 16, 16), Shape.of(1, 128, 512, 512))) {
      Norm norm = new Norm.GroupNorm(32, EPS);
      rows.op("group norm", shape, norm, in -> affine(in, shape, 1));
      rows.op("group norm grad", shape, new Norm.GroupNormGrad(32), in -> gradient(in, shape, norm, 1));
    }
    Norm normSilu = new Norm.GroupNormSilu(32, EPS);
    rows.op("group norm + silu", PICTURE, normSilu, in -> affine(in, PICTURE, 1));
    rows.op("group norm + silu grad", PICTURE, new Norm.GroupNormSiluGrad(32),
        in -> Stream.concat(Arrays.stream(gradient(in, PICTURE, normSilu, 1)), Stream.of(in.draw(PICTURE.size(1)))).toArray(Tensor[]::new));
    for (Shape shape : List.of(TOKENS, Shape.of(2, 256, 1280))) {
      Norm norm = new Norm.LayerNorm(1, EPS);
      rows.op("layer norm", shape, norm, in -> affine(in, shape, -1));
      rows.op("layer norm grad", shape, new Norm.LayerNormGrad(1, true), in -> gradient(in, shape, norm, -1));
    }
    rows.op("residual + layer norm", TOKENS, new Norm.LayerNormOfSum(EPS), in -> {
      Tensor[] x = affine(in, TOKENS, -1);
      return new Tensor[] {x[0], in.held(TOKENS.toArray()), x[1], x[2]};
    });
    Norm norm = new Norm.RmsNorm(EPS);
    for (Shape shape : List.of(Shape.of(640, 3072), Shape.of(1, 1024, 3072), Shape.of(4096, 3072))) {
      rows.op("rms norm", shape, norm, in -> new Tensor[] {in.held(shape.toArray()), in.draw(shape.size(-1))});
      rows.op("rms norm grad", shape, new Norm.RmsNormGrad(true), in -> rmsGradient(in, shape, norm));
      rows.op("rms norm grad, weight frozen", shape, new Norm.RmsNormGrad(false), in -> rmsGradient(in, shape, norm));
    }
    return rows;
  }

  private static Tensor[] rmsGradient(Inputs in, Shape shape, Norm norm) {
    Tensor x = in.held(shape.toArray());
    Tensor w = in.draw(shape.size(-1));
    return new Tensor[] {in.held(shape.toArray()), x, Dispatch.run(norm, x, w)[1], w};
  }

  /** x, weight and bias. */
  private static Tensor[] affine(Inputs in, Shape shape, int dim) {
    return new Tensor[] {in.held(shape.toArray()), in.draw(shape.size(dim)), in.draw(shape.size(dim))};
  }

  /** What a norm's gradient takes. */
  private static Tensor[] gradient(Inputs in, Shape shape, Norm norm, int dim) {
    Tensor[] x = affine(in, shape, dim);
    Tensor[] forward = Dispatch.run(norm, x);
    return new Tensor[] {in.held(shape.toArray()), x[0], forward[1], forward[2], x[1]};
  }

  private static MemoryRows activations() {
    MemoryRows rows = new MemoryRows("activation");
    for (Unary function : List.of(new Unary.Silu(), new Unary.Gelu(), new Unary.QuickGelu())) {
      String name = function.label().replace('_', ' ');
      rows.op(name, PICTURE, function, in -> new Tensor[] {in.held(PICTURE.toArray())});
      rows.op(name + " grad", PICTURE, new Fused.ActivationGrad(function), in -> pair(in, PICTURE));
    }
    gated(rows, "geglu", Fused.Gated.GEGLU, GATED);
    for (Shape shape : List.of(Shape.of(640, 16384), Shape.of(4096, 16384))) {
      gated(rows, "swiglu", Fused.Gated.SWIGLU, shape);
    }
    for (Shape shape : List.of(Shape.of(2, 8, 1024, 77), Shape.of(8, 1024, 1024))) {
      int last = shape.rank() - 1;
      rows.op("softmax", shape, new Reduction.Softmax(last), in -> new Tensor[] {in.held(shape.toArray())});
      rows.op("softmax grad", shape, new Fused.SoftmaxGrad(last), in -> pair(in, shape));
    }
    return rows;
  }

  private static void gated(MemoryRows rows, String name, Fused.Gated op, Shape shape) {
    rows.op(name, shape, op, in -> new Tensor[] {in.held(shape.toArray())});
    rows.op(name + " grad", shape, new Fused.GatedGrad(op),
        in -> new Tensor[] {in.held(shape.with(-1, shape.size(-1) / 2).toArray()), in.held(shape.toArray())});
  }

  private static Tensor[] pair(Inputs in, Shape shape) {
    return new Tensor[] {in.held(shape.toArray()), in.held(shape.toArray())};
  }
}
