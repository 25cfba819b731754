package org.deft4j.deft;

import java.lang.foreign.ValueLayout;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;
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
class MergeTest {
  private static final Targets QUERY = Targets.suffixes(List.of("to_q"));

  @Provide
  Arbitrary<DType> types() {
    return Arbitraries.of(DType.F64, DType.F32, DType.BF16, DType.F16);
  }

  @Provide
  Arbitrary<AdapterConfig> configs() {
    AdapterConfig deft = AdapterConfig.deft(3).withIdentityStart(false);
    return Arbitraries.of(deft, deft.with(new ReluDecomposition()), deft.with(new QrDecomposition()).withAlpha(2.0),
        AdapterConfig.para(2), AdapterConfig.para(2).with(new RelaxedDecomposition()));
  }

  private static byte[] bits(TwoLayers model) {
    return model.query.weight().value().bytes().toArray(ValueLayout.JAVA_BYTE);
  }

  @Property(tries = 60)
  void mergedEqualsUnmergedAndUnmergingRestoresTheBits(@ForAll("types") DType type, @ForAll("configs") AdapterConfig config,
      @ForAll @IntRange(min = 1, max = 12) int in, @ForAll @IntRange(min = 3, max = 12) int out, @ForAll int seed) {
    try (Scope _ = Scope.open();
        AdapterSet first = set(new TwoLayers(in, out, type, seed), config, 1).setStrength(0.7)) {
      TwoLayers model = (TwoLayers) first.model();
      try (AdapterSet second = AdapterSet.create(model, AdapterConfig.para(1).with(QUERY), new TorchRandom(2))) {
        Tensor x = Dense.normal(seed + 9L, 4, in).tensor(type == DType.F64 ? DType.F64 : DType.F32);
        first.attach();
        second.attach().setStrength(0.4);
        byte[] before = bits(model);
        Dense unmerged = Dense.of(model.query.forward(x));
        Merge merge = Merge.into(first, second);
        assertFalse(first.isAttached() || second.isAttached());
        assertEquals(type, model.query.weight().value().dtype());
        unmerged.assertNear(Dense.of(model.query.forward(x)), tolerance(type), "merged " + type);
        merge.unmerge();
        assertArrayEquals(before, bits(model));
        assertTrue(first.isAttached() && second.isAttached());
        unmerged.assertNear(Dense.of(model.query.forward(x)), 0, "unmerged");
      }
      model.close();
    }
  }

  /** Half a unit in the last place of the weight's type, of which the merged weight has one rounding. */
  private static double tolerance(DType type) {
    return switch (type) {
      case F64 -> 1e-12;
      case F32 -> 1e-5;
      case F16 -> 0x1p-10;
      default -> 0x1p-7;
    };
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
        AdapterConfig.deft(2).withIdentityStart(false), 1).setStrength(1e9)) {
      byte[] before = bits((TwoLayers) set.model());
      assertThrows(NumericException.class, () -> Merge.into(set));
      assertArrayEquals(before, bits((TwoLayers) set.model()));
    }
  }
}
