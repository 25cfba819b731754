package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Shape;

/**
 * What an adapter is, apart from its trained values.
 *
 * @param method the family
 * @param decomposition how P becomes thin factors; null for LoRA and DoRA
 * @param rank r, before it is capped at a layer's width
 * @param alpha the scale is {@code alpha / r}; null: 1
 * @param targets which layers are adapted
 * @param start how it starts
 * @param initScale of the random start: R is drawn with standard deviation {@code 0.02 initScale}
 * @param extras gate, dropout, sparsity
 */
public record AdapterConfig(Method method, Decomposition decomposition, int rank, Double alpha, Targets targets,
    Start start, double initScale, AdapterExtras extras) {
  /** @throws InputException listing what does not fit together */
  public AdapterConfig {
    List<String> problems = new ArrayList<>(extras.problems(method));
    if (rank < 1) {
      problems.add("rank " + rank + ": at least 1 is needed");
    }
    if (alpha != null && !(alpha > 0 && Double.isFinite(alpha))) {
      problems.add("alpha " + alpha + ": a positive number is needed");
    }
    if (!(initScale >= 0 && Double.isFinite(initScale))) {
      problems.add("init scale " + initScale + ": must not be negative");
    }
    if ((decomposition != null) != method.projects()) {
      problems.add(decomposition == null ? "method " + method.label() + " needs a decomposition"
          : "method " + method.label() + " takes no decomposition");
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    if (method == Method.DORA || (method == Method.LORA && start == Start.RANDOM)) {
      start = Start.IDENTITY;
    } else if (method != Method.LORA && method != Method.DEFT && start == Start.IDENTITY) {
      start = Start.RANDOM;
    }
  }

  /** DEFT with {@code M = P P^T} on the attention projections, starting as the identity. */
  public static AdapterConfig deft(int rank) {
    return of(Method.DEFT, rank);
  }

  /** PaRa with an orthogonal projector on the attention projections. */
  public static AdapterConfig para(int rank) {
    return of(Method.PARA, rank);
  }

  /** LoRA on the attention projections, scale 1. */
  public static AdapterConfig lora(int rank) {
    return of(Method.LORA, rank);
  }

  /** DoRA on the attention projections, scale 1. */
  public static AdapterConfig dora(int rank) {
    return of(Method.DORA, rank);
  }

  /** The usual configuration of {@code method}. */
  public static AdapterConfig of(Method method, int rank) {
    Decomposition decomposition = switch (method) {
      case DEFT, LORA_PARA -> new RelaxedDecomposition();
      case PARA -> new QrDecomposition();
      case LORA, DORA -> null;
    };
    return new AdapterConfig(method, decomposition, rank, null, Targets.ATTENTION, Start.IDENTITY, 1, AdapterExtras.NONE);
  }

  /** With another decomposition. */
  public AdapterConfig with(Decomposition other) {
    return new AdapterConfig(method, other, rank, alpha, targets, start, initScale, extras);
  }

  /** On other layers. */
  public AdapterConfig with(Targets other) {
    return new AdapterConfig(method, decomposition, rank, alpha, other, start, initScale, extras);
  }

  /** With {@code alpha}, null for scale 1. */
  public AdapterConfig withAlpha(Double other) {
    return new AdapterConfig(method, decomposition, rank, other, targets, start, initScale, extras);
  }

  /** Starting otherwise. */
  public AdapterConfig with(Start other) {
    return new AdapterConfig(method, decomposition, rank, alpha, targets, other, initScale, extras);
  }

  /** With gate, dropout or sparsity. */
  public AdapterConfig with(AdapterExtras other) {
    return new AdapterConfig(method, decomposition, rank, alpha, targets, start, initScale, other);
  }

  /**
   * Tries the start on a small layer, before a large model is read for it.
   *
   * @throws InputException if the decomposition cannot start as asked
   */
  public void requireStart() {
    AdapterStart.rehearse(this);
  }

  /** The rank on a layer of this width: P has no more independent columns than the layer has outputs. */
  long rankFor(long outFeatures) {
    return method.projects() ? Math.min(rank, outFeatures) : rank;
  }

  /** s on a layer whose adapter has {@code layerRank} columns: {@code alpha / layerRank}, or 1. */
  double scaleFor(long layerRank) {
    return alpha == null ? 1 : alpha / layerRank;
  }

  /**
   * How many numbers are trained on a layer of this weight [out, in] or [out, in, kh, kw]: {@code r out} for P, unless it is
   * frozen, and as many again where it
   * holds two matrices; {@code r in} for R; {@code r (in + out)} for A and B; out for DoRA's lengths; 1 for a
   * gate. Here in is what a row of the weight holds.
   */
  public long parameterCount(Shape weight) {
    long out = weight.size(0);
    long in = weight.elementCount() / Math.max(1, out);
    long r = rankFor(out);
    long projection = method.projects() && decomposition.trainsProjection() ? decomposition.columns(r) * out : 0;
    return projection + (method == Method.DEFT ? r * in : 0) + (method.adds() ? r * (in + out) : 0)
        + (method == Method.DORA ? out : 0) + (extras.gate() ? 1 : 0);
  }
}
