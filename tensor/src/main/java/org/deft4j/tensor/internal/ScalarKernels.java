package org.deft4j.tensor.internal;

import org.deft4j.tensor.Tensor;
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

/** The plain kernels: one loop a formula, for every operation and every type it takes. */
public final class ScalarKernels implements ProcessorKernels {
  @Override
  public void run(Op op, Tensor[] in, Tensor[] out) {
    switch (op) {
      case Unary unary -> ScalarElementwise.run(unary, in, out);
      case Binary binary -> ScalarElementwise.run(binary, in, out);
      case Reduction reduction -> ScalarReductions.run(reduction, in, out);
      case View view -> throw new IllegalStateException(view.label() + ": a view computes nothing");
      case Layout layout -> ScalarLayout.run(layout, in, out);
      case Indexing indexing -> ScalarIndexing.run(indexing, in, out);
      case Contraction contraction -> ScalarContraction.run(contraction, in, out);
      case Norm norm -> ScalarNorms.run(norm, in, out);
      case Spatial spatial -> ScalarSpatial.run(spatial, in, out);
      case Fused.GlobalNorm() -> GlobalNorm.run(this, in, out[0]);
      case Fused fused -> ScalarFused.run(fused, in, out);
      case Decompose.Qr() -> ThinQr.run(in[0], out, new ScalarPanels());
      case Decompose.QrGrad() -> QrGradient.run(in, out[0], new ScalarPanels());
      case Decompose decompose -> Decompositions.run(decompose, in[0], out);
      case InPlace.CopyInto() -> StridedCopy.convert(in[1], in[0]);
      case InPlace.Fill(var value) -> ScalarLayout.fill(in[0], value);
      case InPlace.ClipInto clip -> GlobalNorm.clip(this, clip, in);
      case InPlace update -> ScalarUpdates.run(update, in, out);
    }
  }

  @Override
  public Limits limits() {
    return new ScalarLimits();
  }

  @Override
  public String describe() {
    return "scalar kernels";
  }
}
