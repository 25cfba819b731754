package org.deft4j.deft.bench;

import java.util.Collections;
import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.Targets;
import org.deft4j.deft.Trainable;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.diffusion.UNetConfig;
import org.deft4j.diffusion.omnigen.LongRope;
import org.deft4j.diffusion.omnigen.OmniGenConfig;
import org.deft4j.diffusion.omnigen.OmniGenInput;
import org.deft4j.diffusion.omnigen.OmniGenTokens;
import org.deft4j.diffusion.omnigen.OmniGenTransformer;
import org.deft4j.nn.AdamBetas;
import org.deft4j.nn.AdamW;
import org.deft4j.nn.GradientClip;
import org.deft4j.nn.Losses;
import org.deft4j.nn.Module;
import org.deft4j.nn.Optimizer;
import org.deft4j.nn.Schedule;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Offload;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SingleFileFamily;

/**
 * SDXL and OmniGen at their real size, with made-up weights in BF16: a prediction, and whole training steps of adapters with checkpointing.
 * On a card only; a processor takes minutes for a round.
 */
final class LargeModels {
  private static final long TEXT = 77;
  private static final int SDXL_RANK = 4;
  private static final int OMNIGEN_RANK = 64;
  private static final int PROMPT = 63;
  /** Bytes of the card that kept weights go through: of OmniGen's 7.5 GB, of SDXL's 5. */
  private static final long WINDOW = 3L << 29;
  /** OmniGen's heads are 96 wide, and rotate by half as many frequencies; which, makes no difference here. */
  private static final List<Double> FREQUENCIES = Collections.nCopies(48, 1.0);

  private LargeModels() {}

  static List<Row> rows() {
    return List.of(
        new Row(Models.GROUP, "SDXL UNet 2x4x128x128 forward", in -> {
          Sdxl sdxl = Sdxl.of(in, 2, 128);
          return Job.arithmetic(sdxl::forward);
        }),
        step("SDXL", "1x4x128x128", in -> Sdxl.of(in, 1, 128), AdapterConfig.deft(SDXL_RANK), AdapterConfig.lora(SDXL_RANK)),
        new Row(Models.GROUP, "OmniGen 2x1088 forward", in -> {
          Omni omni = Omni.of(in);
          return Job.arithmetic(omni::forward);
        }),
        step("OmniGen", "rank 64 2x1088", Omni::of, omni(AdapterConfig.deft(OMNIGEN_RANK)), omni(AdapterConfig.lora(OMNIGEN_RANK))),
        new Row(Models.GROUP, "OmniGen 2x1088 forward offloaded", in -> {
          offload(in);
          return Job.arithmetic(Omni.of(in)::forward);
        }),
        offloadedStep("SDXL", "1x4x128x128", in -> Sdxl.of(in, 1, 128), AdapterConfig.deft(SDXL_RANK)),
        offloadedStep("OmniGen", "rank 64 2x1088", Omni::of, omni(AdapterConfig.deft(OMNIGEN_RANK))));
  }

  /** Until the row is measured, weights are kept beside the card, where there is one: of OmniGen's a fifth is on it at a time. */
  private static void offload(Inputs in) {
    if (Device.current() == Device.CUDA) {
      in.closing(Offload.open(WINDOW));
    }
  }

  private static Row offloadedStep(String model, String what, Function<Inputs, Learner> learner, AdapterConfig deft) {
    return new Row(Models.GROUP, model + " DEFT step " + what + " offloaded", in -> {
      offload(in);
      return Job.arithmetic(in.closing(Step.of(learner.apply(in), deft, in))::run);
    });
  }

  private static AdapterConfig omni(AdapterConfig config) {
    return config.with(Targets.suffixes(List.of("qkv_proj", "o_proj")));
  }

  /** What is trained: a model, and a loss. */
  private interface Learner {
    Module model();

    Tensor loss();
  }

  private static Row step(String model, String what, Function<Inputs, Learner> learner, AdapterConfig deft, AdapterConfig lora) {
    return new Row(Models.GROUP, model + " DEFT step " + what, in -> {
      Learner learns = learner.apply(in);
      Step first = in.closing(Step.of(learns, deft, in));
      Step second = in.closing(Step.of(learns, lora, in));
      return Job.arithmetic(first::run).against("LoRA", second::run);
    });
  }

