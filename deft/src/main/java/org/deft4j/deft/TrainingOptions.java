package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;

/**
 * How an adapter is trained. The defaults are those of diffusers' DreamBooth scripts, and for P the paper's: a tenth of
 * R's learning rate.
 *
 * @param steps optimizer steps
 * @param learningRate of R, of LoRA's matrices, of PaRa's P
 * @param projectionFactor DEFT's P learns at this times {@code learningRate}
 * @param beta2 how much of the mean squared gradient AdamW keeps per step
 * @param weightDecay of AdamW
 * @param clip largest norm of all gradients together; 0: not clipped
 * @param schedule name of the learning rate's schedule
 * @param warmup steps over which the learning rate rises from 0
 * @param batch pictures in a forward pass
 * @param accumulate forward passes whose gradients make one step
 * @param checkpointing recompute blocks on the way back instead of keeping what is in them
 */
public record TrainingOptions(long steps, double learningRate, double projectionFactor, double beta2, double weightDecay, double clip,
    String schedule, long warmup, int batch, int accumulate, boolean checkpointing) {
  /** The learning rate schedules that can be asked for. */
  public static final List<String> SCHEDULES = List.of("constant", "cosine");

  /** @throws InputException listing every value out of its range */
  public TrainingOptions {
    List<String> problems = new ArrayList<>();
    atLeast(problems, "steps", steps, 1);
    atLeast(problems, "warmup", warmup, 0);
    atLeast(problems, "batch", batch, 1);
    atLeast(problems, "accumulate", accumulate, 1);
    if (!(learningRate > 0 && Double.isFinite(learningRate))) {
      problems.add("lr " + learningRate + ": a positive number is needed");
    }
    notNegative(problems, "projection-lr", projectionFactor);
    if (!(beta2 >= 0 && beta2 < 1)) {
      problems.add("beta2 " + beta2 + ": a number from 0 to below 1 is needed");
    }
    notNegative(problems, "weight-decay", weightDecay);
    notNegative(problems, "clip", clip);
    if (warmup > steps) {
      problems.add("warmup " + warmup + ": must not exceed the " + steps + " steps");
    }
    if (!SCHEDULES.contains(schedule)) {
      problems.add("schedule '" + schedule + "' is unknown" + Nearest.hint(schedule, SCHEDULES) + "; there are "
          + String.join(", ", SCHEDULES));
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
  }

  private static void atLeast(List<String> problems, String name, long value, long least) {
    if (value < least) {
      problems.add(name + " " + value + ": at least " + least + " is needed");
    }
  }

  private static void notNegative(List<String> problems, String name, double value) {
    if (!(value >= 0 && Double.isFinite(value))) {
      problems.add(name + " " + value + ": must not be negative");
    }
  }

  /** The defaults, for this many steps. */
  public static TrainingOptions steps(long steps) {
    return new TrainingOptions(steps, 1e-4, 0.1, 0.999, 1e-4, 1, "constant", 0, 1, 1, false);
  }

  /** With another learning rate. */
  public TrainingOptions withLearningRate(double rate) {
    return new TrainingOptions(steps, rate, projectionFactor, beta2, weightDecay, clip, schedule, warmup, batch, accumulate,
        checkpointing);
  }

  /** So few steps that they only show what the run needs. */
  public TrainingOptions shortened(long most) {
    return new TrainingOptions(Math.min(most, steps), learningRate, projectionFactor, beta2, weightDecay, clip, schedule, 0, batch,
        (int) Math.min(most, accumulate), checkpointing);
  }

  /** In batches of another size, with or without checkpointing. */
  public TrainingOptions with(int newBatch, boolean isCheckpointing) {
    return new TrainingOptions(steps, learningRate, projectionFactor, beta2, weightDecay, clip, schedule, warmup, newBatch, accumulate,
        isCheckpointing);
  }
}
