package org.deft4j.deft;

import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.deft.testing.AdapterArbitraries;
import org.deft4j.deft.testing.Conditioning;
import org.deft4j.deft.testing.Dense;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * The paper's figure 3: which way a removal moves a vector, {@code d(x) = -M x}. A full projection moves vectors any way; a
 * rectified one moves what has no negative entry within a cone.
 */
class DisplacementTest {
  private static final int DRAWS = 4000;

  @Provide
  Arbitrary<Dense> matrices() {
    return AdapterArbitraries.tallMatrices(Conditioning.WELL);
  }

  private static Dense displacements(String method, Dense p, Dense x) {
    Factors factors = Decomposition.named(method).factors(p.tensor(DType.F64), "layer");
    return Dense.of(factors.left()).times(Dense.of(factors.right()).t().times(x)).times(-1);
  }

  /** {@code M = relu(P) relu(P)^T} has no negative entry, so that x without negative entries moves by something without positive ones. */
  @Property(tries = 100)
  void aRectifiedRemovalKeepsNonNegativeVectorsInACone(@ForAll("matrices") Dense p, @ForAll long seed) {
    try (Scope _ = Scope.open()) {
      Dense d = displacements("relu-relu", p, Dense.normal(seed, p.height(), 20).map(Math::abs));
      d.assertNear(d.map(x -> Math.min(x, 0)), 0, "displacements without positive entries");
      Dense cosines = d.t().times(d);
      cosines.assertNear(cosines.map(x -> Math.max(x, 0)), 0, "no two are more than a right angle apart");
    }
  }

  /** {@code M = P P^T} has {@code x^T M x >= 0} alone: every displacement is within a right angle of -x. */
  @Property(tries = 100)
  void aFullRemovalNeverMovesAVectorForward(@ForAll("matrices") Dense p, @ForAll long seed) {
    try (Scope _ = Scope.open()) {
      for (String method : new String[] {"relaxed", "qr", "svd", "tsvd", "lrmf", "eigen"}) {
        Dense x = Dense.normal(seed, p.height(), 1);
        assertTrue(x.t().times(displacements(method, p, x)).rows()[0][0] <= 1e-12 * Math.max(1, x.frobenius()), method);
      }
    }
  }

  /**
   * How much of the circle the directions cover in two dimensions, {@code P ~ N(0, 1)}, in steps of 15 degrees. For vectors of
   * any sign a full projection of rank 1 covers all of it, a rectified one two opposite quadrants. For vectors without negative
   * entries the full one covers 270 degrees, those within a right angle of some -x; the rectified one 90; {@code P relu(P)^T},
   * which is rectified on one side alone, 270 at rank 1 and all of it at rank 2.
   */
  @Example
  void coverageOfTheCircle() {
    assertEquals(360, coverage("relaxed", 1, false));
    assertEquals(360, coverage("qr", 1, false));
    assertEquals(180, coverage("relu-relu", 1, false));
    assertEquals(270, coverage("relaxed", 1, true));
    assertEquals(270, coverage("relaxed", 2, true));
    assertEquals(90, coverage("relu-relu", 1, true));
    assertEquals(90, coverage("relu-relu", 2, true));
    assertEquals(270, coverage("relu", 1, true));
    assertEquals(360, coverage("relu", 2, true));
  }

  private static int coverage(String method, int rank, boolean nonNegative) {
    boolean[] hit = new boolean[24];
    int covered = 0;
    try (Scope _ = Scope.open()) {
      for (int i = 0; i < DRAWS; i++) {
        Dense x = Dense.normal(2L * i, 2, 1);
        Dense d = displacements(method, Dense.normal(2L * i + 1, 2, rank), nonNegative ? x.map(Math::abs) : x);
        double degrees = Math.toDegrees(Math.atan2(d.rows()[1][0], d.rows()[0][0]));
        int step = (int) Math.floor(Math.floorMod((long) Math.floor(degrees), 360L) / 15.0);
        if (d.largest() > 0 && !hit[step] && inside(degrees)) {
          hit[step] = true;
          covered += 15;
        }
      }
    }
    return covered;
  }

  /** Not on an axis, which belongs to the quadrants on both of its sides. */
  private static boolean inside(double degrees) {
    double fromAxis = Math.abs(degrees / 90 - Math.rint(degrees / 90));
    return fromAxis > 1e-9;
  }
}
