package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.Conv2d;
import org.deft4j.tensor.op.Contraction.Conv2dInputGrad;
import org.deft4j.tensor.op.Contraction.Conv2dWeightGrad;
import org.deft4j.tensor.op.Contraction.ConvSpec;

/** Convolutions of SD's UNet (batch 2) and VAE (batch 1), and their gradients. */
final class Convolutions {
  private static final String GROUP = "convolution";

  private Convolutions() {}

  /** {@code x [batch, in, size, size], w [out, in, kernel, kernel]}. */
  private record Layer(long batch, long in, long out, long size, int kernel, int stride) {
    static Layer same(long batch, long channels, long size, int kernel, int stride) {
      return new Layer(batch, channels, channels, size, kernel, stride);
    }

    ConvSpec spec() {
      return ConvSpec.of(stride, kernel / 2);
    }

    Shape weight() {
      return Shape.of(out, in, kernel, kernel);
    }

    long outSize() {
      return spec().outHeight(size, kernel);
    }

    @Override
    public String toString() {
      return kernel + "x" + kernel + (stride == 1 ? "" : "/" + stride) + " " + batch + "x" + in
          + (in == out ? "" : "->" + out) + "x" + size + "x" + size;
    }
  }

  static List<Row> rows() {
    List<Layer> layers = new ArrayList<>();
    for (long[] level : new long[][] {{320, 64}, {640, 32}, {1280, 16}, {1280, 8}}) {
      layers.add(Layer.same(2, level[0], level[1], 3, 1));
      layers.add(Layer.same(2, level[0], level[1], 1, 1));
      if (level[1] > 8) {
        layers.add(Layer.same(2, level[0], level[1], 3, 2));
      }
    }
    layers.add(new Layer(2, 960, 320, 64, 3, 1));
    layers.add(Layer.same(1, 128, 512, 3, 1));
    layers.add(Layer.same(1, 512, 64, 3, 1));
    List<Row> rows = new ArrayList<>();
    layers.forEach(layer -> rows.add(new Row(GROUP, layer.toString(), in -> forward(layer, in))));
    layers.forEach(layer -> rows.add(new Row(GROUP, "dx " + layer, in -> inputGrad(layer, in))));
    layers.forEach(layer -> rows.add(new Row(GROUP, "dW " + layer, in -> weightGrad(layer, in))));
    return rows;
  }

  private static Tensor input(Layer layer, Inputs in) {
    return in.held(layer.batch(), layer.in(), layer.size(), layer.size());
  }

  private static Tensor output(Layer layer, Inputs in) {
    return in.held(layer.batch(), layer.out(), layer.outSize(), layer.outSize());
  }

  private static Job forward(Layer layer, Inputs in) {
    Tensor x = input(layer, in);
    Tensor w = in.held(layer.weight().toArray());
    Conv2d op = new Conv2d(layer.spec());
    return Job.arithmetic(() -> Dispatch.run(op, x, w));
  }

  private static Job inputGrad(Layer layer, Inputs in) {
    Tensor dy = output(layer, in);
    Tensor w = in.held(layer.weight().toArray());
    Conv2dInputGrad op = new Conv2dInputGrad(layer.spec(), Shape.of(layer.batch(), layer.in(), layer.size(), layer.size()));
    return Job.arithmetic(() -> Dispatch.run(op, dy, w));
  }

  private static Job weightGrad(Layer layer, Inputs in) {
    Tensor dy = output(layer, in);
    Tensor x = input(layer, in);
    Conv2dWeightGrad op = new Conv2dWeightGrad(layer.spec(), layer.weight());
    return Job.arithmetic(() -> Dispatch.run(op, dy, x));
  }
}
