package org.deft4j.deft;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.From;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.Size;
import org.deft4j.deft.testing.Dense;
import org.deft4j.deft.testing.LayerSample;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Adapter;
import org.deft4j.nn.ParameterGroup;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Which layers are adapted, what they start with, what is trained, and what is switched on. */
class AdapterSetTest extends OnAnyLayer {
  private final TwoLayers model = new TwoLayers(6, 5, DType.BF16, 1);

  @AfterEach
  void close() {
    model.close();
  }

  private AdapterSet create(AdapterConfig config, String... suffixes) {
    return AdapterSet.create(model, config.with(Targets.suffixes(List.of(suffixes))), new TorchRandom(0));
  }

  @Test
  void suffixesChooseLayers() {
    try (AdapterSet one = create(AdapterConfig.deft(2), "to_q"); AdapterSet both = create(AdapterConfig.deft(2), "to_q", "ff")) {
      assertEquals(List.of("attn.to_q"), List.copyOf(one.adapters().keySet()));
      assertEquals(List.of("attn.to_q", "ff"), List.copyOf(both.adapters().keySet()));
      assertEquals(2 * (6 + 5) + 2 * (5 + 6), both.parameterCount());
    }
  }

  @Test
  void aSuffixThatMatchesNothingIsNamedWithItsNeighbours() {
    InputException error = assertThrows(InputException.class, () -> create(AdapterConfig.deft(2), "to_qq", "ff", "q"));
    assertEquals(2, error.problems().size());
    assertTrue(error.problems().getFirst().contains("'to_qq'") && error.problems().getFirst().contains("to_q"),
        error.getMessage());
    assertTrue(error.problems().get(1).contains("'q'"), "the end of a name part is no suffix");
  }

  @Test
  void theRankIsCappedAtTheWidthOfTheLayer() {
    try (AdapterSet set = create(AdapterConfig.deft(8).withAlpha(10.0), "to_q")) {
      LayerAdapter adapter = set.adapters().get("attn.to_q");
      assertEquals(5, adapter.rank());
      assertEquals(2.0, adapter.update().scale());
    }
  }

  /** The share of P that is left out is drawn, from the source that all is drawn from, and what is left out stays out of M. */
  @Test
  void aSparseProjectionLeavesItsShareOut() {
    AdapterConfig sparse = AdapterConfig.deft(4).with(Start.RANDOM).with(new AdapterExtras(Dropout.NONE, false, 0.75));
    try (Scope _ = Scope.open(); TwoLayers wide = new TwoLayers(8, 512, DType.F32, 1)) {
      AdapterConfig config = sparse.with(Targets.suffixes(List.of("to_q")));
      try (AdapterSet set = AdapterSet.create(wide, config, new TorchRandom(7)); AdapterSet again = AdapterSet.create(wide, config, new TorchRandom(7));
          AdapterSet other = AdapterSet.create(wide, config, new TorchRandom(8))) {
        float[] mask = mask(set);
        assertArrayEquals(mask, mask(again));
        assertFalse(Arrays.equals(mask, mask(other)));
        double kept = set.adapters().get("attn.to_q").tensors().get(DeftAdapter.MASK).sum().item() / mask.length;
        // 2048 draws of a quarter: five standard deviations are 0.048.
        assertEquals(0.25, kept, 0.05);
        float[] left = set.adapters().get("attn.to_q").update().left().toFloats();
        for (int i = 0; i < mask.length; i++) {
          assertTrue(mask[i] == 1 || left[i] == 0, "element " + i);
        }
      }
    }
  }

  private static float[] mask(AdapterSet set) {
    return set.adapters().get("attn.to_q").tensors().get(DeftAdapter.MASK).toFloats();
  }

  @Test
  void adaptersAreFloat32AndStartAsTheMethodSays() {
    try (Scope _ = Scope.open(); AdapterSet deft = create(AdapterConfig.deft(2), "to_q");
        AdapterSet random = create(AdapterConfig.deft(2).with(Start.RANDOM), "to_q");
        AdapterSet lora = create(AdapterConfig.lora(2), "to_q"); AdapterSet para = create(AdapterConfig.para(2), "to_q")) {
      Tensor weight = model.query.weight().value();
      assertEquals(0, Dense.of(delta(deft, weight)).largest());
      assertTrue(Dense.of(delta(random, weight)).largest() > 1e-5);
      assertEquals(0, Dense.of(delta(lora, weight)).largest());
      assertTrue(Dense.of(delta(para, weight)).largest() > 1e-5);
      for (AdapterSet set : List.of(deft, random, lora, para)) {
        set.trainable().forEach(tensor -> assertEquals(DType.F32, tensor.dtype()));
      }
      assertArrayEquals(deft.trainable().getFirst().toFloats(), random.trainable().getFirst().toFloats(),
          "one seed draws one P");
    }
  }

  private static Tensor delta(AdapterSet set, Tensor weight) {
    return set.adapters().get("attn.to_q").weightDelta(weight);
  }

  @Test
  void theProjectionLearnsMoreSlowlyThanTheInjection() {
    try (AdapterSet deft = create(AdapterConfig.deft(2), "to_q"); AdapterSet para = create(AdapterConfig.para(2), "to_q")) {
      List<ParameterGroup> groups = deft.groups(0.1, 0.01);
      assertEquals(List.of(1.0, 0.1), groups.stream().map(ParameterGroup::lrFactor).toList());
      assertEquals(List.of(2L, 5L), groups.stream().map(g -> g.parameters().getFirst().size(0)).toList());
      assertEquals(List.of(1.0), para.groups(0.1, 0.01).stream().map(ParameterGroup::lrFactor).toList());
    }
  }

