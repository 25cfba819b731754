package org.deft4j.tensor;

import java.util.List;
import java.util.stream.Stream;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.View;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

/** Every refusal names operation, argument, what was expected and what was found. */
@ExtendWith(LeakCheck.class)
class ErrorMessagesTest {
  /** Something refused, and the words. */
  record Refusal(String message, Runnable action) {
    @Override
    public String toString() {
      return message;
    }
  }

  @ParameterizedTest
  @MethodSource("refusals")
  void refuses(Refusal refusal) {
    try (Scope _ = Scope.open()) {
      assertEquals(refusal.message, assertThrows(TensorException.class, refusal.action::run).getMessage());
    }
  }

  private static Tensor f(long... sizes) {
    return Tensor.zeros(DType.F32, sizes);
  }

  private static Tensor d(long... sizes) {
    return Tensor.zeros(DType.F64, sizes);
  }

  private static Tensor ids(long... values) {
    return Tensor.of(values, values.length);
  }

  private static void run(Op op, Tensor... inputs) {
    Dispatch.run(op, inputs);
  }

  static Stream<Refusal> refusals() {
    return Stream.of(elementwise(), layouts(), indexing(), products(), layers(), inPlace()).flatMap(List::stream);
  }

  private static List<Refusal> elementwise() {
    return List.of(
        new Refusal("add: shapes [2, 3] and [4] do not broadcast: dimension -1 is 3 and 4; each pair, aligned at the last"
            + " dimension, must be equal or contain a 1", () -> f(2, 3).add(f(4))),
        new Refusal("mul: all inputs must have one type, input 0 is tensor F32[2], input 1 is tensor F64[2]",
            () -> f(2).mul(Tensor.zeros(DType.F64, 2))),
        new Refusal("silu: x: expected F32, F64 or BF16, found tensor 'gate' F16[2]; cast it first",
            () -> f(2).cast(DType.F16).named("gate").silu()),
        new Refusal("dimension 2 does not exist in shape [2, 3] of rank 2", () -> f(2, 3).softmax(2)),
        new Refusal("dimensions [0, -2] name one dimension twice", () -> f(2, 3).sum(0, -2)),
        new Refusal("sum: takes 1 inputs, given 2", () -> run(new Reduction.Sum(List.of(0), false), f(2), f(2))),
        new Refusal("item: one element is needed, tensor F32[2] has 2", () -> f(2).item()),
        new Refusal("arg_max: the dimension to choose along has no elements; at least one is needed",
            () -> f(2, 0).argmax(1)));
  }

