package org.deft4j.diffusion;

import java.util.function.Supplier;
import org.deft4j.diffusion.StableDiffusion.Conditioning;
import org.deft4j.diffusion.UNet2DConditionModel.Added;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * From text to a picture (diffusers' {@code StableDiffusionPipeline} and {@code StableDiffusionXLPipeline}): noise, then step by
 * step a little less of it, guided by the difference between what the model predicts with the prompt and without.
 *
 * <pre>{@code
 * try (StableDiffusion model = StableDiffusion.load("models/sdxl"); Scope scope = Scope.open()) {
 *   var pipeline = new StableDiffusionPipeline(model, model.scheduler());
 *   Tensor picture = pipeline.generate(Settings.of("a photo of a dog", 512, 512), new TorchRandom(0), Progress.NONE);
 *   PngWriter.write(Path.of("dog.png"), PictureTensors.toPicture(picture), Map.of());
 * }
 * }</pre>
 */
public final class StableDiffusionPipeline {
  private final StableDiffusion model;
  private final Scheduler scheduler;

  /** A pipeline over a loaded model, which stays the caller's. */
  public StableDiffusionPipeline(StableDiffusion model, Scheduler scheduler) {
    this.model = model;
    this.scheduler = scheduler;
  }

  /**
   * What to make.
   *
   * @param prompt what the picture should show
   * @param negative what it should not show; null for nothing said
   * @param guidance g in {@code u + g (c - u)}; 1 or less leaves the negative half out
   * @param rescale how much of the guided prediction is brought back to the spread of the conditional one (Lin et al. 2023,
   *     section 3.4); 0 none
   */
  public record Settings(String prompt, String negative, int width, int height, int steps, double guidance, double rescale,
      SamplerOptions sampler) {
    /** diffusers' defaults for SDXL: 50 steps, guidance 5. */
    public static Settings of(String prompt, int width, int height) {
      return new Settings(prompt, null, width, height, 50, 5, 0, SamplerOptions.DEFAULT);
    }
  }

  /** Told after each step. */
  @FunctionalInterface
  public interface Progress {
    /** Says nothing. */
    Progress NONE = (step, steps, latent) -> {};

    /** Step {@code step} (from 1) of {@code steps} gave {@code latent}, which lives until the next. */
    void done(int step, int steps, Tensor latent);
  }

  /**
   * What the settings' texts say to the model; pictures of other seeds share it.
   *
   * @param negative null where guidance is not wanted
   */
  public record Prompts(Conditioning positive, Conditioning negative) {}

  /** Encodes the settings' texts: all that the text encoders are needed for. */
  public Prompts encode(Settings settings) {
    Conditioning positive = model.encode(settings.prompt());
    return new Prompts(positive, settings.guidance() > 1 ? model.encodeNegative(settings.negative(), positive) : null);
  }

  /** The picture [1,3,H,W] in -1..1 (not yet clamped); the noise is drawn from {@code random}. */
  public Tensor generate(Settings settings, RandomSource random, Progress progress) {
    return Scope.run(() -> generate(settings, encode(settings), random, progress));
  }

  /** The same for texts that are encoded already. */
  public Tensor generate(Settings settings, Prompts prompts, RandomSource random, Progress progress) {
    return Scope.run(() -> {
      int scale = model.vae().config().downscale();
      Tensor noise = random.normal(DType.F32, 1, model.unet().config().inChannels(), settings.height() / scale,
          settings.width() / scale);
      float[] ids = {settings.height(), settings.width(), 0, 0, settings.height(), settings.width()};
      Tensor latent = sample(settings, new Inputs(prompts, Tensor.of(ids, 1, 6), noise),
          () -> random.normal(DType.F32, noise.shape().toArray()), progress);
      // The autoencoder's blocks are of other sizes than the UNet's: unused ones would stay beside them.
      MemoryPool.current().trim();
      return model.vae().decode(model.vae().unscale(latent));
    });
  }

  /**
   * What a run of N samples starts from.
   *
   * @param timeIds [N,6]: original height and width, crop top and left, target height and width; not read by SD 1.5
   * @param noise [N,L,H/8,W/8] of standard deviation 1
   */
  record Inputs(Prompts prompts, Tensor timeIds, Tensor noise) {
    boolean isGuided() {
      return prompts.negative() != null;
    }

    /** The conditions of one call of the UNet: the negative half first where there are two. */
    Conditioning batch() {
      return isGuided() ? Conditioning.concat(prompts.negative(), prompts.positive()) : prompts.positive();
    }
  }

  /** The sampling loop: the final latents [N,L,H/8,W/8], still scaled. */
  Tensor sample(Settings settings, Inputs inputs, Supplier<Tensor> noise, Progress progress) {
    return Scope.run(() -> {
      Conditioning conditions = inputs.batch();
      int copies = inputs.isGuided() ? 2 : 1;
      Added added = model.isXl() ? new Added(conditions.pooled(), repeat(inputs.timeIds(), copies)) : null;
      try (Sampler sampler = scheduler.start(settings.steps(), settings.sampler())) {
        Tensor latent = Scope.release(inputs.noise().mul(sampler.initNoiseSigma()));
        for (int i = 0; i < sampler.steps(); i++) {
          int step = i;
          Tensor now = latent;
          Tensor next = Scope.release(Scope.run(() -> {
            Tensor output = predict(settings, sampler, step, now, conditions, added, copies);
            return sampler.step(output, step, now, noise).previous();
          }));
          requireFinite(next, step);
          now.close();
          latent = next;
          progress.done(i + 1, sampler.steps(), latent);
        }
        return Scope.adopt(latent);
      }
    });
  }

  /** The model's prediction for one step, after guidance. */
  private Tensor predict(Settings settings, Sampler sampler, int step, Tensor latent, Conditioning conditions, Added added,
      int copies) {
    Tensor input = repeat(sampler.scaleModelInput(latent, step), copies);
    long n = latent.size(0);
    double[] timesteps = new double[Math.toIntExact(n * copies)];
    java.util.Arrays.fill(timesteps, sampler.timestep(step));
    Tensor output = model.unet().forward(input, Tensor.of(timesteps).cast(DType.F32), conditions.context(), added);
    if (copies == 1) {
      return output;
    }
    Tensor without = output.slice(0, 0, n);
    Tensor with = output.slice(0, n, 2 * n);
    Tensor guided = without.add(with.sub(without).mul(settings.guidance()));
    return settings.rescale() == 0 ? guided : rescale(guided, with, settings.rescale());
  }

  /** {@code r * guided * std(conditional) / std(guided) + (1 - r) * guided}, standard deviations over each sample. */
  private static Tensor rescale(Tensor guided, Tensor conditional, double share) {
    Tensor ratio = deviation(conditional).div(deviation(guided));
    return guided.mul(ratio).mul(share).add(guided.mul(1 - share));
  }

  private static Tensor deviation(Tensor x) {
    return x.var(1, 1, 2, 3).sqrt().reshape(x.size(0), 1, 1, 1);
  }

  private static Tensor repeat(Tensor x, int copies) {
    return copies == 1 ? x : Tensor.concat(0, x, x);
  }

  private static void requireFinite(Tensor latent, int step) {
    try (Scope _ = Scope.open()) {
      double largest = latent.abs().max(false).item();
      if (!Double.isFinite(largest)) {
        throw new NumericException("sampling: the latent is not finite after step " + (step + 1)
            + "; look for values that are not finite in the model or the adapter, or lower the adapter's strength");
      }
    }
  }
}
