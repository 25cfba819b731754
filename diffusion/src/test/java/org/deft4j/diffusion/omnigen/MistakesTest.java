package org.deft4j.diffusion.omnigen;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.WeightSource;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * What goes wrong most easily in an implementation of OmniGen, made on purpose: each mistake must move the output far from the golden
 * data, or the golden data would not have shown it. A mistake in the code is made by the weights, the configuration, the mask or the
 * inputs that make the right code compute the same.
 */
class MistakesTest {
  private static final String CASE = "forward_images";
  /** The golden test's own limit. */
  private static final double RIGHT = 5e-5;
  /** A wrong detail moves the output by 0.07 or more. */
  private static final double WRONG = 0.03;

  /** How a mistake shows. */
  private interface Mistake {
    /** The largest error it leads to. */
    double error(OmniGenModelFixture fixture);
  }

  @TestFactory
  Stream<DynamicTest> eachIsSeen() {
    return OmniGenModelFixture.all().stream().flatMap(fixture -> mistakes(fixture).entrySet().stream().map(mistake ->
        DynamicTest.dynamicTest(fixture + ": " + mistake.getKey(), () -> {
          double error = mistake.getValue().error(fixture);
          assertTrue(error > WRONG, mistake.getKey() + " moves the output by " + error + " only");
        })));
  }

  @TestFactory
  Stream<DynamicTest> withoutOneAllIsRight() {
    return OmniGenModelFixture.all().stream().map(fixture -> DynamicTest.dynamicTest(fixture.toString(), () -> {
      double error = error(fixture, fixture.config(), Map.of(), UnaryOperator.identity(), 1);
      assertTrue(error < RIGHT, "error " + error);
    }));
  }

  private static Map<String, Mistake> mistakes(OmniGenModelFixture fixture) {
    OmniGenConfig right = fixture.config();
    int side = right.tableSide();
    int hidden = right.hidden();
    Map<String, Mistake> all = new LinkedHashMap<>();
    // Shifted by half of what is left over of the table, so that the middle of it holds the corner.
    all.put("position table cropped at the corner", f -> weights(f, Map.of("pos_embed", table -> {
      Tensor square = table.reshape(side, side, hidden);
      return square.roll(0, (side - 8) / 2).roll(1, (side - 8) / 2).reshape(1, (long) side * side, hidden);
    })));
    all.put("rows and columns of the position table exchanged", f -> weights(f, Map.of("pos_embed", table ->
        table.reshape(side, side, hidden).transpose(0, 1).reshape(1, (long) side * side, hidden))));
    all.put("patches put together channel first", f -> weights(f, Map.of(
        "final_layer.linear.weight", w -> channelFirst(right, w), "final_layer.linear.bias", w -> channelFirst(right, w))));
    all.put("gate and up exchanged", f -> weights(f, layers(right, "mlp.gate_up_proj.weight", w -> halvesExchanged(w))));
    all.put("shift and scale exchanged", f -> weights(f, Map.of(
        "final_layer.adaLN_modulation.1.weight", w -> halvesExchanged(w),
        "final_layer.adaLN_modulation.1.bias", w -> halvesExchanged(w))));
    all.put("rotary pairs interleaved", f -> weights(f, layers(right, "self_attn.qkv_proj.weight", w -> interleaved(right, w))));
    all.put("rotary factors ignored", f -> configured(f, rope(right, ones(right), ones(right), right.rope().longest())));
    all.put("short and long factors mixed up", f -> configured(f,
        rope(right, right.rope().longFactors(), right.rope().shortFactors(), right.rope().longest())));
    all.put("attention factor missing", f -> configured(f,
        rope(right, right.rope().shortFactors(), right.rope().longFactors(), right.rope().original())));
    all.put("input pictures through the embedder of the output", f -> weights(f, Map.of(
        "input_x_embedder.proj.weight", _ -> stored(f, "x_embedder.proj.weight"),
        "input_x_embedder.proj.bias", _ -> stored(f, "x_embedder.proj.bias"))));
    all.put("time times 1000", f -> error(f, right, Map.of(), UnaryOperator.identity(), 1000));
    all.put("sines before cosines", f -> weights(f, Map.of(
        "time_token.mlp.0.weight", w -> halvesExchanged(w.t()).t(), "t_embedder.mlp.0.weight", w -> halvesExchanged(w.t()).t())));
    all.put("left padding seen", f -> masked(f, (input, mask) -> mask.set(input, (i, j) -> j < mask.padding(input))));
    all.put("noise tokens causal", f -> masked(f, (input, mask) -> mask.clear(input, (i, j) -> i > mask.condition && j > i)));
    all.put("time token sees the noise", f -> masked(f, (input, mask) -> mask.set(input, (i, j) -> i == mask.condition)));
    all.put("pictures causal", f -> masked(f, (input, mask) -> mask.clear(input, (i, j) -> i < mask.condition && j > i
        && i >= mask.padding(input))));
    return all;
  }

  // ---------------------------------------------------------------------------------------------------- wrong weights

  private static double weights(OmniGenModelFixture fixture, Map<String, UnaryOperator<Tensor>> changes) {
    return error(fixture, fixture.config(), changes, UnaryOperator.identity(), 1);
  }

