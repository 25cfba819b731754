package org.deft4j.deft;

import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.deft.testing.Dense;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * The paper's appendices B to D: what becomes of the column space of a weight, by rank and not by eye. With
 * {@code W' = (I - Q Q^T) W + Q R}, {@code col(W')} lies in {@code col(W) + col(Q)}; whether that is more than {@code col(W)}
 * depends on W. What holds for almost every Q and R holds for every one drawn here.
 */
class ColumnSpaceTest {
  /** W of rank k [out, in], and adapters of rank r. */
  record Sample(int out, int in, int k, int r, long seed) {
    Dense weight() {
      return Dense.withSingularValues(seed, out, in, Dense.zeros(1, k).map(x -> 1).rows()[0]);
    }

    /** A basis in any direction. */
    Dense anyP() {
      return Dense.normal(seed + 1, out, r);
    }

    /** A basis inside the column space of W. */
    Dense insideP() {
      return weight().times(Dense.normal(seed + 1, in, r));
    }

    Dense deft(Dense p) {
      return adapted(p, Dense.normal(seed + 2, r, in));
    }

    Dense para(Dense p) {
      return adapted(p, null);
    }

    Dense adapted(Dense p, Dense injected) {
      try (Scope _ = Scope.open()) {
        Factors factors = new QrDecomposition().factors(p.tensor(DType.F64), "layer");
        LowRankUpdate update = injected == null ? LowRankUpdate.remove(factors)
            : LowRankUpdate.replace(factors, injected.tensor(DType.F64), 1);
        Tensor weight = weight().tensor(DType.F64);
        return Dense.of(weight.add(update.weightDelta(weight, 1)));
      }
    }
  }

  /** r at most half of everything. */
  private static Arbitrary<Sample> samples(int tallness, boolean full) {
    return Combinators.combine(Arbitraries.integers().between(4, 8), Arbitraries.integers().between(1, 2), Arbitraries.longs())
        .as((in, r, seed) -> new Sample(in + tallness * r, in, full ? in : in - 2, r, seed));
  }

  @Provide
  Arbitrary<Sample> tall() {
    return samples(2, true);
  }

  @Provide
  Arbitrary<Sample> square() {
    return samples(0, true);
  }

  @Provide
  Arbitrary<Sample> deficient() {
    return samples(0, false);
  }

  private static int together(Dense a, Dense b) {
    return a.beside(b).rank();
  }

  /** More outputs than inputs: DEFT reaches r directions that W does not, and keeps the rank of W. */
  @Property(tries = 60)
  void deftLeavesTheColumnSpaceOfATallWeight(@ForAll("tall") Sample sample) {
    Dense adapted = sample.deft(sample.anyP());
    assertEquals(sample.in + sample.r, together(sample.weight(), adapted));
    assertEquals(sample.in, adapted.rank());
  }

  /** PaRa leaves it too: what it takes away, {@code Q Q^T W}, points out of {@code col(W)}. And it takes no rank away. */
  @Property(tries = 60)
  void paraLeavesTheColumnSpaceOfATallWeightAndKeepsItsRank(@ForAll("tall") Sample sample) {
    Dense adapted = sample.para(sample.anyP());
    assertEquals(sample.in + sample.r, together(sample.weight(), adapted));
    assertEquals(sample.in, adapted.rank());
  }

  /**
   * A square weight of full rank spans everything: nothing can be reached that it does not. PaRa takes r directions away, DEFT
   * puts r in their place.
   */
  @Property(tries = 60)
  void aSquareWeightOfFullRankHasNothingToLeave(@ForAll("square") Sample sample) {
    assertEquals(sample.out, together(sample.weight(), sample.deft(sample.anyP())));
    assertEquals(sample.out, sample.weight().rank());
    assertEquals(sample.out - sample.r, sample.para(sample.anyP()).rank());
    assertEquals(sample.out, sample.deft(sample.anyP()).rank());
  }

  /** Without full rank a square weight can be left like a tall one, by as many directions as there are. */
  @Property(tries = 60)
  void aSquareWeightWithoutFullRankIsLeft(@ForAll("deficient") Sample sample) {
    assertEquals(sample.k, sample.weight().rank());
    assertEquals(Math.min(sample.out, sample.k + sample.r), together(sample.weight(), sample.deft(sample.anyP())));
    assertEquals(Math.min(sample.out, sample.k + sample.r), together(sample.weight(), sample.para(sample.anyP())));
  }

  /** A basis inside {@code col(W)} is what it takes to stay there, and for PaRa to take rank away. */
  @Property(tries = 60)
  void aBasisInsideTheColumnSpaceStaysThere(@ForAll("tall") Sample sample) {
    assertEquals(sample.in, together(sample.weight(), sample.deft(sample.insideP())));
    assertEquals(sample.in, together(sample.weight(), sample.para(sample.insideP())));
    assertEquals(sample.in - sample.r, sample.para(sample.insideP()).rank());
  }

  /** {@code W'} lies in {@code col(W) + col(Q)}, whatever W is; LoRA's in {@code col(W) + col(B)}: the two reach equally far. */
  @Property(tries = 60)
  void neitherDeftNorLoraReachesFurtherThanTheirBasis(@ForAll("tall") Sample sample) {
    Dense p = sample.anyP();
    Dense reach = sample.weight().beside(p);
    assertEquals(reach.rank(), together(reach, sample.deft(p)));
    Dense lora = sample.weight().plus(p.times(Dense.normal(sample.seed + 3, sample.r, sample.in)));
    assertEquals(reach.rank(), together(reach, lora));
    assertEquals(sample.in + sample.r, together(sample.weight(), lora));
  }

  /** Appendix D: {@code R = Q^T W} puts back what was removed. */
  @Property(tries = 60)
  void whatWasRemovedCanBePutBack(@ForAll("tall") Sample sample) {
    Dense q = sample.anyP().q();
    sample.weight().assertNear(sample.adapted(sample.anyP(), q.t().times(sample.weight())), 1e-14, "W' = W");
    assertTrue(sample.adapted(sample.anyP(), q.t().times(sample.weight()).times(0.5)).minus(sample.weight()).norm() > 0.01,
        "half of it does not");
  }
}
