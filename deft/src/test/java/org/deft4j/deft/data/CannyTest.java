package org.deft4j.deft.data;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.diffusion.image.Picture;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Edges against a plain computation in float64, and by what must hold of them. */
class CannyTest {
  private static boolean isEdge(Picture edges, int x, int y) {
    return edges.value(x, y, 0) == 255;
  }

  private static int count(Picture edges) {
    int count = 0;
    for (int i = 0; i < edges.rgb().length; i += 3) {
      count += edges.rgb()[i] & 1;
    }
    return count;
  }

  private static Picture transposed(Picture picture) {
    byte[] rgb = new byte[picture.rgb().length];
    for (int y = 0; y < picture.height(); y++) {
      for (int x = 0; x < picture.width(); x++) {
        System.arraycopy(picture.rgb(), 3 * (y * picture.width() + x), rgb, 3 * (x * picture.height() + y), 3);
      }
    }
    return new Picture(picture.height(), picture.width(), rgb);
  }

  @Test
  void equalsThePlainComputation() {
    int edges = 0;
    for (int seed = 0; seed < 60; seed++) {
      Picture picture = Drawn.noise(14 + seed % 5, 11 + seed % 7, seed);
      for (double sigma : new double[] {0, 0.7, 1.5}) {
        double low = sigma == 0 ? 300 : sigma < 1 ? 100 : 40;
        Picture found = new Canny(sigma, low, 2 * low).of(picture);
        assertEquals(new PlainCanny(picture, sigma).edges(low, 2 * low), found, "seed " + seed + ", sigma " + sigma);
        edges += count(found);
      }
    }
    assertTrue(edges > 1000, "only " + edges + " edges in all");
  }

  /** One pixel wide, closed, on one of the two pixels that meet at each side; nothing elsewhere. */
  @Test
  void aSquareHasFourSides() {
    int left = 10;
    int right = 29;
    for (double sigma : new double[] {0, 1, 2}) {
      Picture edges = new Canny(sigma, 50, 100).of(Drawn.gray(40, 44, (x, y) ->
          x >= left && x <= right && y >= left && y <= right ? 200 : 20));
      for (int along = left + 5; along <= right - 5; along++) {
        for (Picture picture : new Picture[] {edges, transposed(edges)}) {
          int first = -1;
          int last = -1;
          int found = 0;
          for (int x = 0; x < picture.width(); x++) {
            if (isEdge(picture, x, along)) {
              first = found++ == 0 ? x : first;
              last = x;
            }
          }
          assertEquals(2, found, "sigma " + sigma + ", line " + along);
          assertTrue(first == left - 1 || first == left, "sigma " + sigma + ": first side at " + first);
          assertTrue(last == right || last == right + 1, "sigma " + sigma + ": second side at " + last);
        }
      }
      for (int y = 0; y < edges.height(); y++) {
        for (int x = 0; x < edges.width(); x++) {
          boolean near = x >= left - 2 && x <= right + 2 && y >= left - 2 && y <= right + 2;
          boolean inside = x >= left + 3 && x <= right - 3 && y >= left + 3 && y <= right - 3;
          assertTrue((near && !inside) || !isEdge(edges, x, y), "sigma " + sigma + ": an edge at " + x + ", " + y);
        }
      }
    }
  }

  /** Of a weak line only what is joined to a strong part stays. */
  @Test
  void weakEdgesStayWhereTheyAreJoinedToStrongOnes() {
    // A step along row 10 whose height falls to the right, and the same step far weaker below.
    Picture picture = Drawn.gray(60, 40, (x, y) -> y >= 30 ? 60 : y >= 10 ? 40 + (60 - x) : 40);
    Picture edges = new Canny(0, 60, 200).of(picture);
    for (int x = 1; x < 60; x++) {
      int height = 60 - x;
      // Of m = 4 heights the slope along the row is a small part.
      if (Math.abs(4 * height - 60) > 12) {
        assertEquals(4 * height > 60, isEdge(edges, x, 9) || isEdge(edges, x, 10), "column " + x);
      }
    }
    Picture weak = new Canny(0, 60, 200).of(Drawn.gray(60, 40, (x, y) -> y >= 10 ? 70 : 40));
    assertEquals(0, count(weak));
    assertEquals(60, count(new Canny(0, 60, 100).of(Drawn.gray(60, 40, (x, y) -> y >= 10 ? 70 : 40))));
  }

