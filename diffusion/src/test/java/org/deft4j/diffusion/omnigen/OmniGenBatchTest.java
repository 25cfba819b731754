package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

/** What must hold for any model and any batch: rows do not see each other, grouped heads are shared heads. */
class OmniGenBatchTest {
  private static final double LIMIT = 5e-5;

  static List<OmniGenModelFixture> fixtures() {
    return OmniGenModelFixture.all();
  }

  /** Three rows: none, one and three pictures (one of them shown twice), three output sizes. */
  private record Batch(List<OmniGenTokens> tokens, List<List<Tensor>> pictures, List<Tensor> noisy, Tensor t) {
    static Batch of(OmniGenConfig config) {
      TorchRandom random = new TorchRandom(3);
      SplittableRandom ids = new SplittableRandom(4);
      long c = config.latents();
      List<List<Tensor>> pictures = List.of(List.of(), List.of(random.normal(DType.F32, 1, c, 4, 6)),
          List.of(random.normal(DType.F32, 1, c, 8, 4), random.normal(DType.F32, 1, c, 2, 2), random.normal(DType.F32, 1, c, 6, 10)));
      List<List<Integer>> shown = List.of(List.of(), List.of(0), List.of(2, 0, 1, 0));
      List<OmniGenTokens> tokens = new ArrayList<>();
      for (int row = 0; row < 3; row++) {
        List<Integer> own = new ArrayList<>(words(ids, 5 + 3 * row, config.vocabulary()));
        List<ImageSpan> spans = new ArrayList<>();
        for (int picture : shown.get(row)) {
          Tensor latent = pictures.get(row).get(picture);
          int count = Math.toIntExact(latent.size(2) * latent.size(3) / 4);
          spans.add(new ImageSpan(picture, own.size(), own.size() + count));
          own.addAll(Collections.nCopies(count, 0));
          own.addAll(words(ids, 3, config.vocabulary()));
        }
        tokens.add(new OmniGenTokens(own, spans));
      }
      List<Tensor> noisy = List.of(random.normal(DType.F32, 1, c, 8, 8), random.normal(DType.F32, 1, c, 4, 12),
          random.normal(DType.F32, 1, c, 6, 2));
      return new Batch(tokens, pictures, noisy, Tensor.of(new float[] {0.1f, 0.5f, 0.95f}, 3));
    }

    private static List<Integer> words(SplittableRandom ids, int count, int vocabulary) {
      List<Integer> words = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        words.add(ids.nextInt(1, vocabulary));
      }
      return words;
    }

    Batch row(int row) {
      return new Batch(tokens.subList(row, row + 1), pictures.subList(row, row + 1), noisy.subList(row, row + 1),
          t.slice(0, row, row + 1L));
    }

    List<Tensor> run(OmniGenTransformer model) {
      return model.forward(OmniGenInput.of(tokens, 7), pictures, noisy, t, null);
    }
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void rowsDoNotSeeEachOther(OmniGenModelFixture fixture) {
    try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(null)) {
      Batch batch = Batch.of(model.config());
      List<Tensor> together = batch.run(model);
      for (int row = 0; row < together.size(); row++) {
        Fixtures.closeTo("row " + row, batch.row(row).run(model).getFirst(), together.get(row), LIMIT);
      }
    }
  }

  /** A model of two heads of keys and values is one of all heads in which neighbours have the same weights. */
  @ParameterizedTest
  @MethodSource("fixtures")
  void groupedHeadsAreSharedHeads(OmniGenModelFixture fixture) {
    OmniGenConfig c = fixture.config();
    int groups = c.keyValueHeads() / 2;
    OmniGenConfig grouped = new OmniGenConfig(c.hidden(), c.layers(), c.heads(), groups, c.intermediate(), c.vocabulary(), c.eps(),
        c.rope(), c.patch(), c.latents(), c.tableSide(), c.padToken());
    Map<String, UnaryOperator<Tensor>> shared = new HashMap<>();
    for (int i = 0; i < c.layers(); i++) {
      shared.put("llm.layers." + i + ".self_attn.qkv_proj.weight", w -> {
        Tensor q = w.slice(0, 0, c.hidden());
        Tensor k = firstHalf(w, c.hidden(), groups, c).repeatInterleave(0, 2);
        Tensor v = firstHalf(w, 2L * c.hidden(), groups, c).repeatInterleave(0, 2);
        return Tensor.concat(0, q, k.reshape(c.hidden(), c.hidden()), v.reshape(c.hidden(), c.hidden()));
      });
    }
    try (Scope _ = Scope.open(); OmniGenTransformer whole = fixture.transformer(c, null, shared);
        OmniGenTransformer few = new OmniGenTransformer(grouped)) {
      few.parameters().forEach((name, parameter) -> {
        Tensor w = whole.parameters().get(name).value();
        if (name.endsWith("qkv_proj.weight")) {
          w = Tensor.concat(0, w.slice(0, 0, c.hidden()), everySecond(w, c.hidden(), c), everySecond(w, 2L * c.hidden(), c));
        }
        parameter.set(w.copy());
      });
      Batch batch = Batch.of(c);
      List<Tensor> expected = batch.run(whole);
      List<Tensor> found = batch.run(few);
      for (int row = 0; row < found.size(); row++) {
        assertArrayEquals(expected.get(row).toFloats(), found.get(row).toFloats(), "row " + row);
      }
    }
  }

  /** The rows of the first {@code groups} heads from {@code start} on, [groups, d, D]. */
  private static Tensor firstHalf(Tensor w, long start, int groups, OmniGenConfig c) {
    return w.slice(0, start, start + (long) groups * c.headWidth()).reshape(groups, c.headWidth(), c.hidden());
  }

  private static Tensor everySecond(Tensor w, long start, OmniGenConfig c) {
    return w.slice(0, start, start + c.hidden()).reshape(c.heads(), c.headWidth(), c.hidden()).slice(0, 0, c.heads(), 2)
        .reshape((long) c.heads() / 2 * c.headWidth(), c.hidden());
  }
}
