package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Unary;

/**
 * What does little with each number: norms, activations, softmax, sums, layout changes, at the sizes of SD 1.5's first level
 * (batch 2, 64 x 64). Counted are the bytes that must move: every input read once and the result written once, also where two
 * operations could be one.
 */
final class MemoryBound {
  private static final long N = 2;
  private static final long C = 320;
  private static final long SIDE = 64;
  private static final long TOKENS = SIDE * SIDE;
  private static final double EPS = 1e-5;

  private final List<Row> rows = new ArrayList<>();

  private MemoryBound() {}

  static List<Row> rows() {
    MemoryBound bound = new MemoryBound();
    bound.norms();
    bound.activations();
    bound.sums();
    bound.layouts();
    return bound.rows;
  }

  private static Tensor picture(Inputs in) {
    return in.draw(N, C, SIDE, SIDE);
  }

  private static Tensor tokens(Inputs in) {
    return in.draw(N, TOKENS, C);
  }

  private void add(String group, String name, Function<Inputs, Job> setUp) {
    rows.add(new Row(group, name, setUp));
  }

  /** One tensor in, one of its size out. */
  private void map(String group, String name, Function<Inputs, Tensor> draw, UnaryOperator<Tensor> body) {
    add(group, name, in -> {
      Tensor x = draw.apply(in);
      return Job.memory(Job.bytes(x), () -> body.apply(x), x);
    });
  }

  private void norms() {
    add("norm", "group norm 2x320x64x64", in -> affine(in, picture(in), (x, w) -> x.groupNorm(32, EPS, w[0], w[1])));
    add("norm", "group norm + silu 2x320x64x64",
        in -> affine(in, picture(in), (x, w) -> x.groupNorm(32, EPS, w[0], w[1]).silu()));
    add("norm", "layer norm 2x4096x320", in -> affine(in, tokens(in), (x, w) -> x.layerNorm(1, EPS, w)));
    add("norm", "residual + layer norm 2x4096x320", in -> {
      Tensor y = tokens(in);
      Tensor x = tokens(in);
      Tensor w = in.draw(C);
      Tensor b = in.draw(C);
      // The sum goes on as the residual, so it is written too.
      return Job.memory(2 * Job.bytes(x), () -> x.add(y).layerNorm(1, EPS, w, b), x, y, w, b);
    });
    add("norm", "rms norm 1x1024x3072", in -> {
      Tensor x = in.draw(1, 1024, 3072);
      Tensor w = in.draw(3072);
      return Job.memory(Job.bytes(x), () -> x.rmsNorm(EPS, w), x, w);
    });
    add("norm", "group norm grad 2x320x64x64", in -> normGrad(in, picture(in), new Norm.GroupNorm(32, EPS),
        new Norm.GroupNormGrad(32)));
    add("norm", "layer norm grad 2x4096x320", in -> normGrad(in, tokens(in), new Norm.LayerNorm(1, EPS),
        new Norm.LayerNormGrad(1)));
  }

  /** A norm with weight and bias. */
  @FunctionalInterface
  private interface Affine {
    Tensor run(Tensor x, Tensor... weightAndBias);
  }

  private static Job affine(Inputs in, Tensor x, Affine norm) {
    Tensor w = in.draw(C);
    Tensor b = in.draw(C);
    return Job.memory(Job.bytes(x), () -> norm.run(x, w, b), x, w, b);
  }

  private static Job normGrad(Inputs in, Tensor x, Norm norm, Norm gradient) {
    Tensor w = in.draw(C);
    Tensor dy = in.draw(x.shape().toArray());
    Tensor[] forward = Dispatch.run(norm, x, w, in.draw(C));
    return Job.memory(Job.bytes(x), () -> Dispatch.run(gradient, dy, x, forward[1], forward[2], w), x, dy, w);
  }

  private void activations() {
    map("activation", "silu 2x320x64x64", MemoryBound::picture, Tensor::silu);
    map("activation", "gelu 2x4096x320", MemoryBound::tokens, Tensor::gelu);
    map("activation", "softmax 2x4096x320", MemoryBound::tokens, x -> x.softmax(-1));
    add("activation", "geglu 2x4096x2560", in -> {
      Tensor x = in.draw(N, TOKENS, 8 * C);
      return Job.memory(Job.bytes(x) / 2, x::geglu, x);
    });
    add("activation", "bias + geglu 2x4096x2560", in -> {
      Tensor x = in.draw(N, TOKENS, 8 * C);
      Tensor b = in.draw(8 * C);
      return Job.memory(Job.bytes(x) / 2, () -> x.add(b).geglu(), x, b);
    });
    add("activation", "silu grad 2x320x64x64", in -> {
      Tensor x = picture(in);
      Tensor dy = picture(in);
      Fused op = new Fused.ActivationGrad(new Unary.Silu());
      return Job.memory(Job.bytes(x), () -> Dispatch.run(op, dy, x), x, dy);
    });
    add("activation", "geglu grad 2x4096x2560", in -> {
      Tensor x = in.draw(N, TOKENS, 8 * C);
      Tensor dy = in.draw(N, TOKENS, 4 * C);
      return Job.memory(Job.bytes(x), () -> Dispatch.run(new Fused.GegluGrad(), dy, x), x, dy);
    });
  }

  private void sums() {
    add("sum", "a + b 2x320x64x64", in -> add(picture(in), picture(in)));
    add("sum", "a + b 8M", in -> add(in.draw(8 << 20), in.draw(8 << 20)));
    add("sum", "x + bias of channels 2x320x64x64", in -> {
      Tensor x = picture(in);
      Tensor b = in.draw(N, C, 1, 1);
      return Job.memory(Job.bytes(x), () -> x.add(b), x, b);
    });
    add("sum", "sum over rows 8192x320", in -> {
      Tensor x = in.draw(N * TOKENS, C);
      return Job.memory(C * Float.BYTES, () -> x.sum(0), x);
    });
  }

  private static Job add(Tensor a, Tensor b) {
    return Job.memory(Job.bytes(a), () -> a.add(b), a, b);
  }

  private void layouts() {
    map("layout", "NCHW to tokens 2x320x64x64", MemoryBound::picture, x -> x.flatten(2, 3).transpose(1, 2).contiguous());
    map("layout", "tokens to NCHW 2x4096x320", MemoryBound::tokens,
        x -> x.transpose(1, 2).contiguous().reshape(N, C, SIDE, SIDE));
    map("layout", "split heads 2x4096x8x40", MemoryBound::tokens,
        x -> x.reshape(N, TOKENS, 8, C / 8).transpose(1, 2).contiguous());
    map("layout", "join heads 2x8x4096x40", in -> in.draw(N, 8, TOKENS, C / 8),
        x -> x.transpose(1, 2).contiguous());
    add("layout", "concat 2x(320+320)x64x64", in -> {
      Tensor a = picture(in);
      Tensor b = picture(in);
      return Job.memory(2 * Job.bytes(a), () -> Tensor.concat(1, a, b), a, b);
    });
    add("layout", "upsample nearest 2x320x32x32", in -> {
      Tensor x = in.draw(N, C, SIDE / 2, SIDE / 2);
      return Job.memory(4 * Job.bytes(x), () -> x.upsampleNearest(SIDE, SIDE), x);
    });
  }
}
