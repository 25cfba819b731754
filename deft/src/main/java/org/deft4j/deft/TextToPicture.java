package org.deft4j.deft;

import java.util.function.IntConsumer;
import org.deft4j.diffusion.Sampler;
import org.deft4j.diffusion.Scheduler;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PictureTensors;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Sampling with classifier-free guidance (diffusers' text-to-image pipelines): noise of the scheduler's first level, step by
 * step towards a latent by {@code eps = u + g (c - u)}, u the prediction for the negative prompt and c for the prompt, then
 * decoded to a picture.
 *
 * @param prompt what to show
 * @param negative what not to show; null: nothing said, which SDXL encodes as zeros and SD 1.5 as the empty text
 * @param steps of the scheduler
 * @param guidance g; 1 or less: c alone
 * @param width in pixels
 * @param height in pixels
 */
public record TextToPicture(String prompt, String negative, int steps, double guidance, int width, int height) {

  /** Makes the picture; {@code progress} is told how many steps are done. */
  public Picture sample(LoadedModel model, Scheduler scheduler, RandomSource random, IntConsumer progress) {
    try (Scope _ = Scope.open(); Sampler sampler = scheduler.start(steps)) {
      Condition condition = condition(model);
      int grain = model.vae().config().downscale();
      Tensor x = random.normal(DType.F32, 1, model.unet().config().inChannels(), height / grain, width / grain)
          .mul(sampler.initNoiseSigma());
      for (int i = 0; i < sampler.steps(); i++) {
        x = step(model.unet(), sampler, condition, x, i, random);
        progress.accept(i + 1);
      }
      return PictureTensors.toPicture(model.vae().decode(model.vae().unscale(x)));
    }
  }

  /** The text of a batch: negative half first where there is guidance. */
  private record Condition(Tensor context, UNet2DConditionModel.Added added, boolean guided) {}

  private Condition condition(LoadedModel model) {
    boolean guided = guidance > 1;
    LoadedModel.Text text = model.encode(prompt);
    Tensor context = text.context();
    Tensor pooled = text.pooled();
    if (guided) {
      boolean zeros = negative == null && model.zerosForNoNegative();
      LoadedModel.Text other = zeros ? null : model.encode(negative == null ? "" : negative);
      context = Tensor.concat(0, zeros ? context.zerosLike() : other.context(), context);
      if (pooled != null) {
        pooled = Tensor.concat(0, zeros ? pooled.zerosLike() : other.pooled(), pooled);
      }
    }
    if (pooled == null) {
      return new Condition(context, null, guided);
    }
    Tensor ids = Tensor.of(new float[] {height, width, 0, 0, height, width}, 1, 6);
    return new Condition(context, new UNet2DConditionModel.Added(pooled, guided ? Tensor.concat(0, ids, ids) : ids), guided);
  }

  private Tensor step(UNet2DConditionModel unet, Sampler sampler, Condition condition, Tensor x, int i,
      RandomSource random) {
    try (Scope scope = Scope.open()) {
      Tensor input = sampler.scaleModelInput(x, i);
      Tensor batch = condition.guided() ? Tensor.concat(0, input, input) : input;
      Tensor timesteps = Tensor.full(DType.F32, sampler.timestep(i), batch.size(0));
      Tensor output = unet.forward(batch, timesteps, condition.context(), condition.added());
      if (condition.guided()) {
        Tensor without = output.slice(0, 0, 1);
        output = without.add(output.slice(0, 1, 2).sub(without).mul(guidance));
      }
      Tensor next = sampler.step(output, i, x, random).previous();
      if (!Double.isFinite(next.sum().item())) {
        throw new NumericException("step " + (i + 1) + " of " + sampler.steps()
            + ": the latent is not finite; look for values that are not finite in the model and the adapters");
      }
      return scope.keep(next);
    }
  }
}
