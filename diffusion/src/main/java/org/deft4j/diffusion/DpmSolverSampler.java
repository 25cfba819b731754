package org.deft4j.diffusion;

import java.util.Arrays;
import java.util.function.Supplier;
import org.deft4j.diffusion.SchedulerConfig.Solver;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * DPM-Solver++ (Lu et al. 2022), multistep of first or second order, deterministic or with noise, in
 * {@code x = a x_0 + s eps}, {@code lambda = log(a / s)}; s is the standard deviation, {@code sigma a} with sigma the noise
 * level.
 *
 * <p>With h the step in lambda, d_0 the predicted x_0 and d_1 its difference to the one before over {@code r = h_before / h}:
 * first order {@code x' = s'/s x - a' (e^-h - 1) d_0}; second order adds {@code -a' (e^-h - 1) / 2 d_1} (midpoint) or
 * {@code a' ((e^-h - 1) / h + 1) d_1} (Heun).
 */
final class DpmSolverSampler extends Sampler {
  /** Runs shorter than this end with a lower order, if so configured. */
  private static final int SHORT_RUN = 15;

  private final SchedulerConfig config;
  private Tensor before;
  private int expected;

  DpmSolverSampler(SchedulerConfig config, NoiseSchedule noise, int steps) {
    this(config, noise.withFiniteEndIf(config.betas().zeroSnr()), Grid.of(config,
        noise.withFiniteEndIf(config.betas().zeroSnr()), steps));
  }

  private DpmSolverSampler(SchedulerConfig config, NoiseSchedule noise, Grid grid) {
    super(grid.timesteps, EulerSampler.withEnd(config, noise, grid.levels));
    this.config = config;
  }

  /** Where the steps are: timesteps for the model, noise levels for the formulas. */
  private record Grid(double[] timesteps, double[] levels) {
    static Grid of(SchedulerConfig config, NoiseSchedule noise, int steps) {
      float[] sigmas = noise.sigmas();
      float[] logs = Timesteps.logarithms(sigmas);
      int last = sigmas.length - 1;
      if (config.levels().karras()) {
        return of(config, logs, Timesteps.karras(sigmas[0], sigmas[last], steps));
      }
      if (config.levels().lu()) {
        return of(config, logs, Arrays.stream(Timesteps.linspace(0, 1, steps))
            .map(ramp -> Math.exp(logs[last] + ramp * (logs[0] - (double) logs[last]))).toArray());
      }
      double[] timesteps = Timesteps.spacedForSolver(config, visited(config.solver(), noise), steps);
      return new Grid(timesteps, Timesteps.interpolate(timesteps, sigmas));
    }

    private static Grid of(SchedulerConfig config, float[] logs, double[] levels) {
      boolean rounded = config.betas().schedule() != SchedulerConfig.BetaSchedule.SQUAREDCOS_CAP_V2;
      return new Grid(Arrays.stream(levels).map(level -> Timesteps.ofSigma(level, logs))
          .map(t -> rounded ? Math.rint(t) : Math.floor(t)).toArray(), levels);
    }

    /** How many training steps, from the first, have a lambda that is not below the smallest. */
    private static int visited(Solver solver, NoiseSchedule noise) {
      int count = noise.steps();
      while (count > 1 && lambda(noise.alpha(count - 1)) < solver.smallestLambda()) {
        count--;
      }
      return count;
    }

    private static float lambda(float alpha) {
      return log(sqrt(alpha)) - log(sqrt(1 - alpha));
    }
  }

  private static float log(float x) {
    return (float) Math.log(x);
  }

  private static float exp(float x) {
    return (float) Math.exp(x);
  }

  /** Signal a, deviation s and lambda at a noise level. */
  private record Level(float a, float s, float lambda) {
    static Level of(float sigma) {
      float a = 1 / sqrt(sigma * sigma + 1);
      float s = sigma * a;
      return new Level(a, s, log(a) - log(s));
    }
  }

  @Override
  Step advance(Tensor output, int i, Tensor sample, Supplier<Tensor> drawn) {
    PndmSampler.requireNext(i, expected);
    expected++;
    Level here = Level.of(sigma(i));
    Tensor original = switch (config.prediction()) {
      case EPSILON -> divide(sample.sub(output.mul(here.s)), here.a);
      case SAMPLE -> output;
      case V_PREDICTION -> sample.mul(here.a).sub(output.mul(here.s));
    };
    Tensor noise = config.solver().stochastic() ? draw(drawn, sample.shape()) : null;
    Level next = Level.of(sigma(i + 1));
    Tensor previous = before == null || isFirstOrder(i) ? firstOrder(original, sample, here, next, noise)
        : secondOrder(original, sample, here, next, noise, Level.of(sigma(i - 1)));
    remember(original);
    return new Step(previous, null);
  }

  private boolean isFirstOrder(int i) {
    Solver solver = config.solver();
    boolean lowerAtEnd = solver.eulerAtFinal() || (solver.lowerOrderFinal() && steps() < SHORT_RUN)
        || !config.levels().endAtSmallest();
    return solver.order() == 1 || (i == steps() - 1 && lowerAtEnd);
  }

  private void remember(Tensor original) {
    if (before != null) {
      before.close();
    }
    before = original.share();
  }

  /** {@code s'/s x - a' (e^-h - 1) x_0}; with noise {@code s'/s e^-h x + a' (1 - e^-2h) x_0 + s' sqrt(1 - e^-2h) z}. */
  private static Tensor firstOrder(Tensor original, Tensor sample, Level here, Level next, Tensor noise) {
    float h = next.lambda - here.lambda;
    if (noise == null) {
      return sample.mul(next.s / here.s).sub(original.mul(next.a * (exp(-h) - 1)));
    }
    float gain = 1 - exp(-2 * h);
    return sample.mul(next.s / here.s * exp(-h)).add(original.mul(next.a * gain)).add(noise.mul(next.s * sqrt(gain)));
  }

  private Tensor secondOrder(Tensor original, Tensor sample, Level here, Level next, Tensor noise, Level last) {
    float h = next.lambda - here.lambda;
    float r = (here.lambda - last.lambda) / h;
    Tensor change = original.sub(before).mul(1 / r);
    boolean heun = config.solver().heun();
    float slope;
    if (noise == null) {
      float loss = exp(-h) - 1;
      slope = next.a * (heun ? loss / h + 1 : -0.5f * loss);
    } else {
      float gain = 1 - exp(-2 * h);
      slope = next.a * (heun ? gain / (-2 * h) + 1 : 0.5f * gain);
    }
    return firstOrder(original, sample, here, next, noise).add(change.mul(slope));
  }

  @Override
  public Tensor addNoise(Tensor x0, Tensor drawn, int... steps) {
    float[] signal = new float[steps.length];
    float[] deviation = new float[steps.length];
    for (int i = 0; i < steps.length; i++) {
      Level level = Level.of(sigma(checked(steps[i])));
      signal[i] = level.a;
      deviation[i] = level.s;
    }
    return Scope.run(() -> x0.mul(NoiseSchedule.perSample("addNoise", x0.shape(), signal))
        .add(drawn.mul(NoiseSchedule.perSample("addNoise", x0.shape(), deviation))));
  }

  @Override
  public void close() {
    if (before != null) {
      before.close();
    }
  }
}