  @Test
  void allProblemsOfAConfigurationAreListed() {
    InputException error = assertThrows(InputException.class,
        () -> new AdapterConfig(Method.DEFT, null, 0, -1.0, Targets.ATTENTION, Start.IDENTITY, 1, AdapterExtras.NONE));
    assertEquals(3, error.problems().size(), error.getMessage());
    assertTrue(assertThrows(InputException.class, () -> Method.named("deftt")).getMessage().contains("did you mean 'deft'"));
    assertTrue(assertThrows(InputException.class, () -> Decomposition.named("rleu")).getMessage().contains("'relu'"));
  }

  /**
   * Of up to four sets, each summed or in sequence: off in any order, each set leaves what its strength 0 leaves, and what is left in the
   * end is the bare layer; on in any order, the answers are those of before. To the bit.
   */
  @Property(tries = 100)
  void switchingOffAndOnAgainChangesNoBit(@ForAll("types") DType type, @ForAll("layers") LayerSample sample,
      @ForAll @Size(min = 1, max = 4) List<@From("configs") AdapterConfig> configs, @ForAll long seed) {
    Random random = new Random(seed);
    List<AdapterSet> sets = new ArrayList<>();
    try (Scope _ = Scope.open()) {
      LayerSample.OneLayer one = sample.model(type);
      AdaptedLayer layer = one.layer();
      Tensor x = sample.input().cast(type == DType.F64 ? DType.F64 : DType.F32);
      double[] bare = layer.forward(x).toDoubles();
      for (AdapterConfig config : configs) {
        sets.add(AdapterSet.create(one, config, new TorchRandom(seed + sets.size())).setInSequence(random.nextBoolean()).attach());
      }
      List<Adapter> places = layer.adapters();
      double[] answers = layer.forward(x).toDoubles();
      Collections.shuffle(sets, random);
      for (AdapterSet set : sets) {
        set.setStrength(0);
        double[] without = layer.forward(x).toDoubles();
        set.setEnabled(false).setStrength(1);
        assertArrayEquals(without, layer.forward(x).toDoubles());
      }
      assertArrayEquals(bare, layer.forward(x).toDoubles());
      Collections.shuffle(sets, random);
      sets.forEach(set -> assertTrue(set.setEnabled(true).isAttached()));
      assertEquals(places, layer.adapters());
      assertArrayEquals(answers, layer.forward(x).toDoubles());
    } finally {
      sets.forEach(AdapterSet::close);
    }
  }

  /** What is multiplied by 0 is not computed: not even what is not finite shows. */
  @Test
  void strengthZeroIsOff() {
    try (Scope _ = Scope.open(); AdapterSet set = create(AdapterConfig.para(2).with(new RelaxedDecomposition()), "to_q")) {
      Tensor x = Dense.normal(1, 3, 6).tensor(DType.F32);
      float[] bare = model.query.forward(x).toFloats();
      set.trainable().getFirst().memory().set(ValueLayout.JAVA_FLOAT, 4, Float.NaN);
      set.attach();
      assertTrue(Float.isNaN(model.query.forward(x).toFloats()[0]));
      set.setStrength(0);
      assertArrayEquals(bare, model.query.forward(x).toFloats());
    }
  }

  /** Off, the others answer as if the set were detached; detached, it loses its place, and comes back as the last. */
  @Test
  void offKeepsThePlaceThatDetachingGivesUp() {
    try (Scope _ = Scope.open(); AdapterSet first = create(AdapterConfig.para(2), "to_q").attach();
        AdapterSet second = create(AdapterConfig.para(3), "to_q").setInSequence(true).attach();
        PipelineAdapter file = new PipelineAdapter(Map.of("unet", first), Map.of(), List.of())) {
      Tensor x = Dense.normal(1, 3, 6).tensor(DType.F32);
      float[] both = model.query.forward(x).toFloats();
      file.setEnabled(false);
      assertTrue(first.isAttached() && !first.isEnabled() && second.isEnabled());
      float[] off = model.query.forward(x).toFloats();
      file.setEnabled(true);
      assertArrayEquals(both, model.query.forward(x).toFloats());
      file.detach();
      assertArrayEquals(off, model.query.forward(x).toFloats());
      file.attach();
      assertFalse(Arrays.equals(both, model.query.forward(x).toFloats()), "in sequence the order matters");
    }
  }

  /** One LoRA of several sets has nothing of those that are off. */
  @Test
  void whatIsOffIsNotFolded() {
    try (Scope _ = Scope.open(); AdapterSet on = create(AdapterConfig.para(2), "to_q");
        AdapterSet off = create(AdapterConfig.para(3), "to_q").setEnabled(false);
        AdapterSet expected = AdapterFold.lora(List.of(on), 9); AdapterSet folded = AdapterFold.lora(List.of(on, off), 9)) {
      Tensor weight = model.query.weight().value();
      Dense.of(delta(expected, weight)).assertNear(Dense.of(delta(folded, weight)), 1e-6, "folded");
    }
  }

  @Test
  void closingGivesEveryByteBack() {
    long before = MemoryPool.cpu().liveBytes();
    try (Scope _ = Scope.open(); AdapterSet set = create(AdapterConfig.deft(2).with(new QrDecomposition()), "to_q")) {
      set.attach().setTraining(false);
      model.forward(Dense.normal(1, 3, 6).tensor(DType.F32));
    }
    assertEquals(before, MemoryPool.cpu().liveBytes());
  }
}
