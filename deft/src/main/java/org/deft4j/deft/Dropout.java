package org.deft4j.deft;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;

/**
 * While training, each element of a layer's input is replaced by 0 with probability p, the others are divided by {@code 1 - p}.
 *
 * @param probability p
 * @param wholeLayer whether the frozen weight gets that input too, as in the authors' DEFT; otherwise the adapter alone does: what is
 *     injected, as in PEFT, or of PaRa, which injects nothing, what is removed, as in the authors' PaRa
 */
public record Dropout(double probability, boolean wholeLayer) {
  /** No dropout. */
  public static final Dropout NONE = new Dropout(0, false);

  /** @throws InputException if p is not at least 0 and below 1 */
  public Dropout {
    if (!(probability >= 0 && probability < 1)) {
      throw new InputException("dropout " + probability + ": at least 0 and below 1 is needed");
    }
  }

  /** x with elements dropped. The seed alone says which, so that a block that is computed again drops the same. */
  Tensor apply(Tensor x, long seed) {
    DType type = x.dtype().wide();
    Tensor dropped = new TorchRandom(seed).uniform(type, x.shape().toArray()).less(Tensor.of(new double[] {probability}, 1).cast(type));
    return x.mul(dropped.cast(type).affine(-1 / (1 - probability), 1 / (1 - probability)).cast(x.dtype()));
  }
}
