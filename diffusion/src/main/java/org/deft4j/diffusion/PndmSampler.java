package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.deft4j.diffusion.SchedulerConfig.Prediction;
import org.deft4j.tensor.Tensor;

/**
 * PNDM (Liu et al. 2022) without Runge-Kutta steps: the noise is extrapolated from up to four outputs (Adams-Bashforth), and
 * equation 9 carries the sample over. The first step is taken twice: the second time with the mean of both ends.
 */
final class PndmSampler extends Sampler {
  private static final int MEMORY = 4;

  private final SchedulerConfig config;
  private final NoiseSchedule noise;
  private final long stride;
  /** Outputs, the latest last; all but that of the repeated step. */
  private final List<Tensor> outputs = new ArrayList<>();
  private Tensor first;
  private int expected;

  PndmSampler(SchedulerConfig config, NoiseSchedule noise, int steps) {
    super(repeatSecond(Timesteps.spaced(config, steps, true)));
    if (config.prediction() == Prediction.SAMPLE) {
      throw new IllegalArgumentException("PNDM: the model predicts the clean sample; noise or velocity is needed");
    }
    this.config = config;
    this.noise = noise;
    this.stride = noise.steps() / steps;
  }

  private static double[] repeatSecond(double[] timesteps) {
    if (timesteps.length < 2) {
      return timesteps;
    }
    double[] result = new double[timesteps.length + 1];
    result[0] = timesteps[0];
    System.arraycopy(timesteps, 1, result, 2, timesteps.length - 1);
    result[1] = timesteps[1];
    return result;
  }

  @Override
  Step advance(Tensor output, int i, Tensor sample, Supplier<Tensor> drawn) {
    requireNext(i, expected);
    expected++;
    long t = Math.round(timestep(i));
    if (i == 1) {
      Tensor mean = output.add(outputs.getLast()).mul(0.5);
      Step step = new Step(carry(first, t + stride, t, mean), null);
      first.close();
      return step;
    }
    remember(output);
    if (i == 0) {
      first = sample.share();
    }
    return new Step(carry(sample, t, t - stride, extrapolated()), null);
  }

  static void requireNext(int i, int expected) {
    if (i != expected) {
      throw new IllegalStateException("step: this method remembers earlier steps; step " + expected + " is next, not " + i);
    }
  }

  private void remember(Tensor output) {
    if (outputs.size() == MEMORY) {
      outputs.removeFirst().close();
    }
    outputs.add(output.share());
  }

  /** Adams-Bashforth of the order that the memory allows. */
  private Tensor extrapolated() {
    Tensor e0 = outputs.getLast();
    return switch (outputs.size()) {
      case 1 -> e0;
      case 2 -> e0.mul(3).sub(past(1)).mul(0.5);
      case 3 -> divide(e0.mul(23).sub(past(1).mul(16)).add(past(2).mul(5)), 12);
      default -> e0.mul(55).sub(past(1).mul(59)).add(past(2).mul(37)).sub(past(3).mul(9)).mul(1.0 / 24);
    };
  }

  private Tensor past(int ago) {
    return outputs.get(outputs.size() - 1 - ago);
  }

  /** Equation 9, from timestep t to {@code next}. */
  private Tensor carry(Tensor sample, long t, long next, Tensor output) {
    float here = noise.alpha(t);
    float there = DdimSampler.alphaOrEnd(config, noise, next);
    Tensor eps = config.prediction() == Prediction.EPSILON ? output
        : output.mul(sqrt(here)).add(sample.mul(sqrt(1 - here)));
    float divisor = here * sqrt(1 - there) + sqrt(here * (1 - here) * there);
    return sample.mul(sqrt(there / here)).sub(divide(eps.mul(there - here), divisor));
  }

  @Override
  public Tensor addNoise(Tensor x0, Tensor drawn, int... steps) {
    return noise.addNoise(x0, drawn, wholeTimesteps(steps));
  }

  @Override
  public void close() {
    outputs.forEach(Tensor::close);
    outputs.clear();
    if (first != null) {
      first.close();
    }
  }
}
