package org.deft4j.deft.testing;

import java.util.function.UnaryOperator;
import org.deft4j.autograd.Tape;
import org.deft4j.deft.Decomposition;
import org.deft4j.deft.DeftAdapter;
import org.deft4j.deft.Factors;
import org.deft4j.deft.LowRankUpdate;
import org.deft4j.deft.ParaAdapter;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Linear;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * What a decomposition may promise beyond being one, with {@code M = L S^T} what it removes and E what R is injected through.
 * Each knows by how much it is violated on a sample, so that it can be shown to hold, and shown not to.
 */
public enum Claim {
  /** {@code M = M^T}. */
  SYMMETRIC {
    @Override
    double violation(Decomposition decomposition, LayerSample sample, UnaryOperator<Dense> admissible) {
      Dense m = DenseFactors.of(factors(decomposition, sample.tensor(p(decomposition, sample, admissible)))).removal();
      return difference(m, m.t());
    }
  },
  /** {@code M M = M}; then PaRa twice is PaRa once. */
  PROJECTOR {
    @Override
    double violation(Decomposition decomposition, LayerSample sample, UnaryOperator<Dense> admissible) {
      AdaptedLayer layer = sample.layer();
      Dense p = p(decomposition, sample, admissible);
      Dense m = DenseFactors.of(factors(decomposition, sample.tensor(p))).removal();
      try (ParaAdapter para = unmasked(sample).para(layer, decomposition, p)) {
        Tensor once = layer.weight().value().add(para.weightDelta(layer.weight().value()));
        Tensor twice = once.add(para.weightDelta(once));
        return Math.max(difference(m, m.times(m)), difference(Dense.of(once), Dense.of(twice)));
      }
    }
  },
  /** {@code L = S, S^T S = I}: M is an orthogonal projector, and PaRa leaves nothing in the span, {@code S^T W' = 0}. */
  ORTHONORMAL {
    @Override
    double violation(Decomposition decomposition, LayerSample sample, UnaryOperator<Dense> admissible) {
      AdaptedLayer layer = sample.layer();
      Dense p = p(decomposition, sample, admissible);
      Factors factors = factors(decomposition, sample.tensor(p));
      Dense s = Dense.of(factors.right());
      try (ParaAdapter para = unmasked(sample).para(layer, decomposition, p)) {
        Dense left = s.t().times(Dense.of(layer.weight().value().add(para.weightDelta(layer.weight().value()))));
        double orthonormal = difference(Dense.identity(s.width()), s.t().times(s));
        return Math.max(Math.max(orthonormal, difference(s, Dense.of(factors.left()))),
            left.largest() / Math.max(1, sample.weight().largest()));
      }
    }
  },
  /** {@code S^T W' = s R}: DEFT's weight shows R in the basis. */
  SHOWS_R {
    @Override
    double violation(Decomposition decomposition, LayerSample sample, UnaryOperator<Dense> admissible) {
      AdaptedLayer layer = sample.layer();
      Dense p = p(decomposition, sample, admissible);
      Dense s = Dense.of(factors(decomposition, sample.tensor(p)).right());
      try (DeftAdapter deft = unmasked(sample).deft(layer, decomposition, p)) {
        Dense adapted = Dense.of(layer.weight().value().add(deft.weightDelta(layer.weight().value())));
        Dense injected = sample.r().times(sample.injectionScale());
        return s.width() == sample.rank() ? difference(injected, s.t().times(adapted)) : 1;
      }
    }
  },
  /**
   * M is the same for P and for P A, A invertible: it depends on the span of P alone. Then what is learnt of P has no part inside
   * the span, {@code P^T dP = 0}. In float64, for in float32 P A is rounded, and what that does grows with how nearly dependent
   * the columns of P are.
   */
  SPAN_INVARIANT {
    @Override
    double violation(Decomposition decomposition, LayerSample sample, UnaryOperator<Dense> admissible) {
      Dense p = p(decomposition, sample, admissible);
      Dense mix = Dense.withSingularValues(sample.seed() + 50, p.width(), p.width(), Dense.zeros(1, p.width()).map(x -> 1.5).rows()[0])
          .plus(Dense.identity(p.width()).times(0.5));
      Tensor q = p.tensor(DType.F64);
      Dense m = DenseFactors.of(factors(decomposition, q)).removal();
      Dense mixed = DenseFactors.of(factors(decomposition, admissible.apply(p.times(mix)).tensor(DType.F64))).removal();
      return Math.max(difference(m, mixed), decomposition.trainsProjection() ? insideSpan(decomposition, sample, q) : 0);
    }
  },
  /** E has no direction that L lacks: {@code delta W} has at most rank r, 2 r otherwise. */
  ONE_SPAN {
    @Override
    double violation(Decomposition decomposition, LayerSample sample, UnaryOperator<Dense> admissible) {
      Factors factors = factors(decomposition, p(decomposition, sample, admissible).tensor(DType.F64));
      double[] s = Dense.of(factors.left()).beside(Dense.of(factors.injection())).singularValues();
      return s.length > sample.rank() ? s[sample.rank()] / Math.max(1, s[0]) : 0;
    }
  },
  /** L has no direction that E lacks, {@code L = E C}: with {@code R = C S^T W / s} nothing is changed. */
  STARTS_AS_IDENTITY {
    @Override
    double violation(Decomposition decomposition, LayerSample sample, UnaryOperator<Dense> admissible) {
      Factors factors = factors(decomposition, p(decomposition, sample, admissible).tensor(DType.F64));
      if (factors.left() == factors.injection()) {
        return 0;
      }
      Dense l = Dense.of(factors.left());
      Dense basis = Dense.of(factors.injection()).q();
      return l.plus(basis.times(basis.t().times(l)).times(-1)).largest() / l.largest();
    }
  },
  /** A P whose columns are dependent is refused with a {@link NumericException} that names the layer. */
  REFUSES_DEPENDENT_COLUMNS {
    @Override
    double violation(Decomposition decomposition, LayerSample sample, UnaryOperator<Dense> admissible) {
      try {
        factors(decomposition, sample.tensor(p(decomposition, sample.with(Conditioning.DEFICIENT), admissible)));
        return 1;
      } catch (NumericException e) {
        return e.getMessage().contains(LayerSample.PATH) ? 0 : 1;
      }
    }
  };

