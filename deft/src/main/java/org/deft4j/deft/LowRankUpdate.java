package org.deft4j.deft;

import java.util.function.UnaryOperator;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Linear;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;

/**
 * The one kernel of every method: what an adapter adds to a layer {@code y0 = x W^T},
 *
 * <pre>{@code delta(x, y0) = s (x R^T) E^T - (y0 S) L^T + y0 D          delta W = s E R - L (S^T W) + D W}</pre>
 *
 * with {@code W [out, in]} frozen, {@code L, S [out, k], E [out, r]}, {@code R [r, in]} and {@code D = diag(d)}, d [out]. PaRa has no E
 * and R, LoRA no L and S, and D is DoRA's alone.
 * Where L is E the two thin products are subtracted first: {@code (s x R^T - y0 S) E^T}. Nothing of size out x out is
 * formed, and the extra cost per row is at most {@code 2 r (in + 3 out)} operations.
 *
 * <p>On a convolution the same happens along the channels at every position: {@code x R^T} is the convolution with r filters R
 * [r, in, kh, kw], the
 * others are products over the output channels. As a matrix its weight is [out, in kh kw].
 *
 * @param left L, null where nothing is removed
 * @param right S, null where nothing is removed
 * @param injection E, null where nothing is injected
 * @param input R, null where nothing is injected
 * @param scale s
 * @param rows d, by how much the rows of the weight grow; null where they stay
 */
public record LowRankUpdate(Tensor left, Tensor right, Tensor injection, Tensor input, double scale, Tensor rows) {
  /** Without D. */
  public LowRankUpdate(Tensor left, Tensor right, Tensor injection, Tensor input, double scale) {
    this(left, right, injection, input, scale, null);
  }

  /** Removal and injection (DEFT). */
  public static LowRankUpdate replace(Factors factors, Tensor input, double scale) {
    return new LowRankUpdate(factors.left(), factors.right(), factors.injection(), input, scale);
  }

  /** Removal alone (PaRa). */
  public static LowRankUpdate remove(Factors factors) {
    return new LowRankUpdate(factors.left(), factors.right(), null, null, 1);
  }

  /** Addition alone (LoRA): {@code s B A}. */
  public static LowRankUpdate add(Tensor b, Tensor a, double scale) {
    return new LowRankUpdate(null, null, b, a, scale);
  }

  /** Addition, with rows that grow (DoRA). */
  public static LowRankUpdate rescale(Tensor injection, Tensor input, double scale, Tensor rows) {
    return new LowRankUpdate(null, null, injection, input, scale, rows);
  }

  /** {@code strength * delta}, for the layer's input x and {@code y0}, its product without bias. */
  public Tensor delta(AdaptedLayer layer, Tensor x, Tensor y0, double strength) {
    Tensor thin = thin(layer, x, y0, strength);
    return rows == null ? thin : thin.add(layer.scaleOutputs(y0, scaled(rows, strength)));
  }

  private Tensor thin(AdaptedLayer layer, Tensor x, Tensor y0, double strength) {
    if (left == null) {
      return layer.mixOutputs(scaled(layer.product(x, input), strength * scale), injection);
    }
    Tensor removed = layer.mixOutputs(y0, right.t());
    if (input == null) {
      return layer.mixOutputs(scaled(removed, -strength), left);
    }
    Tensor injected = scaled(layer.product(x, input), strength * scale);
    removed = scaled(removed, strength);
    return left == injection ? layer.mixOutputs(injected.sub(removed), left)
        : layer.mixOutputs(injected, injection).sub(layer.mixOutputs(removed, left));
  }

  /**
   * {@code y0 + strength * delta}: on a linear layer at full strength, and where E is L, in one pass over y0
   * ({@link Contraction.RankUpdate}), to the same bits.
   */
  public Tensor applied(AdaptedLayer layer, Tensor x, Tensor y0, double strength) {
    if (left == null || strength != 1 || (input != null && injection != left) || !(layer instanceof Linear)) {
      return y0.add(delta(layer, x, y0, strength));
    }
    Contraction step = new Contraction.RankUpdate(scale);
    return input == null ? Dispatch.run(step, y0, right, left)[0]
        : Dispatch.run(step, y0, right, left, layer.product(x, input))[0];
  }

  /** {@code strength * delta W} in the shape of {@code weight} [out, in] or [out, in, kh, kw], in the adapter's type. */
  public Tensor weightDelta(Tensor weight, double strength) {
    Tensor delta = thinDelta(weight, strength).matrix();
    Tensor grown = rows == null ? delta
        : delta.add(matrix(weight).cast(rows.dtype()).mul(scaled(rows, strength).reshape(-1, 1)));
    return grown.reshape(weight.shape().toArray());
  }

  /** The same as two thin factors, but for D. */
  LowRank thinDelta(Tensor weight, double strength) {
    if (left == null) {
      return new LowRank(injection, scaled(matrix(input), strength * scale));
    }
    Tensor removed = scaled(right.t().matmul(matrix(weight)), strength);
    if (input == null) {
      return new LowRank(left, removed.neg());
    }
    Tensor injected = scaled(matrix(input), strength * scale);
    return left == injection ? new LowRank(left, injected.sub(removed))
        : new LowRank(Tensor.concat(1, injection, left), Tensor.concat(0, injected, removed.neg()));
  }

  /** A convolution's weight [out, in, kh, kw] as [out, in kh kw]. */
  static Tensor matrix(Tensor weight) {
    return weight.rank() == 2 ? weight : weight.flatten(1, weight.rank() - 1);
  }

  private static Tensor scaled(Tensor x, double factor) {
    return factor == 1 ? x : x.mul(factor);
  }

  /** With handles of its own on the same values, owned by no scope; equal factors stay one object. */
  LowRankUpdate shared() {
    UnaryOperator<Tensor> share = t -> t == null ? null : t.share();
    Tensor l = share.apply(left);
    Tensor s = right == left ? l : share.apply(right);
    Tensor e = injection == left ? l : share.apply(injection);
    return new LowRankUpdate(l, s, e, share.apply(input), scale, share.apply(rows));
  }

  /** Closes the handles that {@link #shared} made. */
  void closeShared() {
    for (Tensor t : new Tensor[] {left, right, injection, input, rows}) {
      if (t != null) {
        t.close();
      }
    }
  }
}
