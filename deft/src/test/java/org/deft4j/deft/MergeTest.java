package org.deft4j.deft;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.From;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.deft4j.deft.testing.AdapterArbitraries;
import org.deft4j.deft.testing.Conditioning;
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
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Folding adapters into weights of every type, and taking them out again. */
class MergeTest {
  private static final Targets QUERY = Targets.suffixes(List.of("to_q"));

  @Provide
  Arbitrary<DType> types() {
    return Arbitraries.of(DType.F64, DType.F32, DType.BF16, DType.F16);
  }

  @Provide
  Arbitrary<LayerSample> layers() {
    return AdapterArbitraries.layers(Conditioning.WELL);
  }

  @Provide
  Arbitrary<AdapterConfig> configs() {
    return AdapterArbitraries.configs().map(config -> config.with(Targets.suffixes(List.of("layer"))));
  }

  private static byte[] bits(TwoLayers model) {
    return model.query.weight().value().bytes().toArray(ValueLayout.JAVA_BYTE);
  }

  private static byte[] bits(AdaptedLayer layer) {
    return layer.weight().value().bytes().toArray(ValueLayout.JAVA_BYTE);
  }

  /** Up to three sets of any method on a layer of any kind, the last of them summed or in sequence. */
  @Property(tries = 150)
  void mergedEqualsUnmergedAndUnmergingRestoresTheBits(@ForAll("types") DType type, @ForAll("layers") LayerSample sample,
      @ForAll @Size(min = 1, max = 3) List<@From("configs") AdapterConfig> configs, @ForAll boolean inSequence) {
    List<AdapterSet> sets = new ArrayList<>();
    try (Scope _ = Scope.open()) {
      LayerSample.OneLayer model = sample.model(type);
      AdaptedLayer layer = model.layer();
      for (AdapterConfig config : configs) {
        AdapterSet set = AdapterSet.create(model, config, new TorchRandom(sample.seed() + sets.size()));
        fill(set, sample.seed());
        sets.add(set.setStrength(0.7 - 0.3 * sets.size()).attach());
      }
      sets.getLast().setInSequence(inSequence);
      Tensor x = sample.input().cast(type == DType.F64 ? DType.F64 : DType.F32);
      double growth = growth(sets);
      byte[] before = bits(layer);
      Dense unmerged = Dense.of(layer.forward(x));
      Merge merge = Merge.into(sets.toArray(AdapterSet[]::new));
      assertTrue(sets.stream().noneMatch(AdapterSet::isAttached));
      assertEquals(type, layer.weight().value().dtype());
      unmerged.assertNear(Dense.of(layer.forward(x)), growth * tolerance(type, layer, x, unmerged), "merged " + type);
      merge.unmerge();
      assertArrayEquals(before, bits(layer));
      assertTrue(sets.stream().allMatch(AdapterSet::isAttached));
      unmerged.assertNear(Dense.of(layer.forward(x)), 0, "unmerged");
    } finally {
      sets.forEach(AdapterSet::close);
    }
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

  /** LoRA starts as the identity: gives B values. */
  private static void fill(AdapterSet set, long seed) {
    Tensor b = set.adapters().get(LayerSample.PATH).tensors().get(LoraAdapter.B);
    if (b != null) {
      Tensor values = Dense.normal(seed, (int) b.size(0), (int) b.size(1)).tensor(b.dtype());
      b.bytes().copyFrom(values.bytes());
    }
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
}
