package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.deft4j.autograd.Tape;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.diffusion.UNetConfig;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SingleFileFamily;

/** SD 1.5's UNet with made-up weights: forward, and forward and backward to its inputs with all weights frozen. */
final class Models {
  static final String GROUP = "model";

  private static final long BATCH = 2;
  private static final long TOKENS = 77;

  private Models() {}

  static List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    for (long size : new long[] {32, 64}) {
      rows.addAll(rows("SD 1.5 UNet", () -> UNetConfig.from(SingleFileFamily.SD15.published("unet")), size));
    }
    return rows;
  }

  /** Both rows of a model at a size; the model has no added conditions. */
  static List<Row> rows(String model, Supplier<UNetConfig> config, long size) {
    String name = model + " " + BATCH + "x4x" + size + "x" + size;
    return List.of(
        new Row(GROUP, name + " forward", in -> Job.arithmetic(Call.of(in, config.get(), size)::forward)),
        new Row(GROUP, name + " forward and back", in -> Job.arithmetic(Call.of(in, config.get(), size)::gradients)));
  }

  /** A model and what it is called with. */
  private record Call(UNet2DConditionModel unet, Tensor sample, Tensor timestep, Tensor context, Tensor outputGradient) {
    static Call of(Inputs in, UNetConfig config, long size) {
      return new Call(in.weights(new UNet2DConditionModel(config)), in.draw(BATCH, config.inChannels(), size, size),
          Tensor.of(new float[] {500}), in.draw(BATCH, TOKENS, config.contextDim()),
          in.draw(BATCH, config.outChannels(), size, size));
    }

    Tensor forward() {
      return unet.forward(sample, timestep, context, null);
    }

    /** By the latents and the text. */
    Tensor gradients() {
      try (Tape tape = Tape.watch(sample, context)) {
        return tape.gradients(forward(), outputGradient).of(sample);
      }
    }
  }
}