  private static List<Refusal> layouts() {
    return List.of(
        new Refusal("of: 3 values do not fill shape [2, 2]", () -> Tensor.of(new float[3], 2, 2)),
        new Refusal("shape [2, -3]: sizes must not be negative", () -> Shape.of(2, -3)),
        new Refusal("shape [4294967296, 4294967296]: more than 2^63 - 1 elements", () -> Shape.of(1L << 32, 1L << 32)),
        new Refusal("reshape: [4, 2] does not hold the 6 elements of shape [2, 3]", () -> f(2, 3).reshape(4, 2)),
        new Refusal("reshape: only one size of [-1, -1] may be -1", () -> f(2, 3).reshape(-1, -1)),
        new Refusal("reshape: x: expected 6 elements that [6] can view; copy it first, found tensor F32[3, 2]",
            () -> run(new View.Reshape(Shape.of(6)), f(2, 3).t())),
        new Refusal("bytes: tensor F32[3, 2] is not contiguous; call contiguous() first", () -> f(2, 3).t().bytes()),
        new Refusal("squeeze: dimension 0 of tensor F32[2, 3] must have size 1", () -> f(2, 3).squeeze(0)),
        new Refusal("unsqueeze: dimension 4 does not exist after adding one to tensor F32[2, 3]",
            () -> f(2, 3).unsqueeze(4)),
        new Refusal("permute: [0, 0] must name each dimension of tensor F32[2, 3] once", () -> f(2, 3).permute(0, 0)),
        new Refusal("slice: 1 to 4 by 1 of dimension 1 does not lie in tensor F32[2, 3]", () -> f(2, 3).slice(1, 1, 4)),
        new Refusal("expand: x: expected a shape that broadcasts to [3, 3], found tensor F32[2, 3]",
            () -> f(2, 3).expand(3, 3)),
        new Refusal("split: sizes [1, 3] add up to 4, dimension 1 of tensor F32[2, 3] has 3", () -> f(2, 3).split(1, 1, 3)),
        new Refusal("chunk: at least 1 piece is needed, asked for 0", () -> f(2, 3).chunk(0, 0)),
        new Refusal("concat: input 1: expected shape [2, 3] but for dimension 1, found tensor F32[3, 3]",
            () -> Tensor.concat(1, f(2, 3), f(3, 3))),
        new Refusal("concat: at least one tensor is needed", () -> Tensor.concat(0)),
        new Refusal("pad: [1] must be pairs, at most 2 of them", () -> f(2, 3).pad(0, 1)),
        new Refusal("pad: padding [0, -1] and [0, 0] must not be negative; use slice to cut", () -> f(2, 3).pad(0, -1, 0)),
        new Refusal("pad: x: expected 1 dimensions, padded by [1] and [1], found tensor F32[2, 3]",
            () -> run(new Layout.Pad(List.of(1L), List.of(1L), 0), f(2, 3))),
        new Refusal("triangle: x: expected at least 2 dimensions, found tensor F32[3]", () -> f(3).triu(0)));
  }

  private static List<Refusal> indexing() {
    return List.of(
        new Refusal("index_select: index 3 is outside 0 .. 2, the dimension has size 3", () -> f(3, 2).indexSelect(0, ids(0, 3))),
        new Refusal("index_select: index -1 is outside 0 .. 1, the dimension has size 2", () -> f(3, 2).indexSelect(1, ids(-1))),
        new Refusal("index_select: index: expected [I64, I32], found tensor F32[1]", () -> f(3, 2).indexSelect(0, f(1))),
        new Refusal("index_select: index 49408 is outside 0 .. 3, the dimension has size 4",
            () -> f(4, 2).embedding(ids(1, 49408))),
        new Refusal("embedding: table: expected [rows, width], found tensor F32[4]", () -> f(4).embedding(ids(1))),
        new Refusal("gather: index 2 is outside 0 .. 1, the dimension has size 2",
            () -> f(2, 3).gather(0, ids(0, 1, 2).unsqueeze(0))),
        new Refusal("gather: index: shape [3, 1] must fit into [2, 3] in every dimension but 1",
            () -> f(2, 3).gather(1, ids(0, 0, 0).unsqueeze(1))),
        new Refusal("scatter_add: index 5 is outside 0 .. 2, the dimension has size 3",
            () -> f(3).scatterAdd(0, ids(5), f(1))),
        new Refusal("scatter_add: source: expected shape [1], found tensor F32[2]",
            () -> f(3).scatterAdd(0, ids(0), f(2))),
        new Refusal("index_add: index 3 is outside 0 .. 2, the dimension has size 3",
            () -> run(new Indexing.IndexAdd(0), f(3), ids(3), f(1))),
        new Refusal("where: condition: expected [BOOL], found tensor F32[2]", () -> f(2).where(f(2), f(2))));
  }

