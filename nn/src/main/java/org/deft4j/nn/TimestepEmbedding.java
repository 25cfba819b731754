package org.deft4j.nn;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** A number as a vector: sinusoids of it, then {@code linear_2(silu(linear_1(s)))} (diffusers' {@code TimestepEmbedding}). */
public final class TimestepEmbedding extends Module {
  private static final double MAX_PERIOD = 10_000;
  private static final float LOG2_E = 1.442695f;
  private static final float LN2_HIGH = 0.69314575f;
  private static final float LN2_LOW = 1.4286068e-6f;
  /** P's coefficients, highest power first. */
  private static final float[] EXP = {1.9852762e-4f, 1.3930436e-3f, 8.333361e-3f, 4.1666485e-2f, 0.16666667f, 0.5f};

  private final Linear linear1;
  private final Linear linear2;

  /** From {@code in} sinusoids (and whatever else is concatenated) to {@code out} features. */
  public TimestepEmbedding(long in, long out) {
    linear1 = child("linear_1", new Linear(in, out));
    linear2 = child("linear_2", new Linear(out, out));
  }

  /** s [N,in] to [N,out]. */
  public Tensor forward(Tensor s) {
    return observed(Scope.run(() -> linear2.forward(linear1.forward(s).silu())));
  }

  /**
   * Sine and cosine of {@code t * f_i}, {@code f_i = 10000^(-i / (h - shift))}, {@code i = 0 .. h-1}, {@code h = width / 2}
   * (diffusers' {@code get_timestep_embedding}). The arithmetic is float32, whatever the type of t: at t around 1000 the
   * rounding of {@code t * f_i} shows, and trained models know it.
   *
   * @param t [N]
   * @param width of the result; an odd one ends with a zero
   * @param cosFirst {@code flip_sin_to_cos}: cosines before sines
   * @param shift {@code downscale_freq_shift}
   * @return F32 [N, width]
   */
  public static Tensor sinusoidal(Tensor t, int width, boolean cosFirst, double shift) {
    if (t.device() == Device.META) {
      return Tensor.empty(Device.META, DType.F32, Shape.of(t.elementCount(), width));
    }
    return Scope.run(() -> {
      int half = width / 2;
      Tensor angles = t.cast(DType.F32).reshape(-1, 1).mul(Tensor.of(frequencies(half, shift), 1, half));
      Tensor both = cosFirst ? Tensor.concat(1, angles.cos(), angles.sin()) : Tensor.concat(1, angles.sin(), angles.cos());
      return width % 2 == 0 ? both : both.pad(0, 0, 1);
    });
  }

  /**
   * Each step rounded to float, with the bits that PyTorch's vector exponential gives: where it is off by one unit in the
   * last place, {@code t * f} is off by 6e-5 at t = 1000, and that is seen in a UNet's output.
   */
  private static float[] frequencies(int half, double shift) {
    float[] frequencies = new float[half];
    for (int i = 0; i < half; i++) {
      float exponent = (float) -StrictMath.log(MAX_PERIOD) * i / (float) (half - shift);
      frequencies[i] = exp(exponent);
    }
    return frequencies;
  }

  /**
   * {@code e^x} in the order of operations of SLEEF's {@code expf_u10}, which PyTorch calls: {@code x = q ln 2 + s}, then
   * {@code 2^q (1 + s + s^2 P(s))}.
   */
  private static float exp(float x) {
    float q = (float) Math.rint(x * LOG2_E);
    float s = Math.fma(q, -LN2_HIGH, x);
    s = Math.fma(q, -LN2_LOW, s);
    float p = EXP[0];
    for (int i = 1; i < EXP.length; i++) {
      p = Math.fma(p, s, EXP[i]);
    }
    return Math.scalb(1 + Math.fma(s * s, p, s), (int) q);
  }
}
