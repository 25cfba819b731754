package org.deft4j.deft;

import java.util.ArrayList;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Objects;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.nn.AdamBetas;
import org.deft4j.nn.AdamW;
import org.deft4j.nn.GradientClip;
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
 * Trains an adapter, or a whole model, with AdamW: draws what a pass is about, computes its loss, follows the gradient.
 *
 * <p>All random numbers come from the source that is given, so two runs with one seed have the same bytes; nothing of a step
 * outlives it, so memory stays as it is after the first.
 */
public final class Trainer {
  private final Objective objective;
  private final Trainable trained;
  private final TrainingOptions options;
  private final RandomSource random;

  /** A step that was done. */
  public record Step(long number, double loss, double learningRate, double gradientNorm) {}

  /** Told of each step. */
  @FunctionalInterface
  public interface Listener {
    /** {@code step} was done. */
    void done(Step step);
  }

  /** A trainer of {@code trained}, which is part of the model that {@code objective} is about: an adapter is attached to it. */
  public Trainer(Objective objective, Trainable trained, TrainingOptions options, RandomSource random) {
    this.objective = objective;
    this.trained = trained;
    this.options = options;
    this.random = random;
  }

  /**
   * Does the steps, or as many as come before {@code interrupted} says so; it is asked after each.
   *
   * @return the number of steps done
   * @throws NumericException naming the step, if the loss or a gradient is not finite
   * @throws IllegalStateException naming them, if tensors that are trained get no gradient in the first step
   */
  public long run(Listener listener, BooleanSupplier interrupted) {
    if (trained.trainable().isEmpty()) {
      throw new InputException("there is nothing to train: every matrix of the adapter is kept as it is (PaRa has P alone, and qr-frozen keeps it); "
          + "use another decomposition");
    }
    objective.setGradientCheckpointing(options.checkpointing());
    trained.setTraining(true);
    Schedule rate = options.schedule().equals("cosine") ? Schedule.cosine(options.warmup(), options.steps())
        : Schedule.constantWithWarmup(options.warmup());
    try (Optimizer optimizer = new AdamW(trained.groups(options.projectionFactor(), options.weightDecay()),
        options.learningRate(), rate, new AdamBetas(AdamBetas.USUAL.beta1(), options.beta2(), AdamBetas.USUAL.eps()))) {
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
      List<Tensor> results = new ArrayList<>();
      IdentityHashMap<Tensor, Tensor> sums = new IdentityHashMap<>();
      for (int pass = 0; pass < options.accumulate(); pass++) {
        try (Scope scope = Scope.open()) {
          Pass result = pass(number);
          results.add(scope.keep(result.loss()));
          add(scope, sums, result.gradients());
        }
      }
      double limit = options.clip() == 0 ? Double.POSITIVE_INFINITY : options.clip();
      results.add(GradientClip.globalNorm(inOrder(sums), limit));
      double learningRate = optimizer.currentLearningRate();
      optimizer.step(sums::get);
      return finished(number, results, learningRate);
    }
  }

  /** Of the losses and the norm, which are read together and last: so a card is waited for once, with the whole step to do meanwhile. */
  private Step finished(long number, List<Tensor> results, double learningRate) {
    double[] values = Tensor.concat(0, results.stream().map(x -> x.cast(DType.F64).reshape(1)).toList()).toDoubles();
    double loss = 0;
    for (int pass = 0; pass < options.accumulate(); pass++) {
      if (!Double.isFinite(values[pass])) {
        throw new NumericException("step " + number + ": the loss is " + values[pass]
            + "; lower the learning rate, or look for values that are not finite in the model and the pictures");
      }
      loss += values[pass] / options.accumulate();
    }
    double norm = values[options.accumulate()];
    if (!Double.isFinite(norm)) {
      throw new NumericException("step " + number + ": the gradient is not finite though the loss, " + loss
          + ", is; lower the learning rate");
    }
    return new Step(number, loss, learningRate, norm);
  }

  private record Pass(Tensor loss, Gradients gradients) {}

  private Pass pass(long number) {
    try (Tape tape = Tape.watch(trained.trainable())) {
      Tensor loss = Scope.run(this::loss);
      Gradients gradients = tape.gradients(options.accumulate() == 1 ? loss : loss.mul(1.0 / options.accumulate()));
      if (number == 1 && !trained.mayLackGradients()) {
        requireAll(gradients);
      }
      return new Pass(loss, gradients);
    }
  }

  private Tensor loss() {
    Supplier<Tensor> loss = objective.draw(options.batch(), random);
    trained.startPass(random);
    return loss.get();
  }

  private void requireAll(Gradients gradients) {
    List<String> without = trained.trainable().stream().filter(t -> !gradients.has(t)).map(Tensor::toString).toList();
    if (!without.isEmpty()) {
      throw new IllegalStateException(without.size() + " of " + trained.trainable().size()
          + " trainable " + trained.word() + " got no gradient, so they would never learn: " + String.join(", ",
              without.subList(0, Math.min(5, without.size()))) + (without.size() > 5 ? ", ..." : ""));
    }
  }

  private List<Tensor> inOrder(IdentityHashMap<Tensor, Tensor> sums) {
    return trained.trainable().stream().map(sums::get).filter(Objects::nonNull).toList();
  }

  /** Adds the gradients of a pass, whose scope ends now. */
  private void add(Scope pass, IdentityHashMap<Tensor, Tensor> sums, Gradients gradients) {
    for (Tensor tensor : trained.trainable()) {
      if (gradients.has(tensor)) {
        Tensor sum = sums.putIfAbsent(tensor, gradients.of(tensor));
        if (sum == null) {
          pass.keep(gradients.of(tensor));
        } else {
          Dispatch.run(new InPlace.AddScaledInto(1), sum, gradients.of(tensor));
        }
      }
    }
  }
}