  private static List<Refusal> products() {
    ConvSpec plain = ConvSpec.of(1, 0);
    return List.of(
        new Refusal("mat_mul: a [2, 3] and b [2, 3]: the last dimension of a must equal the last but one of b, and both need"
            + " at least 2", () -> f(2, 3).matmul(f(2, 3))),
        new Refusal("mat_mul: b: expected F64, found tensor F32[3, 2]",
            () -> Tensor.zeros(DType.F64, 2, 3).matmul(f(3, 2))),
        new Refusal("linear: weight: expected [out, in] with in = 3, found tensor 'to_q.weight' F32[4, 5]",
            () -> f(2, 3).linear(f(4, 5).named("to_q.weight"))),
        new Refusal("linear: weight: expected F32, F16 or BF16, found tensor F64[4, 3]",
            () -> f(2, 3).linear(Tensor.zeros(DType.F64, 4, 3))),
        new Refusal("linear: bias: expected shape [4], found tensor F32[3]", () -> f(2, 3).linear(f(4, 3), f(3))),
        new Refusal("conv2d: x: expected [N, C, H, W], found shape [3, 8, 8]", () -> f(3, 8, 8).conv2d(plain, f(4, 3, 3, 3))),
        new Refusal("conv2d: weight: expected [O, 4 / groups, KH, KW] for x [1, 4, 8, 8] and 1 groups, found shape [4, 3, 3, 3]",
            () -> f(1, 4, 8, 8).conv2d(plain, f(4, 3, 3, 3))),
        new Refusal("conv2d: x: expected, with its padding, at least the size of the kernel [4, 3, 3, 3], found shape [1, 3, 2, 8]",
            () -> f(1, 3, 2, 8).conv2d(ConvSpec.of(2, 0), f(4, 3, 3, 3))),
        new Refusal("convolution: stride [0, 0], dilation [1, 1] and groups 1 must be at least 1, padding [0, 0, 0, 0] not"
            + " negative", () -> ConvSpec.of(0, 0)),
        new Refusal("conv2d_input_grad: dy: expected shape [1, 4, 6, 6], found tensor F32[1, 4, 8, 8]",
            () -> run(new Contraction.Conv2dInputGrad(plain, Shape.of(1, 3, 8, 8)), f(1, 4, 8, 8), f(4, 3, 3, 3))),
        new Refusal("attention: k: expected shape [1, 2, 5, 4], found tensor F32[1, 2, 5, 6]",
            () -> f(1, 2, 3, 4).attention(f(1, 2, 5, 6), f(1, 2, 5, 6), 1, false)),
        new Refusal("attention: mask: expected a shape that broadcasts to [1, 2, 3, 5], found tensor F32[4, 5]",
            () -> f(1, 2, 3, 4).attention(f(1, 2, 5, 4), f(1, 2, 5, 4), f(4, 5), 1)),
        new Refusal("attention_grad: lse: expected shape [1, 2, 3], found tensor F32[1, 2, 5]",
            () -> run(new Contraction.AttentionGrad(1, false), f(1, 2, 3, 4), f(1, 2, 3, 4), f(1, 2, 5, 4),
                f(1, 2, 5, 4), f(1, 2, 3, 4), f(1, 2, 5))),
        new Refusal("inverse: x: expected a square matrix, found tensor F32[2, 3]",
            () -> run(new Decompose.Inverse(), f(2, 3))),
        new Refusal("qr: x: expected [..., M, N], found tensor F32[3]", () -> run(new Decompose.Qr(), f(3))),
        new Refusal("qr_grad: q: expected [..., M, N], M at least N, found tensor F64[2, 3]",
            () -> run(new Decompose.QrGrad(), d(2, 3), d(2, 2), f(2, 3))),
        new Refusal("qr_grad: r: expected shape [2, 2], found tensor F64[3, 2]",
            () -> run(new Decompose.QrGrad(), d(3, 2), d(3, 2), f(3, 2))));
  }

