package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Path;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.deft4j.deft.testing.AdapterArbitraries;
import org.deft4j.deft.testing.Conditioning;
import org.deft4j.deft.testing.Dense;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

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

  // ------------------------------------------------------------------------------------------------------ the picture

  /**
   * With {@code P = (1, -1)} and {@code u = R x}: {@code P P^T z = (z1 - z2) P}, so that {@code h - z = (u - z1 + z2) P} lies on one line,
   * {@code h = (z2 + u, z1 - u)}.
   */
  @Example
  void byTheFullRemovalAllOfTheFiguresDisplacementsAreOnOneLine() {
    DisplacementPicture.Displacements d = DisplacementPicture.displacements("relaxed");
    Dense u = DisplacementPicture.R.times(d.x());
    row(d.z(), 1).plus(u).assertNear(row(h(d), 0), 1e-15, "h1 = z2 + u");
    row(d.z(), 0).minus(u).assertNear(row(h(d), 1), 1e-15, "h2 = z1 - u");
    assertEquals(1, d.moved().t().rank());
    row(d.moved(), 0).times(-1).assertNear(row(d.moved(), 1), 1e-15, "multiples of (1, -1)");
  }

  /**
   * With {@code relu(P) = (1, 0)} what is removed, {@code (z1, 0)}, and what is injected, {@code u P}, point along different axes: {@code
   * h = (u, z2 - u)}, and the displacements span the plane.
   */
  @Example
  void byTheRectifiedRemovalTheySpanThePlane() {
    DisplacementPicture.Displacements d = DisplacementPicture.displacements("relu-relu");
    Dense u = DisplacementPicture.R.times(d.x());
    u.assertNear(row(h(d), 0), 1e-15, "h1 = u");
    row(d.z(), 1).minus(u).assertNear(row(h(d), 1), 1e-15, "h2 = z2 - u");
    assertEquals(2, d.moved().t().rank());
    double[] s = d.moved().t().singularValues();
    assertTrue(s[1] > 0.1 * s[0], "the second direction is " + s[1] / s[0] + " of the first");
  }

  private static Dense h(DisplacementPicture.Displacements displacements) {
    return displacements.z().plus(displacements.moved());
  }

  private static Dense row(Dense matrix, int i) {
    return new Dense(new double[][] {matrix.rows()[i]});
  }

  /** Blue arrows on the left, red ones on the right, in other places; and the picture of the documentation is this one. */
  @Test
  void thePictureHasBothPanels(@TempDir Path folder) throws IOException {
    Path file = folder.resolve("displacements.png");
    DisplacementPicture.main(new String[] {file.toString()});
    Picture drawn = Pictures.read(file);
    int half = drawn.width() / 2;
    int[] blue = new int[2];
    int[] red = new int[2];
    int different = 0;
    for (int y = 0; y < drawn.height(); y++) {
      for (int x = 0; x < drawn.width(); x++) {
        int warmth = warmth(drawn, x, y);
        blue[x / half] += warmth < -30 ? 1 : 0;
        red[x / half] += warmth > 30 ? 1 : 0;
        different += x < half && (warmth < -30) != (warmth(drawn, x + half, y) > 30) ? 1 : 0;
      }
    }
    assertTrue(blue[0] > 10_000 && blue[1] == 0, "blue on the left " + blue[0] + ", on the right " + blue[1]);
    assertTrue(red[1] > 10_000 && red[0] == 0, "red on the left " + red[0] + ", on the right " + red[1]);
    assertTrue(different > 10_000, "pixels that differ between the panels: " + different);
    assertSameColours(drawn, Pictures.read(Path.of(System.getProperty("deft4j.root", "..")).resolve("docs/displacements.png")));
  }

  private static int warmth(Picture picture, int x, int y) {
    return picture.value(x, y, 0) - picture.value(x, y, 2);
  }

  /** Letters are black, and may be of another font. */
  private static void assertSameColours(Picture drawn, Picture documented) {
    assertEquals(drawn.width(), documented.width());
    assertEquals(drawn.height(), documented.height());
    int different = 0;
    for (int y = 0; y < drawn.height(); y++) {
      for (int x = 0; x < drawn.width(); x++) {
        different += Math.abs(warmth(drawn, x, y) - warmth(documented, x, y)) > 30 ? 1 : 0;
      }
    }
    assertTrue(different < 500, "docs/displacements.png is not what DisplacementPicture draws: " + different + " pixels differ; redraw it");
  }
}
