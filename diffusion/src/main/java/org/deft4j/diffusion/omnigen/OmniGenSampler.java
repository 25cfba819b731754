package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * OmniGen's sampling loop: Euler's method along the velocity from noise (t = 0) to pictures (t = 1), guided by what the model says
 * without parts of the condition. With c the prediction for all of it, u for the negative prompt, m for the input pictures alone:
 *
 * <pre>
 *   v = u + g (c - u)                       two branches
 *   v = u + gi (m - u) + g (c - m)          three
 *   z += (t' - t) v
 * </pre>
 *
 * <p>Letters: B pictures that are sampled together, C latent channels, h and w the latents' size.
 */
final class OmniGenSampler implements AutoCloseable {
  private final OmniGenTransformer model;
  private final Guidance guidance;
  private final int pictures;
  private final int branches;
  private final List<Call> calls = new ArrayList<>();

  /** One of a branch's B conditions: its tokens, and the latents [1,C,h,w] of its input pictures. */
  record Row(OmniGenTokens tokens, List<Tensor> pictures) {}

  /** How branches are put together, and how they are computed: g and gi of the formula, all branches as one batch or one by one. */
  record Guidance(double text, double image, boolean stacked, KeyValueCache.Kind cache) {}

  /** A pass of the model in each step. */
  private record Call(OmniGenInput input, List<List<Tensor>> pictures, int branches, KeyValueCache cache) {}

  /**
   * A sampler.
   *
   * @param branches one, two (full, negative) or three (full, negative, pictures alone) times B rows
   */
  OmniGenSampler(OmniGenTransformer model, List<List<Row>> branches, Guidance guidance) {
    this.model = model;
    this.guidance = guidance;
    this.pictures = branches.getFirst().size();
    this.branches = branches.size();
    if (guidance.stacked()) {
      calls.add(call(branches.stream().flatMap(List::stream).toList(), branches.size()));
    } else {
      branches.forEach(branch -> calls.add(call(branch, 1)));
    }
  }

  private Call call(List<Row> rows, int count) {
    OmniGenInput input = OmniGenInput.of(rows.stream().map(Row::tokens).toList(), model.config().padToken());
    KeyValueCache cache = guidance.cache() == KeyValueCache.Kind.NONE ? null : new KeyValueCache(guidance.cache(), input.length());
    return new Call(input, rows.stream().map(Row::pictures).toList(), count, cache);
  }

  /**
   * The times of the steps, {@code steps + 1} from 0 to 1: {@code i / steps}, shifted to {@code t / (t + s - s t)}.
   *
   * @param shift s; 1 leaves them evenly spaced, as the reference's pipeline always does
   */
  static float[] times(int steps, double shift) {
    float[] times = new float[steps + 1];
    for (int i = 0; i <= steps; i++) {
      float t = (float) i / steps;
      times[i] = t / (t + (float) shift - (float) shift * t);
    }
    return times;
  }

  /** Told after each step. */
  @FunctionalInterface
  interface Progress {
    /** Step {@code step} (from 1) gave {@code latents} [B,C,h,w], which live until the next, along {@code velocity}. */
    void done(int step, Tensor latents, Tensor velocity);
  }

  /** From noise z [B,C,h,w] to latents. A sampler samples once: its caches are filled then. */
  Tensor run(Tensor z, float[] times, Progress progress) {
    Tensor now = Scope.release(z.copy());
    for (int i = 0; i + 1 < times.length; i++) {
      float t = times[i];
      float step = times[i + 1] - t;
      try (Scope _ = Scope.open()) {
        Tensor velocity = velocity(now, t);
        Tensor next = Scope.release(now.add(velocity.mul(step)));
        now.close();
        now = next;
        requireFinite(now, i + 1);
        progress.done(i + 1, now, velocity);
      }
    }
    return Scope.adopt(now);
  }

  private Tensor velocity(Tensor z, float t) {
    List<Tensor> each = z.chunk(0, pictures);
    List<Tensor> predictions = new ArrayList<>();
    for (Call call : calls) {
      List<Tensor> noisy = Stream.generate(() -> each).limit(call.branches).flatMap(List::stream).toList();
      Tensor times = Tensor.full(DType.F32, t, noisy.size());
      List<Tensor> rows = model.forward(call.input, call.pictures, noisy, times, call.cache);
      for (int i = 0; i < rows.size(); i += pictures) {
        predictions.add(Tensor.concat(0, rows.subList(i, i + pictures)));
      }
    }
    return guided(predictions);
  }

  private Tensor guided(List<Tensor> v) {
    if (branches == 1) {
      return v.getFirst();
    }
    Tensor full = v.get(0);
    Tensor negative = v.get(1);
    if (branches == 2) {
      return negative.add(full.sub(negative).mul(guidance.text()));
    }
    Tensor image = v.get(2);
    return negative.add(image.sub(negative).mul(guidance.image())).add(full.sub(image).mul(guidance.text()));
  }

  private static void requireFinite(Tensor latents, int step) {
    if (!Double.isFinite(latents.abs().max(false).item())) {
      throw new NumericException("sampling: the latent is not finite after step " + step
          + "; look for values that are not finite in the model or the adapter, or lower the adapter's strength");
    }
  }

  @Override
  public void close() {
    calls.forEach(call -> {
      if (call.cache != null) {
        call.cache.close();
      }
    });
  }
}