  @Test
  void nothingComesOfNothing() {
    assertEquals(0, count(new Canny().of(Drawn.gray(9, 7, (x, y) -> 130))));
    assertEquals(0, count(new Canny(0, 0, 0).of(Drawn.gray(1, 1, (x, y) -> 200))));
    assertEquals(1, new Canny().of(Drawn.noise(1, 30, 1)).width());
    assertThrows(IllegalArgumentException.class, () -> new Canny(-1, 100, 200));
    assertThrows(IllegalArgumentException.class, () -> new Canny(1, 200, 100));
    assertThrows(IllegalArgumentException.class, () -> new Canny(Double.NaN, 100, 200));
  }

  /** A figure that is moved has moved edges, to the pixel. */
  @Property(tries = 40)
  void movesWithThePicture(@ForAll @IntRange(max = 12) int right, @ForAll @IntRange(max = 12) int down,
      @ForAll @IntRange(max = 999) int seed) {
    Picture figure = Drawn.noise(12, 12, seed);
    Picture here = new Canny(1, 60, 120).of(placed(figure, 12, 12));
    Picture there = new Canny(1, 60, 120).of(placed(figure, 12 + right, 12 + down));
    assertEquals(here.crop(0, 0, 36, 36), there.crop(right, down, 36, 36));
  }

  private static Picture placed(Picture figure, int left, int top) {
    Picture picture = Drawn.gray(48, 48, (x, y) -> 90);
    for (int y = 0; y < figure.height(); y++) {
      System.arraycopy(figure.rgb(), 3 * y * figure.width(), picture.rgb(), 3 * ((top + y) * 48 + left), 3 * figure.width());
    }
    return picture;
  }

  /** More light, negatives and, with thresholds that follow, more contrast change nothing. */
  @Property(tries = 60)
  void brightnessAndContrast(@ForAll @IntRange(max = 9999) int seed, @ForAll @IntRange(max = 100) int light) {
    Picture noise = Drawn.noise(20, 15, seed);
    Picture edges = new Canny(0, 100, 250).of(Drawn.gray(20, 15, (x, y) -> noise.value(x, y, 0) / 2));
    assertEquals(edges, new Canny(0, 100, 250).of(Drawn.gray(20, 15, (x, y) -> noise.value(x, y, 0) / 2 + light)));
    assertEquals(edges, new Canny(0, 100, 250).of(Drawn.gray(20, 15, (x, y) -> 255 - noise.value(x, y, 0) / 2)));
    assertEquals(edges, new Canny(0, 200, 500).of(Drawn.gray(20, 15, (x, y) -> noise.value(x, y, 0) / 2 * 2)));
    assertEquals(new Canny(1.3, 30, 60).of(Drawn.gray(20, 15, (x, y) -> noise.value(x, y, 0) / 2)),
        new Canny(1.3, 60, 120).of(Drawn.gray(20, 15, (x, y) -> noise.value(x, y, 0) / 2 * 2)));
  }

  /** Lower thresholds keep every edge. */
  @Property(tries = 60)
  void thresholdsOnlyTakeAway(@ForAll @IntRange(max = 9999) int seed, @ForAll @IntRange(max = 300) int low,
      @ForAll @IntRange(max = 300) int more) {
    Picture picture = Drawn.noise(20, 15, seed);
    Picture many = new Canny(0.8, low, low + 50).of(picture);
    Picture few = new Canny(0.8, low + more, low + more + 50).of(picture);
    for (int i = 0; i < many.rgb().length; i++) {
      assertTrue(few.rgb()[i] == 0 || many.rgb()[i] != 0);
    }
  }
}
