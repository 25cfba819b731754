package org.deft4j.deft;

import org.deft4j.tensor.Tensor;

/**
 * {@code P = U diag(s) V^T}, {@code M = U U^T}, injected through U: an orthogonal projector, the same as that of {@link
 * QrDecomposition} unless vectors are left
 * out, with another basis to inject through. This is what a truncated SVD is meant to be; {@link TsvdDecomposition} is what the
 * official code makes of it.
 * Its gradient does not exist where two singular values are equal.
 *
 * @param truncation which vectors take part in M; R is injected through all
 */
public record SvdDecomposition(Truncation truncation) implements Decomposition {
  @Override
  public String method() {
    return "svd";
  }

  @Override
  public Decomposition truncated(Truncation other) {
    return new SvdDecomposition(other);
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    Spectrum spectrum = Spectrum.of(p, truncation);
    Tensor basis = spectrum.basis().cast(p.dtype());
    return new Factors(basis, basis, spectrum.injection(basis, p));
  }
}
