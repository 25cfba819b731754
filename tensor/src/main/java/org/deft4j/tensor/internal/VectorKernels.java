package org.deft4j.tensor.internal;

import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Unary;

/**
 * The kernels of {@code jdk.incubator.vector}: each family takes what it can do faster, with the bits of {@link
 * ScalarKernels}, which does the rest.
 */
final class VectorKernels implements ProcessorKernels {
  private final Kernels plain = new ScalarKernels();

  /** The width of the vectors in use. */
  static int bits() {
    return Simd.FLOATS.vectorBitSize();
  }

  /** The width that the processor does best. */
  static int preferredBits() {
    return FloatVector.SPECIES_PREFERRED.vectorBitSize();
  }

  @Override
  public void run(Op op, Tensor[] in, Tensor[] out) {
    boolean done = switch (op) {
      case Unary unary -> VectorElementwise.run(unary, in, out);
      case Binary binary -> VectorElementwise.run(binary, in, out);
      case Reduction reduction -> VectorReductions.run(reduction, in, out);
      case Norm norm -> VectorNorms.run(norm, in, out);
      case InPlace.ClipInto clip -> {
        GlobalNorm.clip(this, clip, in);
        yield true;
      }
      case InPlace update -> VectorUpdates.run(update, in);
      case Fused.GlobalNorm() -> {
        GlobalNorm.run(this, in, out[0]);
        yield true;
      }
      case Fused fused -> VectorFused.run(fused, in, out);
      case Contraction.MatMul product -> VectorProducts.run(product, in, out) || VectorDoubleProducts.run(in[0], in[1], out[0]);
      case Contraction.Linear product -> VectorProducts.run(product, in, out);
      case Contraction.RankUpdate(var scale) -> VectorRankUpdate.run(scale, in, out);
      case Contraction.Conv2d convolution -> VectorConvolution.run(convolution, in, out);
      case Contraction.Conv2dInputGrad convolution -> VectorConvolution.run(convolution, in, out);
      case Contraction.Conv2dWeightGrad convolution -> VectorConvolution.run(convolution, in, out);
      case Contraction.Attention attention -> VectorAttention.run(attention, in, out);
      case Contraction.AttentionGrad attention -> VectorAttention.run(attention, in, out);
      case Decompose.Qr() -> {
        ThinQr.run(in[0], out, new VectorPanels());
        yield true;
      }
      case Decompose.QrGrad() -> {
        QrGradient.run(in, out[0], new VectorPanels());
        yield true;
      }
      default -> false;
    };
    if (!done) {
      plain.run(op, in, out);
    }
  }

  @Override
  public Limits limits() {
    return new VectorLimits();
  }

  @Override
  public String describe() {
    return "vector kernels, " + bits() + " bits wide";
  }
}
