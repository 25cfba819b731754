package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.diffusion.LatentDistribution;
import org.deft4j.diffusion.StableDiffusionPipeline.Progress;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * From text and pictures to a picture (the reference's {@code OmniGenPipeline}).
 *
 * <pre>{@code
 * try (OmniGen model = OmniGen.load("models/omnigen", DType.BF16); Scope scope = Scope.open()) {
 *   var pipeline = new OmniGenPipeline(model);
 *   var settings = Settings.of("a dog on the beach", 1024, 1024);
 *   Tensor picture = pipeline.generate(settings, pipeline.encode(settings, List.of()), new TorchRandom(0), Progress.NONE);
 *   PngWriter.write(Path.of("dog.png"), PictureTensors.toPictureCut(picture), Map.of());
 * }
 * }</pre>
 */
public final class OmniGenPipeline {
  /** Input pictures are made no larger than this unless said otherwise. */
  public static final int LARGEST_INPUT = 1024;

  private final OmniGen model;
  private final OmniGenProcessor processor;

  /** A pipeline over a model, which stays the caller's. */
  public OmniGenPipeline(OmniGen model) {
    this.model = model;
    this.processor = new OmniGenProcessor(model.tokenizer());
  }

  /**
   * What to make.
   *
   * @param prompt what the picture should show; {@code <img><|image_k|></img>} stands for input picture k
   * @param negative what it should not show; null for the reference's own text
   * @param width a multiple of 16
   * @param height a multiple of 16
   * @param guidance g, how closely to follow the prompt; 1 with no pictures, or with no guidance by them, leaves the negative half out
   * @param imageGuidance gi, how closely to follow the pictures; null for no branch with the pictures alone
   * @param stacked whether the branches are computed as one batch instead of one after the other, which takes more memory
   * @param cache how keys and values of the condition are kept
   * @param mode whether the likeliest latent of an input picture is taken instead of one drawn from its distribution
   */
  public record Settings(String prompt, String negative, int width, int height, int steps, double guidance, Double imageGuidance,
      boolean stacked, KeyValueCache.Kind cache, boolean mode) {
    /** The reference's defaults: 50 steps, guidance 3, guidance 1.6 by pictures, branch by branch, with a cache (a correct one). */
    public static Settings of(String prompt, int width, int height) {
      return new Settings(prompt, null, width, height, 50, 3, 1.6, false, KeyValueCache.Kind.EXACT, false);
    }

    /** Of another size. */
    public Settings withSize(int newWidth, int newHeight) {
      return new Settings(prompt, negative, newWidth, newHeight, steps, guidance, imageGuidance, stacked, cache, mode);
    }

    /** In another number of steps. */
    public Settings withSteps(int number) {
      return new Settings(prompt, negative, width, height, number, guidance, imageGuidance, stacked, cache, mode);
    }
  }

  /** What the settings' text and pictures say to the model; pictures of other seeds share it. */
  public static final class Condition {
    private final List<OmniGenTokens> branches;
    private final List<LatentDistribution> pictures;

    private Condition(List<OmniGenTokens> branches, List<LatentDistribution> pictures) {
      this.branches = branches;
      this.pictures = pictures;
    }
  }

  /** {@code picture} as the model takes it: its larger side at most {@code largest} pixels, both sides multiples of 16. */
  public Picture fit(Picture picture, int largest) {
    return InputPictures.fit(picture, Math.min(largest, model.transformer().config().largestSide()));
  }

  /**
   * Tokens for all branches of the guidance: the prompt, then the negative one, then the pictures alone.
   *
   * @throws ConditionException if text and pictures do not match, or a size does not fit the model
   */
  public List<OmniGenTokens> tokens(Settings settings, List<PixelSize> pictures) {
    requireSize("the picture to be made", new PixelSize(settings.width(), settings.height()));
    for (int k = 0; k < pictures.size(); k++) {
      requireSize("input picture " + (k + 1), pictures.get(k));
    }
    List<OmniGenTokens> branches = new ArrayList<>(List.of(processor.encode(settings.prompt(), pictures)));
    boolean byPictures = !pictures.isEmpty() && settings.imageGuidance() != null;
    if (byPictures || settings.guidance() != 1) {
      branches.add(settings.negative() == null ? processor.unconditional() : processor.encode(settings.negative(), List.of()));
    }
    if (byPictures) {
      branches.add(processor.picturesOnly(pictures));
    }
    return branches;
  }

  private void requireSize(String what, PixelSize size) {
    size.tokens(what);
    int largest = model.transformer().config().largestSide();
    if (size.width() > largest || size.height() > largest) {
      throw new ConditionException(what + " has " + size + " pixels; the model's table of positions has room for " + largest
          + " a side");
    }
  }

  /**
   * Encodes text and pictures, which are {@linkplain #fit fitted}. What is encoded belongs to the innermost scope.
   *
   * @throws ConditionException as {@link #tokens}
   */
  public Condition encode(Settings settings, List<Picture> pictures) {
    List<OmniGenTokens> branches = tokens(settings, pictures.stream().map(PixelSize::of).toList());
    List<LatentDistribution> encoded = new ArrayList<>();
    for (Picture picture : pictures) {
      LatentDistribution latent = LatentDistribution.encode(model.vae(), picture);
      encoded.add(new LatentDistribution(Scope.adopt(latent.mean()), Scope.adopt(latent.deviation())));
    }
    return new Condition(branches, encoded);
  }

  /**
   * The picture [1,3,H,W] in -1..1 (not yet clamped). From {@code random} come first the noise that it is made of, then what is drawn
   * of the input pictures' distributions.
   */
  public Tensor generate(Settings settings, Condition condition, RandomSource random, Progress progress) {
    return Scope.run(() -> {
      int scale = model.vae().config().downscale();
      Tensor noise = random.normal(DType.F32, 1, model.transformer().config().latents(), settings.height() / scale,
          settings.width() / scale);
      List<Tensor> pictures = condition.pictures.stream().map(picture -> settings.mode() ? picture.mean() : picture.sample(random))
          .toList();
      List<List<OmniGenSampler.Row>> branches = condition.branches.stream()
          .map(tokens -> List.of(new OmniGenSampler.Row(tokens, pictures))).toList();
      double image = settings.imageGuidance() == null ? 1 : settings.imageGuidance();
      Tensor latent;
      try (OmniGenSampler sampler = new OmniGenSampler(model.transformer(), branches,
          new OmniGenSampler.Guidance(settings.guidance(), image, settings.stacked(), settings.cache()))) {
        latent = sampler.run(noise, OmniGenSampler.times(settings.steps(), 1), (step, latents, velocity) -> {
          if (step < settings.steps()) {
            progress.done(step, settings.steps(), latents);
          }
        });
      }
      // Told when the caches are gone, so that a memory plan counts them to the sampling, not to what comes after.
      progress.done(settings.steps(), settings.steps(), latent);
      MemoryPool.current().trim();
      return model.vae().decode(model.vae().unscale(latent));
    });
  }
}
