package org.deft4j.deft;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.From;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.deft4j.deft.testing.Dense;
import org.deft4j.deft.testing.LayerSample;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Folding adapters into weights of every type, and taking them out again. */
class MergeTest extends OnAnyLayer {
  private static final Targets QUERY = Targets.suffixes(List.of("to_q"));

  /** Those whose update is that of any weight: all but DoRA. */
  @Provide
  Arbitrary<AdapterConfig> thin() {
    return configs().filter(config -> config.method() != Method.DORA);
  }

  private static byte[] bits(TwoLayers model) {
    return model.query.weight().value().bytes().toArray(ValueLayout.JAVA_BYTE);
  }

  private static byte[] bits(AdaptedLayer layer) {
    return layer.weight().value().bytes().toArray(ValueLayout.JAVA_BYTE);
  }

  /** Up to three sets of any method on a layer of any kind, the last of them summed or in sequence, given in any order. */
  @Property(tries = 150)
  void mergedEqualsUnmergedAndUnmergingRestoresTheBits(@ForAll("types") DType type, @ForAll("layers") LayerSample sample,
      @ForAll @Size(min = 1, max = 3) List<@From("configs") AdapterConfig> configs, @ForAll boolean inSequence,
      @ForAll boolean reversed) {
    List<AdapterSet> sets = new ArrayList<>();
    try (Scope _ = Scope.open(); LayerSample.OneLayer model = sample.model(type)) {
      AdaptedLayer layer = model.layer();
      configs.forEach(config -> sets.add(set(model, config, sample.seed(), sets.size()).attach()));
      sets.getLast().setInSequence(inSequence);
      Tensor x = sample.input().cast(type == DType.F64 ? DType.F64 : DType.F32);
      double growth = growth(sets);
      byte[] before = bits(layer);
      Dense unmerged = Dense.of(layer.forward(x));
      Merge merge = Merge.into((reversed ? sets.reversed() : sets).toArray(AdapterSet[]::new));
      assertTrue(sets.stream().allMatch(AdapterSet::isMerged));
      assertEquals(type, layer.weight().value().dtype());
      unmerged.assertNear(Dense.of(layer.forward(x)), growth * tolerance(type, layer, x, unmerged), "merged " + type);
      merge.unmerge();
      assertArrayEquals(before, bits(layer));
      assertTrue(sets.stream().noneMatch(AdapterSet::isMerged));
      unmerged.assertNear(Dense.of(layer.forward(x)), 0, "unmerged");
    } finally {
      sets.forEach(AdapterSet::close);
    }
  }

  /** The set number {@code index} of a model, where a LoRA, which starts as the identity, gets a B. */
  private static AdapterSet set(LayerSample.OneLayer model, AdapterConfig config, long seed, int index) {
    AdapterSet set = AdapterSet.create(model, config, new TorchRandom(seed + index));
    Tensor b = set.adapters().get(LayerSample.PATH).tensors().get(LoraAdapter.B);
    if (b != null) {
      Tensor values = Dense.normal(seed, (int) b.size(0), (int) b.size(1)).tensor(b.dtype());
      b.bytes().copyFrom(values.bytes());
    }
    return set.setStrength(0.7 - 0.3 * index);
  }

  /** By how much DoRAs multiply rows at most, and with them what rounding has done to a row that a sum made short. */
  private static double growth(List<AdapterSet> sets) {
    double growth = 1;
    for (AdapterSet set : sets) {
      Tensor rows = set.adapters().get(LayerSample.PATH).update().rows();
      growth *= rows == null ? 1 : 1 + Dense.of(rows).largest();
    }
    return growth;
  }

  /**
   * As a share of the largest answer or 1. Float16 and bfloat16 round each merged weight once, by half a unit in its last place, which
   * shows in an answer as that share of {@code |x| |W'|^T}.
   */
  private static double tolerance(DType type, AdaptedLayer layer, Tensor x, Dense answer) {
    double half = switch (type) {
      case F64, F32 -> 0;
      case F16 -> 0x1p-11;
      default -> 0x1p-8;
    };
    if (half == 0) {
      return type == DType.F64 ? 1e-12 : 1e-5;
    }
    double bound = Dense.of(layer.product(x.abs(), layer.weight().value().cast(x.dtype()).abs())).largest();
    return 1e-5 + half * bound / Math.max(1, answer.largest());
  }