  private static List<Refusal> layers() {
    return List.of(
        new Refusal("group_norm: x: expected [N, C, ...] with C a multiple of 4 groups, found tensor F32[1, 6, 2]",
            () -> f(1, 6, 2).groupNorm(4, 1e-5, f(6), f(6))),
        new Refusal("group_norm: weight: expected shape [8], found tensor F32[4]",
            () -> f(1, 8, 2).groupNorm(4, 1e-5, f(4), f(8))),
        new Refusal("group_norm_grad: mean: expected shape [1, 4], found tensor F32[4]",
            () -> run(new Norm.GroupNormGrad(4), f(1, 8, 2), f(1, 8, 2), f(4), f(1, 4), f(8))),
        new Refusal("layer_norm: takes a weight and a bias, or neither; the bias is missing",
            () -> f(2, 3).layerNorm(1, 1e-5, f(3))),
        new Refusal("layer_norm: bias: expected shape [3], found tensor F32[2]", () -> f(2, 3).layerNorm(1, 1e-5, f(3), f(2))),
        new Refusal("gated: x: expected an even last dimension, found tensor F32[2, 3]", () -> f(2, 3).geglu()),
        new Refusal("rotary: x: expected an even last dimension, found tensor F32[2, 3]", () -> f(2, 3).rotary(f(2, 1), f(2, 1))),
        new Refusal("rotary: cos: expected [..., 2], which broadcasts to [5, 3, 2], found tensor F32[5, 2]",
            () -> f(5, 3, 4).rotary(f(5, 2), f(5, 2))),
        new Refusal("rotary: cos: expected [..., 2], which broadcasts to [3, 2], found tensor F32[3, 1]",
            () -> f(3, 4).rotary(f(3, 1), f(3, 1))),
        new Refusal("rotary: sin: expected shape [3, 2], found tensor F32[1, 2]", () -> f(3, 4).rotary(f(3, 2), f(1, 2))),
        new Refusal("upsample_nearest: x: expected 4 dimensions, found tensor F32[3, 8, 8]",
            () -> f(3, 8, 8).upsampleNearest(16, 16)),
        new Refusal("upsample_nearest: x: expected a picture of at least 1 x 1 to make one of 2 x 2, found tensor F32[1, 1, 0, 2]",
            () -> f(1, 1, 0, 2).upsampleNearest(2, 2)),
        new Refusal("window: kernel 2 and stride 1 must be at least 1, padding 2 from 0 to half the kernel",
            () -> new Spatial.Window(2, 1, 2)),
        new Refusal("avg_pool2d: a picture of 1 x 4 with padding 0 is smaller than the window of 2",
            () -> run(new Spatial.AvgPool2d(new Spatial.Window(2, 2, 0), true), f(1, 1, 1, 4))),
        new Refusal("max_pool2d_grad: index 9 is outside 0 .. 3",
            () -> run(new Spatial.MaxPool2dGrad(2, 2), f(1, 1, 1, 1), ids(9).reshape(1, 1, 1, 1))));
  }

  private static List<Refusal> inPlace() {
    InPlace.AdamUpdate adam = new InPlace.AdamUpdate(1e-3, 0.9, 0.999, 1e-8, 0, true, 1);
    return List.of(
        new Refusal("copy_into: source: expected a shape that broadcasts to [2, 3], found tensor F32[3, 2]",
            () -> run(new InPlace.CopyInto(), f(2, 3), f(3, 2))),
        new Refusal("copy_into: target: expected a tensor that is not expanded; copy it first, found tensor F32[2, 3]",
            () -> run(new InPlace.CopyInto(), f(3).expand(2, 3), f(2, 3))),
        new Refusal("add_scaled_into: target: expected a tensor that is not expanded; copy it first, found tensor F32[3, 2]",
            () -> run(new InPlace.AddScaledInto(1), f(3, 1).expand(3, 2), f(3, 2))),
        new Refusal("adam_update: state 1: expected a contiguous tensor, found tensor F32[3, 2]",
            () -> run(adam, f(3, 2), f(3, 2), f(2, 3).t(), f(3, 2))),
        new Refusal("adam_update: input 3: expected shape [3, 2], found tensor F32[2]",
            () -> run(adam, f(3, 2), f(3, 2), f(3, 2), f(2))),
        new Refusal("fill_normal: target: expected F32 or F64, found tensor F16[2]; draw in F32 and cast",
            () -> new TorchRandom(0).normal(DType.F16, 2)),
        new Refusal("fill_uniform: target: expected a contiguous tensor, found tensor F32[3, 2] with strides [1, 3]",
            () -> new TorchRandom(0).fillUniform(f(2, 3).t(), 0, 1)));
  }
}
