package org.deft4j.deft.bench;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.types.DataType;
import ai.djl.ndarray.types.Shape;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.jni.JniUtils;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.deft4j.deft.bench.LibTorch.Maybe;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.Unary;

/** Our operations in PyTorch: the same arguments, the first result. */
record TorchOps(LibTorch torch) {
  /** What computes {@code op} on {@code in}, or nothing where the two libraries have no operation in common. */
  Optional<Supplier<PtNDArray>> of(Op op, PtNDArray[] in) {
    return Optional.ofNullable(switch (op) {
      case Contraction contraction -> contraction(contraction, in);
      case Norm norm -> norm(norm, in);
      case Unary unary -> unary(unary, in[0]);
      case Binary binary -> binary(binary, in);
      case Reduction reduction -> reduction(reduction, in[0]);
      case Layout layout -> layout(layout, in);
      case Fused.Gated gated when gated.equals(Fused.Gated.GEGLU) -> () -> geglu(in[0]);
      case Fused.Gated gated when gated.equals(Fused.Gated.SWIGLU) -> () -> swiglu(in[0]);
      case Fused.ActivationGrad(var function) when function instanceof Unary.Silu ->
        () -> torch.dispatch("aten::silu_backward", "", in[0], in[1]);
      case Spatial.UpsampleNearest(var height, var width) ->
        () -> JniUtils.interpolate(in[0], new long[] {height, width}, 0, false);
      default -> null;
    });
  }

  private Supplier<PtNDArray> contraction(Contraction op, PtNDArray[] in) {
    return switch (op) {
      case Contraction.MatMul _ -> () -> product(in[0], in[1]);
      case Contraction.Linear() when in[1].getDataType() == in[0].getDataType() ->
        () -> JniUtils.linear(in[0], in[1], in.length > 2 ? in[2] : null);
      // A weight in 16 bits beside an input in 32: PyTorch converts it first.
      case Contraction.Linear() -> () -> {
        try (PtNDArray w = in[1].toType(in[0].getDataType(), true)) {
          return JniUtils.linear(in[0], w, in.length > 2 ? in[2] : null);
        }
      };
      case Contraction.Conv2d(var spec) -> () -> JniUtils.convolution(in[0], in[1], in.length > 2 ? in[2] : null,
          new Shape(stride(spec)), new Shape(padding(spec)), new Shape(1, 1), spec.groups());
      case Contraction.Conv2dInputGrad(var spec, var input) -> {
        PtNDArray x = (PtNDArray) torch.manager().create(new Shape(input.toArray()), DataType.FLOAT32);
        yield () -> torch.convolutionBackward(in[0], x, in[1], stride(spec), padding(spec), true);
      }
      case Contraction.Conv2dWeightGrad(var spec, var weight) -> {
        PtNDArray w = (PtNDArray) torch.manager().create(new Shape(weight.toArray()), DataType.FLOAT32);
        yield () -> torch.convolutionBackward(in[0], in[1], w, stride(spec), padding(spec), false);
      }
      case Contraction.Attention(var scale, var causal) when in.length == 3 ->
        () -> first(torch.attention(in[0], in[1], in[2], scale, causal));
      case Contraction.AttentionGrad(var scale, var causal) when in.length == 6 -> {
        PtNDArray[] forward = torch.attention(in[1], in[2], in[3], scale, causal);
        yield () -> first(torch.attentionBackward(in[0], in[1], in[2], in[3], forward[0], forward[1], scale, causal));
      }
      default -> null;
    };
  }

  private static PtNDArray product(PtNDArray a, PtNDArray b) {
    if (a.getDataType() == b.getDataType()) {
      return JniUtils.matmul(a, b);
    }
    try (PtNDArray w = b.toType(a.getDataType(), true)) {
      return JniUtils.matmul(a, w);
    }
  }

  private static long[] stride(ConvSpec spec) {
    return new long[] {spec.strideH(), spec.strideW()};
  }

  private static long[] padding(ConvSpec spec) {
    return new long[] {spec.top(), spec.left()};
  }

