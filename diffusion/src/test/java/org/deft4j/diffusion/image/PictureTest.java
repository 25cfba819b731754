package org.deft4j.diffusion.image;

import java.util.List;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Cropping, framing, and the way to tensors and back. */
class PictureTest {
  /** Pixel (x, y) is (x, y, 7). */
  private static Picture coordinates(int width, int height) {
    byte[] rgb = new byte[3 * width * height];
    for (int i = 0; i < width * height; i++) {
      rgb[3 * i] = (byte) (i % width);
      rgb[3 * i + 1] = (byte) (i / width);
      rgb[3 * i + 2] = 7;
    }
    return new Picture(width, height, rgb);
  }

  @Test
  void cropAndFlip() {
    Picture cropped = coordinates(10, 8).crop(3, 2, 4, 5);
    assertEquals(4, cropped.width());
    assertEquals(3, cropped.value(0, 0, 0));
    assertEquals(2, cropped.value(0, 0, 1));
    assertEquals(6, cropped.value(3, 4, 0));
    assertEquals(6, cropped.value(3, 4, 1));
    assertEquals(9, coordinates(10, 8).flipHorizontal().value(0, 5, 0));
    assertEquals(5, coordinates(10, 8).flipHorizontal().value(0, 5, 1));
    assertThrows(IllegalArgumentException.class, () -> coordinates(10, 8).crop(7, 0, 4, 4));
    assertThrows(IllegalArgumentException.class, () -> new Picture(2, 2, new byte[11]));
    assertThrows(IndexOutOfBoundsException.class, () -> cropped.value(4, 0, 0));
  }

  @Test
  void framingTellsWhatWasCutAway() {
    Framed framed = Framed.center(coordinates(100, 50), 20, 20, Filter.NEAREST, false);
    assertEquals(new Framed(framed.picture(), 50, 100, 0, 10), framed);
    assertEquals(20, framed.picture().width());
    assertEquals(20, framed.picture().height());
    // 40 columns remain; the first of the middle ones shows column 10 * 5 / 2.
    assertEquals(26, framed.picture().value(0, 0, 0), 1);
    Framed flipped = Framed.center(coordinates(100, 50), 20, 20, Filter.NEAREST, true);
    assertEquals(framed.picture().flipHorizontal(), flipped.picture());
    // Half pixels go to the even side: 7 rows for 4 leave 1.5 above, which is 2; 5 for 4 leave 0.5, which is 0.
    assertEquals(2, Framed.center(coordinates(4, 7), 4, 4, Filter.BOX, false).cropTop());
    assertEquals(0, Framed.center(coordinates(4, 5), 4, 4, Filter.BOX, false).cropTop());
    assertThrows(IllegalArgumentException.class, () -> Framed.center(coordinates(4, 5), 0, 4, Filter.BOX, false));
  }

  @Test
  void randomFramesLieInsideAndDependOnTheSeed() {
    boolean differ = false;
    for (int seed = 0; seed < 20; seed++) {
      Framed framed = Framed.random(coordinates(60, 20), 20, 20, Filter.NEAREST, false, new TorchRandom(seed));
      Framed again = Framed.random(coordinates(60, 20), 20, 20, Filter.NEAREST, false, new TorchRandom(seed));
      assertEquals(framed, again);
      assertEquals(framed.cropLeft(), framed.picture().value(0, 0, 0));
      assertEquals(0, framed.cropTop());
      differ |= framed.cropLeft() != 0;
    }
    assertTrue(differ);
  }

  @Test
  void tensorsHoldThreePlanesFromMinusOneToOne() {
    try (Scope _ = Scope.open()) {
      Tensor tensor = PictureTensors.toTensor(new Picture(2, 1, new byte[] {0, (byte) 255, 127, (byte) 128, 1, (byte) 254}));
      assertEquals(Shape.of(1, 3, 1, 2), tensor.shape());
      float[] expected = {-1, (128 / 255f - 0.5f) / 0.5f, 1, (1 / 255f - 0.5f) / 0.5f, (127 / 255f - 0.5f) / 0.5f,
          (254 / 255f - 0.5f) / 0.5f};
      assertArrayEquals(expected, tensor.toFloats());
    }
  }

  @Test
  void everyByteSurvivesTheWayToATensorAndBack() {
    byte[] all = new byte[3 * 256];
    for (int i = 0; i < all.length; i++) {
      all[i] = (byte) i;
    }
    Picture picture = new Picture(16, 16, all);
    try (Scope _ = Scope.open()) {
      Tensor tensor = PictureTensors.toTensor(picture);
      assertEquals(picture, PictureTensors.toPicture(tensor));
      assertEquals(List.of(picture, picture), PictureTensors.toPictures(Tensor.concat(0, tensor, tensor)));
      assertThrows(ShapeException.class, () -> PictureTensors.toPicture(Tensor.concat(0, tensor, tensor)));
      assertThrows(ShapeException.class, () -> PictureTensors.toPicture(tensor.select(0, 0)));
    }
  }

  @Test
  void valuesAreLimitedAndRoundedHalfToEven() {
    try (Scope _ = Scope.open()) {
      Tensor tensor = Tensor.of(new float[] {-3, 5, 0}, 1, 3, 1, 1);
      assertArrayEquals(new byte[] {0, (byte) 255, (byte) 128}, PictureTensors.toPicture(tensor).rgb());
      Tensor broken = Tensor.of(new float[] {0, Float.NaN, 0}, 1, 3, 1, 1);
      assertThrows(NumericException.class, () -> PictureTensors.toPicture(broken));
    }
  }

  @Test
  void resizingToTheSameSizeCopies() {
    Picture picture = coordinates(5, 4);
    Picture same = Resize.resize(picture, 5, 4, Filter.LANCZOS);
    assertEquals(picture, same);
    assertTrue(picture.rgb() != same.rgb());
    assertThrows(IllegalArgumentException.class, () -> Resize.resize(picture, 0, 4, Filter.BOX));
    assertThrows(IllegalArgumentException.class, () -> Resize.resize(picture, 1 << 20, 1 << 20, Filter.BOX));
  }
}
