package org.deft4j.autograd;

import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.Unary;
import org.deft4j.tensor.op.View;

/**
 * The gradient of every operation. In all files of this family y is the output, dy the gradient that came back to it,
 * and dx the gradient by x that goes on.
 */
final class Rules {
  private Rules() {}

  /** The rule of {@code op}, of whose inputs those in {@code needs} want a gradient. */
  static Rule of(Op op, Needs needs) {
    return switch (op) {
      case Unary unary -> UnaryRules.of(unary);
      case Binary binary -> BinaryRules.of(binary);
      case Reduction reduction -> ReductionRules.of(reduction);
      case View view -> ViewRules.of(view);
      case Layout layout -> LayoutRules.of(layout);
      case Indexing indexing -> IndexingRules.of(indexing);
      case Contraction contraction -> ContractionRules.of(contraction);
      case Norm norm -> NormRules.of(norm, needs);
      case Spatial spatial -> SpatialRules.of(spatial);
      case Fused fused -> FusedRules.of(fused, needs);
      case Decompose decompose -> DecomposeRules.of(decompose);
      case InPlace inPlace -> throw new UnsupportedOperationException(inPlace.label()
          + ": not recorded: it works in place, and a tape refuses it where it matters before asking for its rule");
    };
  }
}
