package org.deft4j.deft;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Decompose;

/**
 * {@code M = Q Q^T} with a Q that never changes: what the authors' code does with {@code qr} unless told otherwise, since it
 * keeps the Q of the first
 * forward pass ({@code Q_P_cached}), so that P gets no gradient and R alone learns. Here P is that Q from the start, and is not trained.
 */
public record FrozenQrDecomposition() implements Decomposition {
  @Override
  public String method() {
    return "qr-frozen";
  }

  @Override
  public boolean trainsProjection() {
    return false;
  }

  /** Q of the thin QR of a draw. */
  @Override
  public Tensor start(RandomSource random, DType type, long out, long rank) {
    return Dispatch.run(new Decompose.Qr(), random.normal(DType.F64, out, rank))[0].cast(type);
  }

  /** The same: any draw that favours no direction has a Q like it. */
  @Override
  public Tensor officialStart(RandomSource random, DType type, long out, long rank) {
    return start(random, type, out, rank);
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    return Factors.symmetric(p);
  }
}
