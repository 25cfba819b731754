package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Op;

/**
 * What operations on BF16 are: those on F32, of the same numbers, with each number of the result that is BF16 rounded once. Kernels that
 * compute so without a copy in F32 ({@link Kernels#takesBf16}) are asked themselves.
 */
public final class Widened {
  private Widened() {}

  /** Runs {@code op} by {@code kernels}, which may or may not take BF16. */
  public static void run(Kernels kernels, Op op, Tensor[] inputs, Tensor[] outputs) {
    if (inputs[0].dtype() != DType.BF16 || !isArithmetic(op) || kernels.takesBf16(op, inputs)) {
      kernels.run(op, inputs, outputs);
      return;
    }
    try (Scope _ = Scope.open()) {
      Tensor[] wide = new Tensor[inputs.length];
      for (int i = 0; i < wide.length; i++) {
        wide[i] = inputs[i].dtype() == DType.BF16 && !isWeight(op, i) ? widened(kernels, inputs[i]) : inputs[i];
      }
      Tensor[] results = new Tensor[outputs.length];
      for (int i = 0; i < results.length; i++) {
        results[i] = outputs[i].dtype() == DType.BF16 ? wideLike(outputs[i]) : outputs[i];
      }
      kernels.run(op, wide, results);
      for (int i = 0; i < results.length; i++) {
        if (results[i] != outputs[i]) {
          copy(kernels, results[i], outputs[i]);
        }
      }
      if (op instanceof InPlace update) {
        for (int i = 0; i < wide.length; i++) {
          if (update.changes(i)) {
            copy(kernels, wide[i], inputs[i]);
          }
        }
      }
    }
  }

  /** Whether numbers are computed with, and not only moved. */
  private static boolean isArithmetic(Op op) {
    return switch (op) {
      case Layout _ -> false;
      case Indexing.IndexSelect _ -> false;
      case Indexing.Gather _ -> false;
      case InPlace.CopyInto _ -> false;
      case InPlace.Fill _ -> false;
      default -> true;
    };
  }

  /** Whether it is a weight, which kernels take in 16 bits beside F32. */
  private static boolean isWeight(Op op, int input) {
    return input == 1 && (op instanceof Contraction.MatMul || op instanceof Contraction.Linear || op instanceof Contraction.Conv2d
        || op instanceof Contraction.Conv2dInputGrad);
  }

  private static Tensor widened(Kernels kernels, Tensor x) {
    Tensor wide = wideLike(x);
    kernels.run(new Layout.Cast(DType.F32), new Tensor[] {x}, new Tensor[] {wide});
    return wide;
  }

  private static Tensor wideLike(Tensor x) {
    return Tensor.empty(x.device(), DType.F32, x.shape());
  }

  private static void copy(Kernels kernels, Tensor from, Tensor to) {
    kernels.run(new InPlace.CopyInto(), new Tensor[] {to, from}, new Tensor[0]);
  }
}
