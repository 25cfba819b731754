package org.deft4j.deft;

import org.deft4j.nn.AdaptedLayer;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/**
 * DEFT: {@code W' = W - L S^T W + s g E R}, with L, S and E made of P [out, r] by a {@link Decomposition} and R [r, in]
 * injected (arXiv 2509.22793; PEFT's {@code DeftLinear}). The gate {@code g = sigmoid(G)} is 1 where there is none.
 */
public final class DeftAdapter extends LayerAdapter {
  /** The key of P in a PEFT file. */
  public static final String P = "deft_P";
  /** The key of R in a PEFT file. */
  public static final String R = "deft_R";
  /** The key of the number G [1] of a gate, of any method's; PEFT has none. */
  public static final String GATE = "deft_gate";
  /** The key of P's mask; PEFT has none. */
  public static final String MASK = "deft_mask";

  private final Projection projection;
  private final Tensor r;
  private final Tensor gate;
  private final double scale;

  /**
   * Takes ownership of the matrices.
   *
   * @param r R [r, in], or [r, in, kh, kw] for a convolution
   * @param gate G [1], or null
   * @param scale s
   */
  public DeftAdapter(String path, AdaptedLayer layer, Projection projection, Tensor r, Tensor gate, double scale) {
    super(path, layer);
    this.projection = projection.ownedBy(this);
    this.r = own(R, r);
    this.gate = gate == null ? null : own(GATE, gate);
    this.scale = scale;
  }

  /** s. */
  double scale() {
    return scale;
  }

  @Override
  Projection projection() {
    return projection;
  }

  @Override
  public long rank() {
    return projection.rank();
  }

  @Override
  public LowRankUpdate update() {
    return LowRankUpdate.replace(factors(), gated(r, gate), scale);
  }

  /**
   * The R that makes the adapter an identity: {@code R = C S^T W / (s g)} with {@code E C = L}, so that {@code s g E R = L S^T W}. Where E is
   * L, C is 1 and nothing is changed to the bit; elsewhere to the rounding of R.
   *
   * @param scale s g
   * @throws InputException where the decomposition removes what it cannot inject
   */
  static Tensor identityInput(Projection projection, Tensor weight, double scale, String path) {
    Factors factors = projection.factors(path);
    Tensor removed = LowRankUpdate.remove(factors).thinDelta(weight, 1).v();
    Tensor restored = removed;
    if (factors.left() != factors.injection()) {
      Tensor c = factors.leftThroughInjection().orElseThrow(() -> new InputException("decomposition " + projection.decomposition().method()
          + " cannot start as the identity: it removes what it cannot inject; use the random start"));
      restored = c.matmul(removed.cast(DType.F64)).cast(removed.dtype());
    }
    long[] sizes = weight.shape().toArray();
    sizes[0] = factors.injection().size(1);
    return restored.mul(-1 / scale).reshape(sizes);
  }
}
