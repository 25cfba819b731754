package org.deft4j.autograd;

import java.util.Arrays;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Norm;

import static org.deft4j.autograd.Rule.keeping;
import static org.deft4j.autograd.Saves.input;
import static org.deft4j.autograd.Saves.output;

/**
 * {@code y = w h + b} with {@code h = (x - mean) rstd}. The sums over what shares a statistic, of n elements, give
 *
 * <pre>
 *   g = w dy     dx = rstd (g - mean(g) - h mean(g h))     dw = sum(dy h)     db = sum(dy)
 * </pre>
 *
 * <p>and for the RMS norm, {@code h = x rrms}, {@code dx = rrms (g - h mean(g h))}. One kernel computes them all from x and the
 * statistics, dw and db of rows only where they are wanted (those of a group norm cost nothing); the output is not needed.
 */
final class NormRules {
  private static final int BIAS = 2;
  /** The weight of a layer norm of a sum, after its two terms. */
  private static final int WEIGHT = 2;

  private NormRules() {}

  static Rule of(Norm op, Needs needs) {
    boolean onlyBias = !needs.anyBefore(BIAS);
    return switch (op) {
      case Norm.GroupNorm(var groups, var eps) -> onlyBias ? bias(NormRules::overChannels)
          : Rule.together(input(0).and(input(1)).and(output(1)).and(output(2)), b -> Dispatch.run(
              new Norm.GroupNormGrad(groups), b.dy(), b.input(0), b.output(1), b.output(2), b.input(1)));
      // y = silu(h): dh = dy silu'(h), and from there as above
      case Norm.GroupNormSilu(var groups, var eps) -> Rule.together(
          input(0).and(input(1)).and(input(2)).and(output(1)).and(output(2)), b -> Dispatch.run(
              new Norm.GroupNormSiluGrad(groups), b.dy(), b.input(0), b.output(1), b.output(2), b.input(1), b.input(2)));
      case Norm.LayerNorm(var dims, var eps) -> onlyBias ? bias(Backward::dy)
          : Rule.together(input(0).and(input(1)).and(output(1)).and(output(2)), b -> perInput(b, Dispatch.run(
              new Norm.LayerNormGrad(dims, ofWeights(b, 1)), withWeight(b, b.dy(), b.input(0), b.output(1), b.output(2)))));
      case Norm.LayerNormOfSum _ -> Rule.together(
          input(WEIGHT).and(output(1)).and(output(2)).and(output(3)), NormRules::throughSum);
      case Norm.RmsNorm _ -> Rule.together(input(0).and(input(1)).and(output(1)), b -> perInput(b, Dispatch.run(
          new Norm.RmsNormGrad(ofWeights(b, 1)), withWeight(b, b.dy(), b.input(0), b.output(1)))));
      case Norm.GroupNormGrad _ -> throw Rule.firstOrderOnly(op);
      case Norm.GroupNormSiluGrad _ -> throw Rule.firstOrderOnly(op);
      case Norm.LayerNormGrad _ -> throw Rule.firstOrderOnly(op);
      case Norm.RmsNormGrad _ -> throw Rule.firstOrderOnly(op);
    };
  }

  /** Where x and w are frozen, db needs nothing but dy. */
  private static Rule bias(Function<Backward, Tensor> gradient) {
    Rule.Partial none = keeping(b -> null);
    return Rule.of(none, none, keeping(gradient));
  }

  private static Tensor overChannels(Backward b) {
    return b.dy().sum(IntStream.range(0, b.dy().rank()).filter(dim -> dim != 1).toArray());
  }

  /** y = norm(s), s = x + r: dx = dr = ds, the norm's and what came back through s itself. */
  private static Tensor[] throughSum(Backward b) {
    b.onlyThrough(2);
    if (b.dy(0) == null) {
      return new Tensor[] {b.dy(1), b.dy(1), b.zeros(WEIGHT), b.zeros(WEIGHT)};
    }
    boolean ofWeights = ofWeights(b, WEIGHT);
    Tensor[] norm = Dispatch.run(new Norm.LayerNormGrad(1, ofWeights), b.dy(0), b.output(1), b.output(2), b.output(3),
        b.input(WEIGHT));
    if (b.dy(1) != null) {
      Dispatch.run(new InPlace.AddScaledInto(1), norm[0], b.dy(1));
    }
    return ofWeights ? new Tensor[] {norm[0], norm[0], norm[1], norm[2]} : new Tensor[] {norm[0], norm[0], null, null};
  }

  /** Whether the gradient of an input from {@code weight} on is wanted: those of x fall out without it. */
  private static boolean ofWeights(Backward b, int weight) {
    return IntStream.range(weight, b.inputs()).anyMatch(b::needs);
  }

  /** {@code gradients}, and null for each input that has none. */
  private static Tensor[] perInput(Backward b, Tensor[] gradients) {
    return Arrays.copyOf(gradients, b.inputs());
  }

  /** The weight is input 1, where there is one. */
  private static Tensor[] withWeight(Backward b, Tensor... first) {
    if (b.inputs() == 1) {
      return first;
    }
    Tensor[] all = Arrays.copyOf(first, first.length + 1);
    all[first.length] = b.input(1);
    return all;
  }
}