  private static AdapterSet set(TwoLayers model, AdapterConfig config, long seed) {
    return AdapterSet.create(model, config.with(QUERY), new TorchRandom(seed));
  }

  @Test
  void valuesThatAreNotFiniteAreRefusedAndNothingIsChanged() {
    try (Scope _ = Scope.open(); AdapterSet set = set(new TwoLayers(4, 5, DType.F32, 3), AdapterConfig.deft(2), 1)) {
      TwoLayers model = (TwoLayers) set.model();
      byte[] before = bits(model);
      Tensor p = set.trainable().getFirst();
      p.memory().set(ValueLayout.JAVA_FLOAT, 4, Float.NaN);
      set.attach();
      NumericException error = assertThrows(NumericException.class, () -> Merge.into(set));
      assertTrue(error.getMessage().contains("attn.to_q"), error.getMessage());
      assertArrayEquals(before, bits(model));
      assertTrue(set.isAttached());
    }
  }

  @Test
  void aWeightThatLeavesTheRangeOfFloat16IsRefused() {
    try (Scope _ = Scope.open(); AdapterSet set = set(new TwoLayers(4, 5, DType.F16, 3),
        AdapterConfig.deft(2).with(Start.RANDOM), 1).setStrength(1e9)) {
      byte[] before = bits((TwoLayers) set.model());
      assertThrows(NumericException.class, () -> Merge.into(set));
      assertArrayEquals(before, bits((TwoLayers) set.model()));
    }
  }

