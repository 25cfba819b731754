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
 *
 * <p>A run that is to survive its process saves its state now and then, and another goes on from it with the same bytes:
 *
 * <pre>{@code
 * new Trainer(objective, adapter, options, random).saving(100, state -> state.write(file)).run(listener, interrupted);
 * try (TrainingState state = TrainingState.read(file)) {
 *   new Trainer(objective, adapter, options, random).resume(state).run(listener, interrupted);
 * }
 * }</pre>
 */
public final class Trainer {
  private final Objective objective;
  private final Trainable trained;
  private final TrainingOptions options;
  private final RandomSource random;
  private Saver saver;
  private long every;
  private TrainingState resumed;

  /** A step that was done. */
  public record Step(long number, double loss, double learningRate, double gradientNorm) {}

  /** Told of each step. */
  @FunctionalInterface
  public interface Listener {
    /** {@code step} was done. */
    void done(Step step);
  }

  /** Saves the state of a training. */
  @FunctionalInterface
  public interface Saver {
    /** Writes {@code state}, which is that of now and no longer holds when this returns. */
    void save(TrainingState state);
  }

  /** A trainer of {@code trained}, which is part of the model that {@code objective} is about: an adapter is attached to it. */
  public Trainer(Objective objective, Trainable trained, TrainingOptions options, RandomSource random) {
    this.objective = objective;
    this.trained = trained;
    this.options = options;
    this.random = random;
  }

  /**
   * Has {@code saver} save the state after every {@code every}-th step, 0 for none, and after the step at which a run is interrupted; not after
   * the last one, when nothing is left to go on with. It comes after the step was told of, and only where all numbers are finite. What it throws
   * ends the run.
   */
  public Trainer saving(long newEvery, Saver newSaver) {
    if (newEvery < 0) {
      throw new InputException("state saved every " + newEvery + " steps: must not be negative");
    }
    every = newEvery;
    saver = newSaver;
    return this;
  }

  /**
   * Has the run go on from {@code state}, of a training of the same things with the same options: what is trained, optimizer, random numbers
   * and the order of examples are brought to it, and the first step is the one after its last. Open until the run has begun. With a constant
   * learning rate there may be more steps than it was to have.
   */
  public Trainer resume(TrainingState state) {
    resumed = state;
    return this;
  }

  /**
   * Does the steps, or as many as come before {@code interrupted} says so; it is asked after each.
   *
   * @return the number of steps done, those before {@link #resume} included
   * @throws NumericException naming the step, if the loss or a gradient is not finite, or what is trained where its state would be saved
   * @throws InputException if the state to go on from is one of other things
   * @throws IllegalStateException naming them, if tensors that are trained get no gradient in its first step
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
      List<Step> steps = new ArrayList<>();
      if (resumed != null) {
        resumed.restore(trained, optimizer, random, objective);
        steps.addAll(resumed.steps());
      }
      int before = steps.size();
      for (long number = before + 1L; number <= options.steps(); number++) {
        steps.add(step(number, number == before + 1, optimizer));
        listener.done(steps.getLast());
        boolean ends = interrupted.getAsBoolean();
        if (saver != null && number < options.steps() && (ends || (every > 0 && number % every == 0))) {
          save(optimizer, steps);
        }
        if (ends) {
          return number;
        }
      }
    }
    return options.steps();
  }

  private void save(Optimizer optimizer, List<Step> steps) {
    if (!trained.trainable().stream().allMatch(Finite::holds)) {
      throw new NumericException("step " + steps.size() + ": the step left values that are not finite; lower the learning rate");
    }
    try (Scope _ = Scope.open(); TrainingState state = TrainingState.of(trained, optimizer, random, objective, steps)) {
      saver.save(state);
    }
  }

  private Step step(long number, boolean first, Optimizer optimizer) {
    try (Scope _ = Scope.open()) {
      List<Tensor> results = new ArrayList<>();
      IdentityHashMap<Tensor, Tensor> sums = new IdentityHashMap<>();
      for (int pass = 0; pass < options.accumulate(); pass++) {
        try (Scope scope = Scope.open()) {
          Pass result = pass(first && pass == 0);
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

  private Pass pass(boolean first) {
    try (Tape tape = Tape.watch(trained.trainable()); Trainable.Prepared prepared = trained.prepare()) {
      Tensor loss = Scope.run(this::loss);
      Gradients gradients = tape.gradients(options.accumulate() == 1 ? loss : loss.mul(1.0 / options.accumulate()));
      if (first && !trained.mayLackGradients()) {
        requireAll(gradients, prepared.unused());
      }
      return new Pass(loss, gradients);
    }
  }

  private Tensor loss() {
    Supplier<Tensor> loss = objective.draw(options.batch(), random);
    trained.startPass(random);
    return loss.get();
  }

  private void requireAll(Gradients gradients, List<Tensor> unused) {
    List<String> without = trained.trainable().stream().filter(t -> !gradients.has(t) || unused.contains(t)).map(Tensor::toString).toList();
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
