package org.deft4j.autograd;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Spatial;

import static org.deft4j.autograd.Input.any;
import static org.deft4j.autograd.Input.distinct;
import static org.deft4j.autograd.Input.mask;

/** Samples of products, norms, resampling and decompositions. */
final class LayerSamples {
  private final List<Sample> samples = new ArrayList<>();

  static List<Sample> all() {
    LayerSamples made = new LayerSamples();
    made.products();
    made.convolutions();
    made.attention();
    made.norms();
    made.pictures();
    made.orthogonal();
    made.symmetric();
    return made.samples;
  }

  private void add(Op op, String what, Input... inputs) {
    call(op, what, in -> Dispatch.run(op, in)[0], inputs);
  }

  private void call(Op op, String what, Function<Tensor[], Tensor> function, Input... inputs) {
    samples.add(Sample.of(op.getClass(), op + ", " + what, function, inputs));
  }

  private void products() {
    Contraction matmul = new Contraction.MatMul();
    add(matmul, "matrices", any(2, 3), any(3, 4));
    add(matmul, "transposed", any(2, 3).transposed(), any(3, 2).transposed());
    add(matmul, "batches", any(2, 2, 3), any(2, 3, 2));
    add(matmul, "batches that broadcast", any(2, 1, 2, 2), any(3, 2, 2).sliced());
    add(matmul, "a batch by a matrix", any(2, 2, 2, 3).transposed(), any(3, 2));
    add(matmul, "a matrix by a batch", any(2, 3), any(2, 3, 2));
    add(matmul, "a single product", any(1, 1), any(1, 1));
    call(matmul, "a matrix by itself", in -> in[0].matmul(in[0]), any(3, 3));
    Contraction linear = new Contraction.Linear();
    add(linear, "rows and bias", any(4, 3), any(2, 3), any(2));
    add(linear, "a vector", any(3), any(2, 3), any(2));
    Contraction update = new Contraction.RankUpdate(0.75);
    add(update, "removed and injected", any(4, 3), any(3, 2), any(3, 2), any(4, 2));
    add(update, "removed only, many dimensions", any(2, 2, 3).transposed(), any(3, 1), any(3, 1));
    call(update, "one basis", in -> Dispatch.run(update, in[0], in[1], in[1], in[2])[0], any(2, 4), any(4, 2), any(2, 2));
    add(linear, "many dimensions, no bias", any(2, 2, 3).transposed(), any(2, 3).transposed());
  }

  private void convolutions() {
    conv("3x3, padded", ConvSpec.of(1, 1), any(2, 2, 4, 3), any(3, 2, 3, 3), any(3));
    conv("stride 2", ConvSpec.of(2, 1), any(1, 2, 5, 4).transposed(), any(2, 2, 3, 3).transposed(), any(2));
    conv("1x1, no bias", ConvSpec.of(1, 0), any(2, 3, 2, 2), any(2, 3, 1, 1));
    conv("groups, dilation", new ConvSpec(1, 1, 1, 1, 1, 1, 2, 1, 2), any(1, 4, 4, 3), any(2, 2, 2, 2), any(2));
    conv("one-sided padding, unequal strides", new ConvSpec(2, 1, 0, 1, 0, 2, 1, 1, 1), any(1, 1, 4, 3), any(2, 1, 3, 2));
  }

  private void conv(String what, ConvSpec spec, Input... inputs) {
    add(new Contraction.Conv2d(spec), what, inputs);
  }

  private void attention() {
    Contraction plain = new Contraction.Attention(0.6, false);
    add(plain, "more keys than queries", any(1, 2, 2, 3), any(1, 2, 4, 3), any(1, 2, 4, 3));
    add(plain, "two pictures", any(2, 1, 3, 2), any(2, 1, 2, 2), any(2, 1, 2, 2));
    add(plain, "heads split from rows", any(1, 2, 3, 2).transposed(), any(1, 2, 3, 2).transposed(),
        any(1, 2, 3, 2).transposed());
    add(new Contraction.Attention(0.6, true), "three positions", any(1, 2, 3, 2), any(1, 2, 3, 2), any(1, 2, 3, 2));
    add(plain, "truth mask", any(1, 2, 2, 3), any(1, 2, 3, 3), any(1, 2, 3, 3), mask(new long[] {1, 0, 1, 1, 1, 0}, 2, 3));
    add(plain, "added mask for all heads", any(1, 2, 2, 3), any(1, 2, 3, 3), any(1, 2, 3, 3), any(2, 3));
    add(plain, "added mask per head", any(2, 2, 2, 1), any(2, 2, 3, 1), any(2, 2, 3, 1), any(2, 1, 3).transposed());
    add(new Contraction.Attention(0.6, true), "causal and added mask", any(1, 1, 3, 2), any(1, 1, 3, 2), any(1, 1, 3, 2),
        any(3, 3));
  }