  private static Map<String, UnaryOperator<Tensor>> layers(OmniGenConfig config, String name, UnaryOperator<Tensor> change) {
    Map<String, UnaryOperator<Tensor>> changes = new LinkedHashMap<>();
    for (int i = 0; i < config.layers(); i++) {
      changes.put("llm.layers." + i + "." + name, change);
    }
    return changes;
  }

  private static Tensor stored(OmniGenModelFixture fixture, String name) {
    try (WeightSource source = SafetensorsFile.open(fixture.folder().resolve("model.safetensors"))) {
      return source.load(name);
    }
  }

  private static Tensor halvesExchanged(Tensor w) {
    List<Tensor> halves = w.chunk(0, 2);
    return Tensor.concat(0, halves.get(1), halves.get(0));
  }

  /** Output (row, column, channel) computes what belongs at (channel, row, column) of the same place. */
  private static Tensor channelFirst(OmniGenConfig config, Tensor w) {
    long p = config.patch();
    long[] rest = w.rank() == 1 ? new long[] {1} : new long[] {w.size(1)};
    return w.reshape(config.latents(), p, p, rest[0]).permute(1, 2, 0, 3).reshape(w.shape().toArray());
  }

  /** Within each head of queries and keys: pair i, which is turned as (i, i + d/2), holds what an interleaved rotation has at (2i, 2i+1). */
  private static Tensor interleaved(OmniGenConfig config, Tensor w) {
    int d = config.headWidth();
    long turned = (long) (config.heads() + config.keyValueHeads()) * d;
    Tensor heads = w.slice(0, 0, turned).reshape(-1, d / 2, 2, w.size(1)).permute(0, 2, 1, 3).reshape(turned, w.size(1));
    return Tensor.concat(0, heads, w.slice(0, turned, w.size(0)));
  }

  // ---------------------------------------------------------------------------------------------- wrong configurations

  private static double configured(OmniGenModelFixture fixture, LongRope rope) {
    OmniGenConfig c = fixture.config();
    OmniGenConfig wrong = new OmniGenConfig(c.hidden(), c.layers(), c.heads(), c.keyValueHeads(), c.intermediate(), c.vocabulary(),
        c.eps(), rope, c.patch(), c.latents(), c.tableSide(), c.padToken());
    return error(fixture, wrong, Map.of(), UnaryOperator.identity(), 1);
  }

  private static LongRope rope(OmniGenConfig config, List<Double> shortFactors, List<Double> longFactors, long longest) {
    return new LongRope(config.rope().theta(), shortFactors, longFactors, config.rope().original(), longest);
  }

  private static List<Double> ones(OmniGenConfig config) {
    return Collections.nCopies(config.headWidth() / 2, 1.0);
  }

  // ------------------------------------------------------------------------------------------------------ wrong masks

  /** Changes the mask of each row of the batch. */
  private interface Change {
    void of(int row, Mask mask);
  }

  private interface Place {
    boolean is(long i, long j);
  }

  /** A mask and its parts: padding, condition, the time token at {@code condition}, noise. */
  private static final class Mask {
    private final OmniGenInput input;
    private final long condition;
    private final Tensor mask;

    Mask(OmniGenInput input, Tensor mask) {
      this.input = input;
      this.condition = input.length();
      this.mask = mask;
    }

    long padding(int row) {
      return input.padding(row);
    }

    void set(int row, Place place) {
      write(row, place, (byte) 1);
    }

    void clear(int row, Place place) {
      write(row, place, (byte) 0);
    }

    private void write(int row, Place place, byte value) {
      MemorySegment bytes = mask.bytes();
      long s = mask.size(1);
      for (long i = 0; i < s; i++) {
        for (long j = 0; j < s; j++) {
          if (place.is(i, j)) {
            bytes.set(java.lang.foreign.ValueLayout.JAVA_BYTE, (row * s + i) * s + j, value);
          }
        }
      }
    }
  }

  private static double masked(OmniGenModelFixture fixture, Change change) {
    OmniGenModelFixture.Condition[] seen = new OmniGenModelFixture.Condition[1];
    try (Scope _ = Scope.open()) {
      seen[0] = fixture.condition(CASE, fixture.golden(CASE));
      return error(fixture, fixture.config(), Map.of(), mask -> {
        for (int row = 0; row < seen[0].input().rows(); row++) {
          change.of(row, new Mask(seen[0].input(), mask));
        }
        return mask;
      }, 1);
    }
  }

  // ------------------------------------------------------------------------------------------------------------ error

  private static double error(OmniGenModelFixture fixture, OmniGenConfig config, Map<String, UnaryOperator<Tensor>> changes,
      UnaryOperator<Tensor> mask, double timeFactor) {
    try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(config, null, changes)) {
      Map<String, Tensor> golden = fixture.golden(CASE);
      OmniGenModelFixture.Condition condition = fixture.condition(CASE, golden);
      List<Tensor> noisy = new ArrayList<>(OmniGenModelFixture.list(golden, "x"));
      Tensor seen = mask.apply(condition.input().mask(noisy.stream().mapToLong(model::tokens).toArray()));
      Tensor output = Tensor.concat(0,
          model.forward(condition.input(), condition.pictures(), noisy, golden.get("t").mul(timeFactor), null, seen));
      return output.sub(golden.get("output")).abs().max(false).item();
    }
  }
}
