package org.deft4j.deft;

import org.deft4j.tensor.Tensor;

/**
 * DEFT: {@code W' = W - L S^T W + s E R}, with L, S and E made of P [out, r] by a {@link Decomposition} and R [r, in]
 * injected (arXiv 2509.22793; PEFT's {@code DeftLinear}).
 */
public final class DeftAdapter extends LayerAdapter {
  /** The key of P in a PEFT file. */
  public static final String P = "deft_P";
  /** The key of R in a PEFT file. */
  public static final String R = "deft_R";

  private final Tensor p;
  private final Tensor r;
  private final Decomposition decomposition;
  private final double scale;

  /** Takes ownership of {@code p} [out, r] and {@code r} [r, in]; {@code scale} is s. */
  public DeftAdapter(String layer, Tensor p, Tensor r, Decomposition decomposition, double scale) {
    super(layer);
    this.p = own(P, p);
    this.r = own(R, r);
    this.decomposition = decomposition;
    this.scale = scale;
  }

  @Override
  public long rank() {
    return p.size(1);
  }

  @Override
  public LowRankUpdate update() {
    return LowRankUpdate.replace(decomposition.factors(p, layer()), r, scale);
  }

  /**
   * The R that makes the adapter an identity: {@code R = S^T W / s}, so that {@code s E R = L S^T W}.
   *
   * @throws InputException where the decomposition injects through another basis than it removes
   */
  static Tensor identityInput(Decomposition decomposition, Tensor p, Tensor weight, double scale, String layer) {
    Factors factors = decomposition.factors(p, layer);
    if (!factors.canStartAtIdentity()) {
      throw new InputException("decomposition " + decomposition.method()
          + " cannot start as the identity: it injects through another basis than it removes; use the random start");
    }
    Tensor input = factors.right().t().matmul(weight);
    return scale == 1 ? input : input.mul(1 / scale);
  }
}
