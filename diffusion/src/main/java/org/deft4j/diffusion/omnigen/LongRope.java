package org.deft4j.diffusion.omnigen;

import java.util.List;
import org.deft4j.diffusion.ConfigCheck;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.JsonObject;

/**
 * The angles of rotary position embedding (Su et al. 2021) as Phi-3 has them ("su" or "longrope", Ding et al. 2024): pair i of a
 * head of width d turns at position p by
 *
 * <pre>
 *   p / (factor_i theta^(2i/d)),     i = 0 .. d/2-1
 * </pre>
 *
 * <p>with the long factors where there are more keys than the model was first trained with, else the short ones. Cosine and sine
 * are both multiplied by {@code sqrt(1 + ln(max/original) / ln(original))}, for short sequences too.
 *
 * @param theta the base of the frequencies
 * @param shortFactors d/2 of them
 * @param longFactors d/2 of them
 * @param original length up to which the short factors hold
 * @param longest length that the long factors are made for
 */
public record LongRope(double theta, List<Double> shortFactors, List<Double> longFactors, long original, long longest) {
  private static final List<String> TYPES = List.of("su", "longrope");

  /** Cosines and sines, F32 [B,1,S,d/2] each: one row of angles for all heads. */
  record Angles(Tensor cos, Tensor sin) {
    Angles cast(DType type) {
      return new Angles(cos.cast(type), sin.cast(type));
    }
  }

  /** Reads the keys of {@code json} for heads of width {@code width}. */
  static LongRope from(JsonObject json, int width, ConfigCheck check) {
    JsonObject scaling = json.requireObject("rope_scaling");
    String type = scaling.string("type", scaling.string("rope_type", ""));
    check.that(TYPES.contains(type), "rope_scaling.type: " + type + " is not supported; su and longrope are");
    LongRope rope = new LongRope(json.number("rope_theta", 10_000), scaling.requireNumbers("short_factor"),
        scaling.requireNumbers("long_factor"), json.requireLongInteger("original_max_position_embeddings"),
        json.requireLongInteger("max_position_embeddings"));
    for (List<Double> factors : List.of(rope.shortFactors, rope.longFactors)) {
      check.that(2 * factors.size() == width, "rope_scaling: " + factors.size() + " factors do not fit heads of width " + width
          + "; half as many are needed");
    }
    return rope;
  }

  /** {@code sqrt(1 + ln(max/original) / ln(original))}; 1 where max is not larger. */
  double attentionFactor() {
    return longest <= original ? 1 : Math.sqrt(1 + Math.log((double) longest / original) / Math.log((double) original));
  }

  /**
   * The angles at {@code positions} (I64 [B,S], each below {@code keys}) where there are {@code keys} keys in all, padding
   * included. Frequencies and angles are rounded to float32 step by step, as PyTorch does.
   */
  Angles angles(Tensor positions, long keys) {
    List<Double> factors = keys > original ? longFactors : shortFactors;
    int half = factors.size();
    float[] cos = new float[Math.toIntExact(keys * half)];
    float[] sin = new float[cos.length];
    float scale = (float) attentionFactor();
    for (int i = 0; i < half; i++) {
      float power = (float) Math.pow(theta, (float) (2 * i) / (float) (2 * half));
      float frequency = 1 / (factors.get(i).floatValue() * power);
      for (int p = 0; p < keys; p++) {
        double angle = p * frequency;
        cos[p * half + i] = (float) Math.cos(angle) * scale;
        sin[p * half + i] = (float) Math.sin(angle) * scale;
      }
    }
    return new Angles(at(positions, cos, half), at(positions, sin, half));
  }

  private static Tensor at(Tensor positions, float[] table, int half) {
    return Tensor.of(table, table.length / half, half).embedding(positions).unsqueeze(1);
  }
}