  private static PtNDArray first(PtNDArray[] results) {
    for (int i = 1; i < results.length; i++) {
      results[i].close();
    }
    return results[0];
  }

  private Supplier<PtNDArray> norm(Norm op, PtNDArray[] in) {
    return switch (op) {
      case Norm.GroupNorm(var groups, var eps) -> () -> groupNorm(groups, eps, in);
      case Norm.GroupNormSilu(var groups, var eps) -> () -> {
        try (PtNDArray h = groupNorm(groups, eps, in)) {
          return torch.dispatch("aten::silu", "", h);
        }
      };
      case Norm.LayerNormOfSum(var eps) -> () -> {
        try (PtNDArray sum = JniUtils.add(in[0], in[1])) {
          return JniUtils.layerNorm(sum, new Shape(sum.getShape().getLastDimension()), in[2], in[3], eps);
        }
      };
      case Norm.LayerNorm(var dims, var eps) when in.length == 3 -> {
        long[] sizes = in[0].getShape().getShape();
        Shape normalized = new Shape(Arrays.copyOfRange(sizes, sizes.length - dims, sizes.length));
        yield () -> JniUtils.layerNorm(in[0], normalized, in[1], in[2], eps);
      }
      default -> null;
    };
  }

  private PtNDArray groupNorm(int groups, double eps, PtNDArray[] in) {
    return torch.dispatch("aten::group_norm", "", in[0], (long) groups, new Maybe(in[1]), new Maybe(in[2]), eps, false);
  }

  private Supplier<PtNDArray> unary(Unary op, PtNDArray x) {
    return switch (op) {
      case Unary.Silu() -> () -> torch.dispatch("aten::silu", "", x);
      case Unary.Gelu() -> () -> JniUtils.gelu(x);
      case Unary.Exp() -> () -> x.exp();
      case Unary.Sin() -> () -> x.sin();
      case Unary.Cos() -> () -> x.cos();
      case Unary.Affine(var scale, var shift) -> () -> affine(x, scale, shift);
      default -> null;
    };
  }

  private static PtNDArray affine(PtNDArray x, double scale, double shift) {
    if (shift == 0) {
      return x.mul(scale);
    }
    try (PtNDArray scaled = x.mul(scale)) {
      return scaled.add(shift);
    }
  }

  private static Supplier<PtNDArray> binary(Binary op, PtNDArray[] in) {
    return switch (op) {
      case Binary.Add() -> () -> JniUtils.add(in[0], in[1]);
      case Binary.Sub() -> () -> JniUtils.sub(in[0], in[1]);
      case Binary.Mul() -> () -> JniUtils.mul(in[0], in[1]);
      default -> null;
    };
  }

  private static Supplier<PtNDArray> reduction(Reduction op, PtNDArray x) {
    return switch (op) {
      case Reduction.Sum(var dims, var keep) ->
        () -> JniUtils.sum(x, dims.stream().mapToLong(Integer::longValue).toArray(), keep);
      case Reduction.Softmax(var dim) -> () -> JniUtils.softmax(x, dim, x.getDataType());
      default -> null;
    };
  }

  private Supplier<PtNDArray> layout(Layout op, PtNDArray[] in) {
    return switch (op) {
      // A clone keeps the strides; contiguous_format is memory format 0.
      case Layout.Contiguous() -> () -> torch.dispatch("aten::clone", "", in[0], new Maybe(0L));
      case Layout.Concat(var dim) -> () -> (PtNDArray) NDArrays.concat(new NDList(List.<NDArray>of(in)), dim);
      default -> null;
    };
  }

  private static PtNDArray geglu(PtNDArray x) {
    try (NDList halves = x.split(2, x.getShape().dimension() - 1); PtNDArray gate = JniUtils.gelu((PtNDArray) halves.get(1))) {
      return (PtNDArray) halves.get(0).mul(gate);
    }
  }

  private PtNDArray swiglu(PtNDArray x) {
    try (NDList halves = x.split(2, x.getShape().dimension() - 1);
        PtNDArray gate = torch.dispatch("aten::silu", "", halves.get(0))) {
      return gate.mul(halves.get(1));
    }
  }
}
