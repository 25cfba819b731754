package org.deft4j.deft.cli;

import java.util.Locale;
import java.util.Optional;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;

/**
 * The model that a command works on.
 *
 * @param name what {@code --model} names
 * @param weights the type that {@code --weights} names; null: as stored
 * @param offload whether its weights are kept beside the card
 */
record ModelArgument(String name, DType weights, boolean offload) {
  /** On the device that computes. */
  ModelArgument(String name, DType weights) {
    this(name, weights, false);
  }

  /** From the options' values, which have been checked. */
  static ModelArgument of(String name, String weights) {
    return new ModelArgument(name, weights == null ? null : DType.valueOf(weights.toUpperCase(Locale.ROOT)));
  }

  /** The same, kept beside the card or not. */
  ModelArgument with(OffloadOption option) {
    return new ModelArgument(name, weights, option.offload);
  }

  /** Whether it could be kept beside the card, and is not. */
  boolean canOffload() {
    return !offload && Device.current() == Device.CUDA;
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
