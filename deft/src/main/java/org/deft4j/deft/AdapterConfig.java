package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;

/**
 * What an adapter is, apart from its trained values.
 *
 * @param method the family
 * @param decomposition how P becomes thin factors; null for LoRA
 * @param rank r, before it is capped at a layer's width
 * @param alpha the scale is {@code alpha / r}; null: 1
 * @param targets which layers are adapted
 * @param identityStart start as the identity, as PEFT does; otherwise at random, as the authors do. PaRa has no identity
 *     start, LoRA no other
 * @param initScale of the random start: R is drawn with standard deviation {@code 0.02 initScale}
 */
public record AdapterConfig(Method method, Decomposition decomposition, int rank, Double alpha, Targets targets,
    boolean identityStart, double initScale) {
  /** @throws InputException listing what does not fit together */
  public AdapterConfig {
    List<String> problems = new ArrayList<>();
    if (rank < 1) {
      problems.add("rank " + rank + ": at least 1 is needed");
    }
    if (alpha != null && !(alpha > 0 && Double.isFinite(alpha))) {
      problems.add("alpha " + alpha + ": a positive number is needed");
    }
    if (!(initScale >= 0 && Double.isFinite(initScale))) {
      problems.add("init scale " + initScale + ": must not be negative");
    }
    if ((decomposition == null) != (method == Method.LORA)) {
      problems.add(method == Method.LORA ? "method lora takes no decomposition"
          : "method " + method.label() + " needs a decomposition");
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    identityStart = method == Method.LORA || (identityStart && method == Method.DEFT);
  }

  /** DEFT with {@code M = P P^T} on the attention projections, starting as the identity. */
  public static AdapterConfig deft(int rank) {
    return new AdapterConfig(Method.DEFT, new RelaxedDecomposition(), rank, null, Targets.ATTENTION, true, 1);
  }

  /** PaRa with an orthogonal projector on the attention projections. */
  public static AdapterConfig para(int rank) {
    return new AdapterConfig(Method.PARA, new QrDecomposition(), rank, null, Targets.ATTENTION, false, 1);
  }

  /** LoRA on the attention projections, scale 1. */
  public static AdapterConfig lora(int rank) {
    return new AdapterConfig(Method.LORA, null, rank, null, Targets.ATTENTION, true, 1);
  }

  /** The usual configuration of {@code method}. */
  public static AdapterConfig of(Method method, int rank) {
    return switch (method) {
      case DEFT -> deft(rank);
      case PARA -> para(rank);
      case LORA -> lora(rank);
    };
  }

  /** With another decomposition. */
  public AdapterConfig with(Decomposition other) {
    return new AdapterConfig(method, other, rank, alpha, targets, identityStart, initScale);
  }

  /** On other layers. */
  public AdapterConfig with(Targets other) {
    return new AdapterConfig(method, decomposition, rank, alpha, other, identityStart, initScale);
  }

  /** With {@code alpha}, null for scale 1. */
  public AdapterConfig withAlpha(Double other) {
    return new AdapterConfig(method, decomposition, rank, other, targets, identityStart, initScale);
  }

  /** Starting as the identity, or at random. */
  public AdapterConfig withIdentityStart(boolean identity) {
    return new AdapterConfig(method, decomposition, rank, alpha, targets, identity, initScale);
  }

  /** The rank on a layer of this width: P has no more independent columns than the layer has outputs. */
  long rankFor(long outFeatures) {
    return method == Method.LORA ? rank : Math.min(rank, outFeatures);
  }

  /** s on a layer whose adapter has {@code layerRank} columns: {@code alpha / layerRank}, or 1. */
  double scaleFor(long layerRank) {
    return alpha == null ? 1 : alpha / layerRank;
  }

  /**
   * How many numbers are trained on a layer: {@code r (in + out)} for DEFT and LoRA, {@code r out} for PaRa.
   */
  public long parameterCount(long inFeatures, long outFeatures) {
    return rankFor(outFeatures) * (method == Method.PARA ? outFeatures : inFeatures + outFeatures);
  }
}
