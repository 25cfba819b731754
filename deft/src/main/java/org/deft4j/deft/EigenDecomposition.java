package org.deft4j.deft;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/**
 * The leading r eigenvectors and eigenvalues of {@code P P^T + 1e-6 I}, {@code M = U diag(s^2 + 1e-6) U^T = P P^T + 1e-6 U
 * U^T}, injected through U: official PaRa's {@code eigen}.
 * The official code forms the matrix of out x out; U and s^2 are the same from the singular value decomposition of P.
 *
 * @param truncation which vectors take part in M; R is injected through all
 */
public record EigenDecomposition(Truncation truncation) implements Decomposition {
  private static final double JITTER = 1e-6;

  @Override
  public String method() {
    return "eigen";
  }

  @Override
  public Decomposition truncated(Truncation other) {
    return new EigenDecomposition(other);
  }

  @Override
  public Tensor start(RandomSource random, DType type, long out, long rank) {
    return Spectrum.nearOne(random, type, out, rank);
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    Spectrum spectrum = Spectrum.of(p, truncation, JITTER);
    Tensor eigenvalues = spectrum.values().square().add(JITTER);
    return new Factors(spectrum.basis().mul(eigenvalues).cast(p.dtype()), spectrum.basis().cast(p.dtype()), spectrum.u().cast(p.dtype()));
  }
}
