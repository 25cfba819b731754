package org.deft4j.autograd;

import java.util.List;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Reduction;

import static org.deft4j.autograd.Rule.keeping;
import static org.deft4j.autograd.Saves.input;
import static org.deft4j.autograd.Saves.output;

/** Along some dimensions: y has fewer elements than x, and dy goes back to each element that it came from. */
final class ReductionRules {
  private ReductionRules() {}

  static Rule of(Reduction op) {
    return switch (op) {
      case Reduction.Sum(var dims, var keep) -> Rule.of(keeping(
          b -> kept(b.dy(), b.shape(0), dims).expand(b.shape(0).toArray())));
      case Reduction.Max(var dims, var keep) -> extreme(dims);
      case Reduction.Min(var dims, var keep) -> extreme(dims);
      case Reduction.Prod(var dim, var keep) -> Rule.of(keeping(input(0), b -> product(b, dim)));
      case Reduction.ArgMax _ -> Rule.CONSTANT;
      case Reduction.ArgMin _ -> Rule.CONSTANT;
      // y_i = sum_(j <= i) x_j: dx_j = sum_(i >= j) dy_i
      case Reduction.CumSum(var dim) -> Rule.of(keeping(b -> b.dy().flip(dim).cumsum(dim).flip(dim)));
      // dy_i/dx_j = y_i ([i = j] - y_j): dx = y (dy - sum(dy y))
      case Reduction.Softmax(var dim) -> Rule.of(keeping(output(0),
          b -> Dispatch.run(new Fused.SoftmaxGrad(dim), b.dy(), b.output(0))[0]));
      // y_i = x_i - log sum e^x: dx = dy - softmax(x) sum(dy)
      case Reduction.LogSoftmax(var dim) -> Rule.of(keeping(output(0),
          b -> b.dy().sub(b.output(0).exp().mul(b.dy().sumKeep(dim)))));
      // dx = dy softmax(x) = dy e^(x - y)
      case Reduction.LogSumExp(var dim, var keep) -> Rule.of(keeping(input(0).and(output(0)),
          b -> b.input(0).sub(kept(b, b.output(0), dim)).exp().mul(kept(b, b.dy(), dim))));
    };
  }

  /** y, from which the reduced dimensions may have gone, with each of them as size 1. */
  private static Tensor kept(Tensor y, Shape x, List<Integer> dims) {
    Shape shape = x;
    for (int dim : dims) {
      shape = shape.with(dim, 1);
    }
    return y.reshape(shape.toArray());
  }

  private static Tensor kept(Backward b, Tensor y, int dim) {
    return kept(y, b.shape(0), List.of(dim));
  }

  /** The gradient of the largest or smallest goes in equal parts to all elements that have that value. */
  private static Rule extreme(List<Integer> dims) {
    return Rule.of(keeping(input(0).and(output(0)), b -> {
      Tensor here = b.input(0).equal(kept(b.output(0), b.shape(0), dims));
      Tensor ties = here.cast(b.gradientType(0)).sumKeep(dims.stream().mapToInt(d -> d).toArray());
      return here.where(kept(b.dy(), b.shape(0), dims).div(ties), b.zero());
    }));
  }

  /**
   * {@code dx_i = dy prod_(j != i) x_j}. Without a zero in the row that is {@code dy p / x_i} with p the product; with one
   * zero it is dy times the product of the others there and zero elsewhere; with two or more it is zero.
   */
  private static Tensor product(Backward b, int dim) {
    Tensor x = b.input(0);
    Tensor isZero = x.equal(b.zero());
    Tensor zeros = isZero.cast(b.gradientType(0)).sumKeep(dim);
    Tensor one = b.zero().add(1);
    Tensor rest = isZero.where(one, x);
    Tensor p = kept(b, rest.prod(dim), dim);
    Tensor atZero = zeros.equal(one).where(p, b.zero());
    Tensor elsewhere = zeros.equal(b.zero()).where(p, b.zero()).div(rest);
    return kept(b, b.dy(), dim).mul(isZero.where(atZero, elsewhere));
  }
}