  /**
   * By {@code Q^T W' = s R} what W' would be changed by is nothing, whatever W was: a projection is undone by what was kept, and by
   * nothing that can be worked out.
   */
  @Property(tries = 60)
  void whatIsWorkedOutFromTheMergedWeightDoesNotUndoAProjection(@ForAll @IntRange(min = 4, max = 12) int out,
      @ForAll @IntRange(min = 4, max = 12) int in, @ForAll @IntRange(min = 1, max = 3) int rank, @ForAll long seed) {
    AdapterConfig config = AdapterConfig.deft(rank).with(new QrDecomposition()).with(Start.RANDOM).withAlpha(1.5).with(QUERY);
    try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(in, out, DType.F64, seed);
        AdapterSet set = AdapterSet.create(model, config, new TorchRandom(seed))) {
      byte[] before = bits(model);
      Dense original = Dense.of(model.query.weight().value());
      Merge merge = Merge.into(set);
      Tensor merged = model.query.weight().value();
      Dense undone = Dense.of(merged.sub(set.adapters().get("attn.to_q").weightDelta(merged)));
      Dense.of(merged).assertNear(undone, 1e-12, "W' - delta(W') = W'");
      assertTrue(undone.minus(original).frobenius() > 0.01 * original.frobenius());
      merge.unmerge();
      assertArrayEquals(before, bits(model));
    }
  }

  /**
   * Each merge has the one before it below it: all but the last are refused and change nothing, and in turn each brings back the bits
   * that it found.
   */
  @Property(tries = 60)
  void mergesOnALayerComeOffLastFirst(@ForAll("types") DType type, @ForAll("layers") LayerSample sample,
      @ForAll @Size(min = 2, max = 4) List<@From("configs") AdapterConfig> configs) {
    List<AdapterSet> sets = new ArrayList<>();
    List<Merge> merges = new ArrayList<>();
    List<byte[]> before = new ArrayList<>();
    try (Scope _ = Scope.open(); LayerSample.OneLayer model = sample.model(type)) {
      for (AdapterConfig config : configs) {
        sets.add(set(model, config, sample.seed(), sets.size()));
        before.add(bits(model.layer()));
        merges.add(Merge.into(sets.getLast()));
      }
      while (!merges.isEmpty()) {
        byte[] merged = bits(model.layer());
        for (Merge below : merges.subList(0, merges.size() - 1)) {
          IllegalStateException error = assertThrows(IllegalStateException.class, below::unmerge);
          assertTrue(error.getMessage().contains(LayerSample.PATH) && error.getMessage().contains("last one first"), error.getMessage());
          assertArrayEquals(merged, bits(model.layer()));
        }
        merges.removeLast().unmerge();
        assertArrayEquals(before.removeLast(), bits(model.layer()));
      }
    } finally {
      sets.forEach(AdapterSet::close);
    }
  }

  /** One layer of two has a later merge: neither is changed by what is refused. */
  @Test
  void aMergeComesOffAllItsLayersOrNone() {
    try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(4, 5, DType.BF16, 3);
        AdapterSet both = AdapterSet.create(model, AdapterConfig.para(2).with(Targets.suffixes(List.of("to_q", "ff"))), new TorchRandom(1));
        AdapterSet one = AdapterSet.create(model, AdapterConfig.para(2).with(Targets.suffixes(List.of("ff"))), new TorchRandom(2))) {
      byte[] original = bits(model);
      byte[] originalOther = bits(model.feedForward);
      Merge first = Merge.into(both);
      Merge second = Merge.into(one);
      byte[] merged = bits(model);
      assertTrue(assertThrows(IllegalStateException.class, first::unmerge).getMessage().contains("layer ff "));
      assertArrayEquals(merged, bits(model));
      second.unmerge();
      first.unmerge();
      assertArrayEquals(original, bits(model));
      assertArrayEquals(originalOther, bits(model.feedForward));
    }
  }

  @Test
  void whatIsClosedStaysAndSoDoesWhatIsBelowIt() {
    try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(4, 5, DType.F32, 3);
        AdapterSet one = set(model, AdapterConfig.para(2), 1).attach(); AdapterSet two = set(model, AdapterConfig.para(1), 2)) {
      Merge below = Merge.into(one);
      byte[] once = bits(model);
      Merge above = Merge.into(two);
      below.close();
      assertFalse(one.isAttached() || one.isMerged(), "it is in the weights for good");
      above.unmerge();
      assertArrayEquals(once, bits(model));
      assertThrows(IllegalStateException.class, below::unmerge);
      assertThrows(IllegalStateException.class, above::unmerge);
      try (Merge outer = Merge.into(one)) {
        byte[] twice;
        try (Merge _ = Merge.into(two)) {
          twice = bits(model);
        }
        assertThrows(IllegalStateException.class, outer::unmerge);
        assertArrayEquals(twice, bits(model));
      }
    }
  }

  /** Some of the sets are merged, and the others, in sequence after them, have what they corrected before. */
  @Property(tries = 100)
  void whatStaysInSequenceAnswersTheSame(@ForAll("types") DType type, @ForAll("layers") LayerSample sample,
      @ForAll @Size(min = 2, max = 4) List<@From("thin") AdapterConfig> configs, @ForAll @IntRange(min = 1, max = 3) int some,
      @ForAll boolean inSequence) {
    int count = Math.min(some, configs.size() - 1);
    List<AdapterSet> sets = new ArrayList<>();
    try (Scope _ = Scope.open(); LayerSample.OneLayer model = sample.model(type)) {
      AdaptedLayer layer = model.layer();
      configs.forEach(config -> sets.add(set(model, config, sample.seed(), sets.size()).attach()
          .setInSequence(inSequence || sets.size() >= count)));
      Tensor x = sample.input().cast(type == DType.F64 ? DType.F64 : DType.F32);
      double amplification = sets.stream().mapToDouble(MergeTest::amplification).reduce(1, (a, b) -> a * b);
      byte[] before = bits(layer);
      Dense unmerged = Dense.of(layer.forward(x));
      Merge merge = Merge.into(sets.subList(0, count).toArray(AdapterSet[]::new));
      unmerged.assertNear(Dense.of(layer.forward(x)), amplification * tolerance(type, layer, x, unmerged), "merged " + type);
      merge.unmerge();
      assertArrayEquals(before, bits(layer));
      unmerged.assertNear(Dense.of(layer.forward(x)), 0, "unmerged");
    } finally {
      sets.forEach(AdapterSet::close);
    }
  }

  /** By how much at most an error of what the set corrects is multiplied: {@code 1 + strength * |L| |S|^T}, its largest row. */
  private static double amplification(AdapterSet set) {
    LayerAdapter adapter = set.adapters().get(LayerSample.PATH);
    LowRankUpdate update = adapter.update();
    return update.left() == null ? 1
        : 1 + Math.abs(adapter.strength()) * Dense.of(update.left().abs().matmul(update.right().abs().t()).sum(1)).largest();
  }

  /** Summed with what is merged, before it, or both: then the answers would change, and nothing does. */
  @Property(tries = 60)
  void whatWouldAnswerOtherwiseIsRefused(@ForAll("types") DType type, @ForAll("layers") LayerSample sample,
      @ForAll @Size(min = 2, max = 3) List<@From("configs") AdapterConfig> configs, @ForAll boolean inSequence, @ForAll boolean off) {
    List<AdapterSet> sets = new ArrayList<>();
    try (Scope _ = Scope.open(); LayerSample.OneLayer model = sample.model(type)) {
      AdaptedLayer layer = model.layer();
      configs.forEach(config -> sets.add(set(model, config, sample.seed(), sets.size()).attach()));
      sets.getLast().setInSequence(inSequence);
      sets.getFirst().setEnabled(!off);
      Tensor x = sample.input().cast(type == DType.F64 ? DType.F64 : DType.F32);
      byte[] before = bits(layer);
      double[] answers = layer.forward(x).toDoubles();
      InputException error = assertThrows(InputException.class, () -> Merge.into(sets.getLast()));
      assertTrue(error.getMessage().contains(LayerSample.PATH) && error.getMessage().contains("merge both"), error.getMessage());
      assertArrayEquals(before, bits(layer));
      assertArrayEquals(answers, layer.forward(x).toDoubles());
      assertTrue(sets.stream().noneMatch(AdapterSet::isMerged));
    } finally {
      sets.forEach(AdapterSet::close);
    }
  }

  /** What was attached since is refused as what was there before, and merged at once it comes off. */
  @Test
  void whatIsAttachedSinceIsAsked() {
    try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(4, 5, DType.F32, 3);
        AdapterSet one = set(model, AdapterConfig.para(2), 1).attach(); AdapterSet two = set(model, AdapterConfig.para(1), 2)) {
      byte[] original = bits(model);
      Merge merge = Merge.into(one);
      byte[] merged = bits(model);
      two.attach();
      assertTrue(assertThrows(InputException.class, merge::unmerge).getMessage().contains("attn.to_q"));
      assertArrayEquals(merged, bits(model));
      two.setInSequence(true);
      merge.unmerge();
      assertArrayEquals(original, bits(model));
    }
  }

  /** The rows of a DoRA are as long as the layer's own weight has them, in sequence too. */
  @Test
  void aDoraThatStaysIsRefused() {
    AdapterConfig dora = AdapterConfig.of(Method.DORA, 2);
    try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(4, 5, DType.F32, 3);
        AdapterSet one = set(model, AdapterConfig.para(2), 1).attach(); AdapterSet two = set(model, dora, 2).setInSequence(true).attach()) {
      assertTrue(assertThrows(InputException.class, () -> Merge.into(one)).getMessage().contains("DoRA"));
      Merge.into(one, two).unmerge();
    }
  }

  @Test
  void noSetIsMergedTwice() {
    try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(4, 5, DType.F32, 3); AdapterSet set = set(model, AdapterConfig.para(2), 1)) {
      byte[] original = bits(model);
      assertThrows(InputException.class, () -> Merge.into(set, set));
      Merge merge = Merge.into(set);
      assertThrows(InputException.class, () -> Merge.into(set));
      merge.unmerge();
      assertArrayEquals(original, bits(model));
    }
  }

  /** Off, or of strength 0, a set has no part in the merged weight: not a bit of it changes. */
  @Property(tries = 40)
  void whatIsOffIsNotMerged(@ForAll("types") DType type, @ForAll("layers") LayerSample sample, @ForAll("configs") AdapterConfig config,
      @ForAll boolean byStrength) {
    try (Scope _ = Scope.open(); LayerSample.OneLayer model = sample.model(type)) {
      byte[] original = bits(model.layer());
      try (AdapterSet set = set(model, config, sample.seed(), 0).attach()) {
        Merge merge = Merge.into(byStrength ? set.setStrength(0) : set.setEnabled(false));
        assertArrayEquals(original, bits(model.layer()));
        merge.unmerge();
      }
    }
  }
}
