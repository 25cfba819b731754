package org.deft4j.deft;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/**
 * {@code P = U diag(s) V^T}, {@code L = U diag(sqrt(s))}, {@code M = L L^T}, injected through L: official PaRa's low-rank
 * matrix factorisation, the same M as
 * {@link TsvdDecomposition}, by another basis.
 *
 * @param truncation which vectors take part in M; R is injected through all
 */
public record LrmfDecomposition(Truncation truncation) implements Decomposition {
  @Override
  public String method() {
    return "lrmf";
  }

  @Override
  public Decomposition truncated(Truncation other) {
    return new LrmfDecomposition(other);
  }

  @Override
  public Tensor start(RandomSource random, DType type, long out, long rank) {
    return Spectrum.nearOne(random, type, out, rank);
  }

  @Override
  public Factors factors(Tensor p, String layer) {
    Spectrum spectrum = Spectrum.of(p, truncation);
    Tensor all = spectrum.u().mul(spectrum.s().sqrt()).cast(p.dtype());
    Tensor kept = spectrum.kept() == all.size(1) ? all : all.slice(1, 0, spectrum.kept());
    return new Factors(kept, kept, all);
  }
}