  private void norms() {
    add(new Norm.GroupNorm(2, 1e-5), "a picture", any(2, 4, 2, 2), any(4), any(4));
    add(new Norm.GroupNorm(1, 1e-2), "one group, transposed", any(2, 3, 2).transposed(), any(3), any(3).sliced());
    add(new Norm.GroupNorm(3, 1e-2), "a group per channel", any(1, 3, 3), any(3), any(3));
    add(new Norm.GroupNormSilu(2, 1e-5), "a picture", any(2, 4, 2, 2), any(4), any(4));
    add(new Norm.GroupNormSilu(3, 1e-2), "a group per channel, transposed", any(2, 3, 2).transposed(), any(3), any(3).sliced());
    add(new Norm.LayerNorm(1, 1e-5), "rows", any(3, 4), any(4), any(4));
    add(new Norm.LayerNorm(2, 1e-2), "two dimensions, transposed", any(2, 2, 3).transposed(), any(2, 3), any(2, 3));
    add(new Norm.LayerNorm(1, 1e-3), "no weight", any(2, 2, 3));
    Norm ofSum = new Norm.LayerNormOfSum(1e-2);
    add(ofSum, "the norm alone", any(2, 2, 4).transposed(), any(2, 2, 4), any(4), any(4));
    call(ofSum, "the sum alone", in -> Dispatch.run(ofSum, in)[1], any(3, 4), any(3, 4), any(4), any(4));
    call(ofSum, "both", in -> {
      Tensor[] out = Dispatch.run(ofSum, in);
      return out[0].mul(out[1].square());
    }, any(3, 4), any(3, 4), any(4), any(4));
    add(new Norm.RmsNorm(1e-5), "rows", any(3, 4), any(4));
    add(new Norm.RmsNorm(1e-2), "no weight, strided", any(2, 3).transposed());
  }

  private void pictures() {
    add(new Spatial.UpsampleNearest(4, 6), "twice", any(1, 2, 2, 3));
    add(new Spatial.UpsampleNearest(5, 2), "odd sizes", any(2, 1, 3, 4).transposed());
    add(new Spatial.UpsampleBilinear(5, 7), "larger", any(1, 2, 3, 3));
    add(new Spatial.UpsampleBilinear(2, 3), "smaller", any(1, 1, 4, 4).transposed());
    add(new Spatial.UpsampleBilinear(3, 2), "of one pixel", any(2, 1, 1, 1));
    add(new Spatial.AvgPool2d(new Spatial.Window(2, 2, 0), true), "halves", any(1, 2, 4, 3));
    for (boolean count : new boolean[] {true, false}) {
      add(new Spatial.AvgPool2d(new Spatial.Window(3, 2, 1), count), "padded", any(2, 1, 4, 5).transposed());
    }
    add(new Spatial.MaxPool2d(new Spatial.Window(2, 2, 0)), "halves", distinct(1, 2, 4, 3));
    add(new Spatial.MaxPool2d(new Spatial.Window(3, 1, 1)), "overlapping, padded", distinct(1, 1, 4, 3).transposed());
  }

  // ------------------------------------------------------------------------------------------- decompositions

  /** Away from rank loss and from equal singular values. */
  private static Input matrix(long... shape) {
    return distinct(shape).then(x -> x.add(0.05));
  }

  private void orthogonal() {
    Op qr = new Decompose.Qr();
    for (long[] shape : new long[][] {{4, 2}, {3, 3}, {2, 4}, {2, 3, 2}, {2, 1}}) {
      String size = Arrays.toString(shape);
      call(qr, "Q of " + size, in -> Dispatch.run(qr, in)[0], matrix(shape));
      call(qr, "R of " + size, in -> Dispatch.run(qr, in)[1], matrix(shape).transposed());
      call(qr, "both of " + size, in -> both(Dispatch.run(qr, in)), matrix(shape));
    }
    Op svd = new Decompose.Svd();
    for (long[] shape : new long[][] {{4, 2}, {3, 3}, {2, 4}, {2, 3, 2}}) {
      String size = Arrays.toString(shape);
      call(svd, "S of " + size, in -> Dispatch.run(svd, in)[1], matrix(shape));
      call(svd, "first of U, either sign, of " + size, in -> leading(Dispatch.run(svd, in)[0]), matrix(shape));
      call(svd, "first of V, either sign, of " + size, in -> leading(Dispatch.run(svd, in)[2]), matrix(shape).transposed());
      call(svd, "U S^2 V^T of " + size, in -> squared(Dispatch.run(svd, in)), matrix(shape));
    }
  }

  private static Tensor both(Tensor[] qr) {
    return Tensor.concat(0, qr[0].reshape(-1), qr[1].reshape(-1));
  }

  private static Tensor leading(Tensor vectors) {
    Tensor first = vectors.slice(-1, 0, 1);
    return first.matmul(first.t());
  }

  private static Tensor squared(Tensor[] usv) {
    return usv[0].mul(usv[1].square().unsqueeze(-2)).matmul(usv[2].t());
  }

  private void symmetric() {
    for (long[] shape : new long[][] {{3, 3}, {2, 2, 2}, {1, 1}}) {
      String size = Arrays.toString(shape);
      call(new Decompose.Cholesky(), size, in -> Dispatch.run(new Decompose.Cholesky(), definite(in[0]))[0], matrix(shape));
      add(new Decompose.Inverse(), size, matrix(shape).transposed());
    }
  }

  private static Tensor definite(Tensor x) {
    return x.matmul(x.t()).add(Tensor.full(x.dtype(), 1, x.size(-1), x.size(-1)).tril(0).triu(0));
  }
}
