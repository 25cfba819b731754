package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Function;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.diffusion.Scheduler;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.nn.AdamBetas;
import org.deft4j.nn.AdamW;
import org.deft4j.nn.GradientClip;
import org.deft4j.nn.Losses;
import org.deft4j.nn.Optimizer;
import org.deft4j.nn.Schedule;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/**
 * Trains an adapter of a denoiser on the noise prediction loss (diffusers' DreamBooth scripts; DEFT's runs follow them): a
 * latent is drawn from the picture's distribution, noised at a timestep drawn uniformly, and the mean squared error of the
 * prediction, to the noise or the velocity, is what the adapter descends, with AdamW.
 *
 * <p>Pictures are taken in a new random order each time round. All random numbers come from the source that is given, so
 * two runs with one seed have the same bytes; nothing of a step outlives it, so memory stays as it is after the first.
 */
public final class Trainer {
  private final UNet2DConditionModel unet;
  private final Scheduler scheduler;
  private final List<TrainingExample> examples;
  private final AdapterSet adapter;
  private final TrainingOptions options;
  private final RandomSource random;
  private final List<Integer> upcoming = new ArrayList<>();

  /** A step that was done. */
  public record Step(long number, double loss, double learningRate, double gradientNorm) {}

  /** Told of each step. */
  @FunctionalInterface
  public interface Listener {
    /** {@code step} was done. */
    void done(Step step);
  }

  /** A trainer of {@code adapter}, which is attached to {@code unet}; {@code examples} stay the caller's. */
  public Trainer(UNet2DConditionModel unet, Scheduler scheduler, List<TrainingExample> examples, AdapterSet adapter,
      TrainingOptions options, RandomSource random) {
    this.unet = unet;
    this.scheduler = scheduler;
    this.examples = List.copyOf(examples);
    this.adapter = adapter;
    this.options = options;
    this.random = random;
  }

  /**
   * Does the steps, or as many as come before {@code interrupted} says so; it is asked after each.
   *
   * @return the number of steps done
   * @throws NumericException naming the step, if the loss or a gradient is not finite
   * @throws IllegalStateException naming them, if trainable matrices get no gradient in the first step
   */
  public long run(Listener listener, BooleanSupplier interrupted) {
    unet.setGradientCheckpointing(options.checkpointing());
    adapter.setTraining(true);
    Schedule rate = options.schedule().equals("cosine") ? Schedule.cosine(options.warmup(), options.steps())
        : Schedule.constantWithWarmup(options.warmup());
    try (Optimizer optimizer = new AdamW(adapter.groups(options.projectionFactor(), options.weightDecay()),
        options.learningRate(), rate, AdamBetas.USUAL)) {
      for (long number = 1; number <= options.steps(); number++) {
        listener.done(step(number, optimizer));
        if (interrupted.getAsBoolean()) {
          return number;
        }
      }
    }
    return options.steps();
  }

  private Step step(long number, Optimizer optimizer) {
    try (Scope _ = Scope.open()) {
      double loss = 0;
      Gradients sum = null;
      for (int pass = 0; pass < options.accumulate(); pass++) {
        try (Scope scope = Scope.open()) {
          Pass result = pass(number);
          loss += result.loss() / options.accumulate();
          sum = sum == null ? keep(scope, result.gradients()) : add(sum, result.gradients());
        }
      }
      double limit = options.clip() == 0 ? Double.POSITIVE_INFINITY : options.clip();
      double norm = GradientClip.globalNorm(gradients(sum), limit);
      if (!Double.isFinite(norm)) {
        throw new NumericException("step " + number + ": the gradient is not finite though the loss, " + loss
            + ", is; lower the learning rate");
      }
      double learningRate = optimizer.currentLearningRate();
      optimizer.step(sum);
      return new Step(number, loss, learningRate, norm);
    }
  }

  private record Pass(double loss, Gradients gradients) {}

  private Pass pass(long number) {
    try (Tape tape = Tape.watch(adapter.trainable())) {
      Tensor loss = Scope.run(this::loss);
      double value = loss.item();
      if (!Double.isFinite(value)) {
        throw new NumericException("step " + number + ": the loss is " + value
            + "; lower the learning rate, or look for values that are not finite in the model and the pictures");
      }
      Gradients gradients = tape.gradients(options.accumulate() == 1 ? loss : loss.mul(1.0 / options.accumulate()));
      if (number == 1) {
        requireAll(gradients);
      }
      return new Pass(value, gradients);
    }
  }

  private Tensor loss() {
    List<TrainingExample> batch = nextBatch();
    Tensor mean = stack(batch, TrainingExample::mean);
    Tensor x0 = mean.add(stack(batch, TrainingExample::deviation).mul(random.normal(DType.F32, sizes(mean))));
    Tensor noise = random.normal(DType.F32, sizes(mean));
    long[] timesteps = random.integers(0, scheduler.config().betas().steps(), batch.size()).toLongs();
    UNet2DConditionModel.Added added = batch.getFirst().pooled() == null ? null
        : new UNet2DConditionModel.Added(stack(batch, TrainingExample::pooled), stack(batch, TrainingExample::timeIds));
    if (adapter.config().extras().dropout().probability() > 0) {
      adapter.setDropoutSeed(random.between(0, Long.MAX_VALUE));
    }
    Tensor prediction = unet.forward(scheduler.addNoise(x0, noise, timesteps), Tensor.of(timesteps).cast(DType.F32),
        stack(batch, TrainingExample::context), added);
    return Losses.mse(prediction, scheduler.target(x0, noise, timesteps));
  }

  private List<TrainingExample> nextBatch() {
    List<TrainingExample> batch = new ArrayList<>();
    while (batch.size() < options.batch()) {
      if (upcoming.isEmpty()) {
        for (long index : random.permutation(examples.size()).toLongs()) {
          upcoming.add(Math.toIntExact(index));
        }
      }
      batch.add(examples.get(upcoming.removeFirst()));
    }
    return batch;
  }

  private static Tensor stack(List<TrainingExample> batch, Function<TrainingExample, Tensor> part) {
    return batch.size() == 1 ? part.apply(batch.getFirst()) : Tensor.concat(0, batch.stream().map(part).toList());
  }

  private static long[] sizes(Tensor like) {
    return like.shape().toArray();
  }

  private void requireAll(Gradients gradients) {
    List<String> without = adapter.trainable().stream().filter(t -> !gradients.has(t)).map(Tensor::toString).toList();
    if (!without.isEmpty()) {
      throw new IllegalStateException(without.size() + " of " + adapter.trainable().size()
          + " trainable matrices got no gradient, so they would never learn: " + String.join(", ",
              without.subList(0, Math.min(5, without.size()))) + (without.size() > 5 ? ", ..." : ""));
    }
  }

  private List<Tensor> gradients(Gradients all) {
    return adapter.trainable().stream().map(all::of).toList();
  }

  private Gradients keep(Scope scope, Gradients gradients) {
    gradients(gradients).forEach(scope::keep);
    return gradients;
  }

  private Gradients add(Gradients sum, Gradients more) {
    for (Tensor tensor : adapter.trainable()) {
      Dispatch.run(new InPlace.AddScaledInto(1), sum.of(tensor), more.of(tensor));
    }
    return sum;
  }
}
