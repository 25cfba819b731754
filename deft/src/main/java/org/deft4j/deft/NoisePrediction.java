package org.deft4j.deft;

import java.util.List;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.LongStream;
import org.deft4j.diffusion.Scheduler;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.nn.Losses;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/**
 * The loss of Stable Diffusion (diffusers' DreamBooth scripts; DEFT's runs follow them): a latent is drawn from the picture's
 * distribution, noised at a timestep drawn uniformly, and the mean squared error of the UNet's prediction to the noise, or to
 * the velocity where the scheduler says so, is the loss. Captions come encoded, or as token ids, which are encoded in the pass, so that
 * gradients reach the text encoders.
 */
public final class NoisePrediction implements Objective {
  private final UNet2DConditionModel unet;
  /** Whose text encoders are trained; null where captions come encoded. */
  private final StableDiffusion model;
  private final Scheduler scheduler;
  private final BatchOrder<TrainingExample> order;

  /** The loss of {@code unet} over {@code examples}, which stay the caller's. */
  public NoisePrediction(UNet2DConditionModel unet, Scheduler scheduler, List<TrainingExample> examples) {
    this(unet, null, scheduler, examples);
  }

  /** The loss of the UNet and the text encoders of {@code model} over {@code examples} with token ids, which stay the caller's. */
  public NoisePrediction(StableDiffusion model, List<TrainingExample> examples) {
    this(model.unet(), model, model.scheduler(), examples);
  }

  private NoisePrediction(UNet2DConditionModel unet, StableDiffusion model, Scheduler scheduler, List<TrainingExample> examples) {
    this.unet = unet;
    this.model = model;
    this.scheduler = scheduler;
    this.order = new BatchOrder<>(examples);
  }

  @Override
  public Supplier<Tensor> draw(int batch, RandomSource random) {
    List<TrainingExample> examples = order.next(batch, random);
    Tensor mean = stack(examples, TrainingExample::mean);
    Tensor x0 = mean.add(stack(examples, TrainingExample::deviation).mul(random.normal(DType.F32, sizes(mean))));
    Tensor noise = random.normal(DType.F32, sizes(mean));
    long steps = scheduler.config().betas().steps();
    long[] timesteps = LongStream.generate(() -> random.between(0, steps)).limit(batch).toArray();
    return () -> loss(examples, x0, noise, timesteps);
  }

  private Tensor loss(List<TrainingExample> examples, Tensor x0, Tensor noise, long[] timesteps) {
    StableDiffusion.Conditioning text = text(examples);
    UNet2DConditionModel.Added added = text.pooled() == null ? null
        : new UNet2DConditionModel.Added(text.pooled(), stack(examples, TrainingExample::timeIds));
    Tensor prediction = unet.forward(scheduler.addNoise(x0, noise, timesteps), Tensor.of(timesteps).cast(DType.F32),
        text.context(), added);
    return Losses.mse(prediction, scheduler.target(x0, noise, timesteps));
  }

  private StableDiffusion.Conditioning text(List<TrainingExample> examples) {
    return model == null
        ? new StableDiffusion.Conditioning(stack(examples, TrainingExample::context), stack(examples, TrainingExample::pooled))
        : model.encode(new StableDiffusion.TokenIds(stack(examples, TrainingExample::ids), stack(examples, TrainingExample::ids2)));
  }

  @Override
  public long[] position() {
    return order.position();
  }

  @Override
  public void restore(long[] position) {
    order.restore(position);
  }

  @Override
  public void setGradientCheckpointing(boolean on) {
    unet.setGradientCheckpointing(on);
    if (model != null) {
      model.textEncoders().values().forEach(encoder -> encoder.setGradientCheckpointing(on));
    }
  }

  /** Null where there is no such part. */
  private static Tensor stack(List<TrainingExample> examples, Function<TrainingExample, Tensor> part) {
    Tensor first = part.apply(examples.getFirst());
    return examples.size() == 1 || first == null ? first : Tensor.concat(0, examples.stream().map(part).toList());
  }

  private static long[] sizes(Tensor like) {
    return like.shape().toArray();
  }
}