  /** A training step as the trainer does it. */
  private record Step(Learner learner, AdapterSet adapter, Optimizer optimizer) implements AutoCloseable {
    private static final double RATE = 1e-4;

    static Step of(Learner learner, AdapterConfig config, Inputs in) {
      AdapterSet adapter = AdapterSet.create(learner.model(), config, in.random());
      Optimizer optimizer = new AdamW(adapter.groups(1, 0), RATE, Schedule.constantWithWarmup(0), AdamBetas.USUAL);
      return new Step(learner, adapter.setTraining(true), optimizer);
    }

    double run() {
      adapter.attach();
      try (Tape tape = Tape.watch(adapter.trainable()); Trainable.Prepared _ = adapter.prepare()) {
        Tensor loss = Scope.run(learner::loss);
        Gradients gradients = tape.gradients(loss);
        GradientClip.globalNorm(adapter.trainable().stream().map(gradients::of).toList(), 1);
        optimizer.step(gradients);
        return loss.item();
      } finally {
        adapter.detach();
      }
    }

    @Override
    public void close() {
      optimizer.close();
      adapter.close();
    }
  }

  private record Sdxl(UNet2DConditionModel unet, Tensor sample, Tensor timestep, Tensor context, UNet2DConditionModel.Added added,
      Tensor noise) implements Learner {
    static Sdxl of(Inputs in, long batch, long size) {
      UNetConfig config = UNetConfig.from(SingleFileFamily.SDXL.published("unet"));
      UNet2DConditionModel unet = in.weights(new UNet2DConditionModel(config), DType.BF16);
      unet.setGradientCheckpointing(true);
      long ids = 6;
      Tensor pooled = in.draw(batch, config.additionInputDim() - ids * config.additionTimeDim());
      return new Sdxl(unet, in.draw(batch, config.inChannels(), size, size), Tensor.full(DType.F32, 500, batch),
          in.draw(batch, TEXT, config.contextDim()), new UNet2DConditionModel.Added(pooled, Tensor.full(DType.F32, 1024, batch, ids)),
          in.draw(batch, config.outChannels(), size, size));
    }

    @Override
    public Module model() {
      return unet;
    }

    Tensor forward() {
      return unet.forward(sample, timestep, context, added);
    }

    @Override
    public Tensor loss() {
      return Losses.mse(forward(), noise);
    }
  }

  /** Two rows of text and a picture of 512 x 512 pixels. */
  private record Omni(OmniGenTransformer transformer, List<Tensor> noisy, Tensor t, List<Tensor> velocity) implements Learner {
    static Omni of(Inputs in) {
      LongRope rope = new LongRope(10_000, FREQUENCIES, FREQUENCIES, 4096, 131_072);
      OmniGenConfig config = new OmniGenConfig(3072, 32, 32, 32, 8192, 32_064, 1e-5, rope, 2, 4, 192, 32_000);
      OmniGenTransformer transformer = in.weights(new OmniGenTransformer(config), DType.BF16);
      transformer.setGradientCheckpointing(true);
      Supplier<List<Tensor>> latents = () -> List.of(in.draw(1, 4, 64, 64), in.draw(1, 4, 64, 64));
      return new Omni(transformer, latents.get(), Tensor.full(DType.F32, 0.5, 2), latents.get());
    }

    @Override
    public Module model() {
      return transformer;
    }

    Tensor[] forward() {
      List<Integer> prompt = Collections.nCopies(PROMPT, 1);
      OmniGenInput input = OmniGenInput.of(Collections.nCopies(2, new OmniGenTokens(prompt, List.of())), transformer.config().padToken());
      return transformer.forward(input, List.of(List.of(), List.of()), noisy, t, null).toArray(Tensor[]::new);
    }

    @Override
    public Tensor loss() {
      Tensor[] found = forward();
      return Losses.mse(found[0], velocity.get(0)).add(Losses.mse(found[1], velocity.get(1)));
    }
  }
}
