package org.deft4j.diffusion.omnigen;

import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.diffusion.image.Picture;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Sizes of input pictures; their bytes are compared with PIL's in {@link OmniGenProcessorFixtureTest}. */
class InputPicturesTest {
  private static Picture random(int width, int height) {
    byte[] rgb = new byte[3 * width * height];
    new Random(width * 31L + height).nextBytes(rgb);
    return new Picture(width, height, rgb);
  }

  @Property(tries = 300)
  void anySizeBecomesOneThatOmniGenTakes(@ForAll @IntRange(min = 12, max = 300) int width,
      @ForAll @IntRange(min = 12, max = 300) int height, @ForAll @IntRange(min = 16, max = 200) int max) {
    Picture picture = random(width, height);
    Picture fitted = InputPictures.fit(picture, max);
    assertEquals(PixelSize.of(fitted).tokens("fitted"), fitted.width() / 16L * (fitted.height() / 16));
    assertTrue(Math.max(fitted.width(), fitted.height()) <= max || Math.min(fitted.width(), fitted.height()) == 16);
    assertEquals(fitted, InputPictures.fit(fitted, Math.max(fitted.width(), fitted.height())));
    Picture square = InputPictures.centerCrop(picture, max);
    assertEquals(max, square.width());
    assertEquals(max, square.height());
  }

  @Test
  void theRestIsCutAtTheFarSide() {
    Picture picture = random(32 + 3, 16 + 15);
    assertEquals(picture.crop(1, 7, 32, 16), InputPictures.fit(picture, 64));
  }

  @Test
  void whatIsTooNarrowIsRefused() {
    assertEquals("a picture of 1 x 200 pixels is too narrow: scaled by 0.08 it would have 0 x 16",
        assertThrows(ConditionException.class, () -> InputPictures.fit(random(1, 200), 16)).getMessage());
    assertThrows(ConditionException.class, () -> InputPictures.centerCrop(random(1, 200_000), 1024));
    assertThrows(IllegalArgumentException.class, () -> InputPictures.fit(random(20, 20), 15));
    assertThrows(IllegalArgumentException.class, () -> InputPictures.centerCrop(random(20, 20), 15));
  }
}
