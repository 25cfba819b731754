package org.deft4j.deft;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/**
 * {@code P = U diag(s) V^T}, {@code M = U diag(s) U^T}, injected through U: official PaRa's {@code tsvd}, {@code M = (P
 * P^T)^(1/2)}. M has the singular
 * values as eigenvalues, so it is no projector unless they are 1; {@link SvdDecomposition} is the projector.
 *
 * @param truncation which vectors take part in M; R is injected through all
 */
public record TsvdDecomposition(Truncation truncation) implements Decomposition {
  @Override
  public String method() {
    return "tsvd";
  }

  @Override
  public Decomposition truncated(Truncation other) {
    return new TsvdDecomposition(other);
  }

  @Override
  public Tensor start(RandomSource random, DType type, long out, long rank) {
    return Spectrum.nearOne(random, type, out, rank);
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    Spectrum spectrum = Spectrum.of(p, truncation);
    Tensor left = spectrum.basis().mul(spectrum.values());
    return new Factors(left.cast(p.dtype()), spectrum.basis().cast(p.dtype()), spectrum.u().cast(p.dtype()));
  }
}
