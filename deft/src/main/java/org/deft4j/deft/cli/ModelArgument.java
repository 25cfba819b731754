package org.deft4j.deft.cli;

import java.util.Locale;
import java.util.Optional;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.tensor.DType;

/**
 * The model that a command works on.
 *
 * @param name what {@code --model} names
 * @param weights the type that {@code --weights} names; null: as stored
 */
record ModelArgument(String name, DType weights) {
  /** From the options' values, which have been checked. */
  static ModelArgument of(String name, String weights) {
    return new ModelArgument(name, weights == null ? null : DType.valueOf(weights.toUpperCase(Locale.ROOT)));
  }

  /** What {@link #inHalf} is asked for with. */
  static final String HALF = "--weights bf16";

  /** Where nothing was said about types: the model with 16 bits for each weight, without its weights. */
  Optional<DiffusionModel> inHalf() {
    return weights == null ? Optional.of(DiffusionModel.open(name, DType.BF16)) : Optional.empty();
  }

  /** Opens it, without its weights. */
  DiffusionModel open() {
    return DiffusionModel.open(name, weights);
  }
}