  /**
   * By how much the sample violates it, relative to what is compared: 0, but for rounding, where it holds.
   *
   * @param admissible makes of any P one that the decomposition takes
   */
  abstract double violation(Decomposition decomposition, LayerSample sample, UnaryOperator<Dense> admissible);

  private static Dense p(Decomposition decomposition, LayerSample sample, UnaryOperator<Dense> admissible) {
    return admissible.apply(sample.p(decomposition)).rounded(sample.type());
  }

  private static Factors factors(Decomposition decomposition, Tensor p) {
    return decomposition.factors(p, LayerSample.PATH);
  }

  private static LayerSample unmasked(LayerSample s) {
    return new LayerSample(s.kind(), s.in(), s.out(), s.rank(), s.batch(), s.bias(), s.gated(), false, s.type(), s.scale(), s.strength(),
        s.conditioning(), s.seed());
  }

  private static double difference(Dense a, Dense b) {
    return a.minus(b).largest() / Math.max(1, Math.max(a.largest(), b.largest()));
  }

  /** {@code |P^T dP|} of PaRa, for a random gradient of what it answers, relative to what the gradient is made of. */
  private static double insideSpan(Decomposition decomposition, LayerSample sample, Tensor p) {
    AdaptedLayer layer = sample.layer(DType.F64);
    Tensor base = Dense.normal(sample.seed() + 60, 4, sample.out()).tensor(DType.F64);
    Tensor upstream = Dense.normal(sample.seed() + 61, 4, sample.out()).tensor(DType.F64);
    if (!(layer instanceof Linear)) {
      base = base.reshape(4, sample.out(), 1, 1);
      upstream = upstream.reshape(4, sample.out(), 1, 1);
    }
    try (Scope _ = Scope.open(); Tape tape = Tape.watch(p)) {
      Tensor removed = LowRankUpdate.remove(decomposition.factors(p, LayerSample.PATH)).delta(layer, null, base, 1);
      Dense gradient = Dense.of(tape.gradients(removed.mul(upstream).sum()).of(p));
      return Dense.of(p).t().times(gradient).largest() / Math.max(1, gradient.largest());
    }
  }
}
