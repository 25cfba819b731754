package org.deft4j.deft.data;

import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.stream.ImageOutputStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.deft.InputException;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Each damage is what its definition says, leaves the original alone, and comes out the same from the same seed. */
class DegradationTest {
  private static Picture of(Condition condition, Picture picture) {
    return condition.of(picture, new TorchRandom(7));
  }

  private static double meanDifference(Picture a, Picture b) {
    return IntStream.range(0, a.rgb().length).map(i -> Math.abs((a.rgb()[i] & 0xff) - (b.rgb()[i] & 0xff))).average().orElseThrow();
  }

  @Test
  void allKindsKeepTheSizeTheOriginalAndTheSeed() {
    Set<String> roles = new HashSet<>();
    for (Condition condition : Condition.known()) {
      assertTrue(roles.add(condition.role()), condition.role());
      assertEquals(condition, Condition.of(condition.role()));
      for (Picture picture : List.of(Drawn.smooth(61, 47), Drawn.noise(5, 3, 1), Drawn.noise(1, 1, 2), Drawn.noise(40, 2, 3))) {
        Picture kept = new Picture(picture.width(), picture.height(), picture.rgb().clone());
        Picture damaged = of(condition, picture);
        assertEquals(kept, picture, condition.role());
        assertEquals(picture.width(), damaged.width(), condition.role());
        assertEquals(picture.height(), damaged.height(), condition.role());
        assertEquals(damaged, of(condition, picture), condition.role());
      }
      double difference = meanDifference(Drawn.smooth(61, 47), of(condition, Drawn.smooth(61, 47)));
      assertTrue(difference > 0.5, condition.role() + " changes values by only " + difference);
    }
    assertEquals(13, roles.size());
    for (String seeded : List.of("gaussian_noise", "salt_and_pepper", "inpainting_mask")) {
      assertNotEquals(Condition.of(seeded).of(Drawn.smooth(40, 40), new TorchRandom(1)),
          Condition.of(seeded).of(Drawn.smooth(40, 40), new TorchRandom(2)), seeded);
    }
    assertTrue(assertThrows(InputException.class, () -> Condition.of("grayscal")).getMessage().endsWith("; did you mean 'grayscale'?"));
  }

  @Test
  void noiseHasItsDeviation() {
    Picture noisy = of(new Degradation.GaussianNoise(20), Drawn.gray(100, 100, (x, y) -> 128));
    double mean = IntStream.range(0, 30_000).map(i -> noisy.rgb()[i] & 0xff).average().orElseThrow();
    double square = IntStream.range(0, 30_000).mapToDouble(i -> Math.pow((noisy.rgb()[i] & 0xff) - mean, 2)).average().orElseThrow();
    assertEquals(128, mean, 0.6);
    assertEquals(20, Math.sqrt(square), 0.4);
    assertNotEquals(noisy.value(0, 0, 0), noisy.value(0, 0, 1));
  }

  @Test
  void saltAndPepperHitTheirShareAndNothingElse() {
    Picture picture = Drawn.gray(100, 100, (x, y) -> 50 + x);
    Picture damaged = of(new Degradation.SaltAndPepper(0.2), picture);
    int black = 0;
    int white = 0;
    for (int i = 0; i < 10_000; i++) {
      int value = damaged.value(i % 100, i / 100, 2);
      black += value == 0 ? 1 : 0;
      white += value == 255 ? 1 : 0;
      assertTrue(value == 0 || value == 255 || value == picture.value(i % 100, i / 100, 2));
      assertEquals(value, damaged.value(i % 100, i / 100, 0));
    }
    assertEquals(1000, black, 120);
    assertEquals(1000, white, 120);
  }

  /** The blur of a point is the Gaussian itself; a flat picture stays, and so do sums away from the border. */
  @Test
  void blurIsAGaussian() {
    Picture point = of(new Degradation.Blur(1.5), Drawn.gray(31, 31, (x, y) -> x == 15 && y == 15 ? 255 : 0));
    double sum = 0;
    for (int y = -6; y <= 6; y++) {
      for (int x = -6; x <= 6; x++) {
        sum += Math.exp(-(x * x + y * y) / 4.5);
      }
    }
    for (int i = 0; i < 31 * 31; i++) {
      int x = i % 31 - 15;
      int y = i / 31 - 15;
      double expected = Math.max(Math.abs(x), Math.abs(y)) > 6 ? 0 : 255 * Math.exp(-(x * x + y * y) / 4.5) / sum;
      assertEquals(expected, point.value(x + 15, y + 15, 1), 0.501);
    }
    assertEquals(Drawn.gray(20, 9, (x, y) -> 77), of(new Degradation.Blur(5), Drawn.gray(20, 9, (x, y) -> 77)));
    assertEquals(Drawn.gray(20, 9, (x, y) -> 77), of(new Degradation.LowResolution(4), Drawn.gray(20, 9, (x, y) -> 77)));
  }

  @Test
  void valuesAreMappedAsDefined() {
    Picture ramp = Drawn.gray(256, 1, (x, y) -> x);
    for (int v = 0; v < 256; v++) {
      assertEquals(0.3 * v, of(new Degradation.LowLight(0.3), ramp).value(v, 0, 0), 0.501);
      assertEquals(255 - 0.3 * (255 - v), of(new Degradation.Overexposure(0.3), ramp).value(v, 0, 1), 0.501);
      assertEquals(127.5 + 0.4 * (v - 127.5), of(new Degradation.LowContrast(0.4), ramp).value(v, 0, 2), 0.501);
      int level = of(new Degradation.Posterization(4), ramp).value(v, 0, 0);
      assertTrue(level % 85 == 0 && Math.abs(level - v) <= 43, v + " becomes " + level);
    }
    Picture red = new Picture(1, 1, new byte[] {(byte) 200, 10, 90});
    int gray = Math.round((299 * 200 + 587 * 10 + 114 * 90) / 1000f);
    assertEquals(new Picture(1, 1, new byte[] {(byte) gray, (byte) gray, (byte) gray}), of(new Degradation.Grayscale(), red));
  }

  @Property(tries = 50)
  void pixelsAreMeansOfTheirSquares(@ForAll @IntRange(min = 1, max = 20) int width, @ForAll @IntRange(min = 1, max = 20) int height,
      @ForAll @IntRange(min = 2, max = 9) int side) {
    Picture picture = Drawn.noise(width, height, width + 100L * height);
    Picture squares = of(new Degradation.Pixelation(side), picture);
    for (int i = 0; i < width * height; i++) {
      int left = i % width / side * side;
      int top = i / width / side * side;
      double mean = IntStream.range(0, side * side).filter(k -> left + k % side < width && top + k / side < height)
          .map(k -> picture.value(left + k % side, top + k / side, 1)).average().orElseThrow();
      assertEquals(mean, squares.value(i % width, i / width, 1), 0.501);
    }
  }

  @Property(tries = 50)
  void theMaskCoversItsShare(@ForAll @IntRange(min = 8, max = 60) int width, @ForAll @IntRange(min = 8, max = 60) int height,
      @ForAll @IntRange(min = 1, max = 9) int tenths, @ForAll @IntRange(max = 999) int seed) {
    Picture picture = Drawn.gray(width, height, (x, y) -> 10);
    Picture masked = new Degradation.InpaintingMask(tenths / 10.0).of(picture, new TorchRandom(seed));
    int covered = 0;
    for (int i = 0; i < width * height; i++) {
      int value = masked.value(i % width, i / width, 0);
      assertTrue(value == 128 || value == 10);
      covered += value == 128 ? 1 : 0;
    }
    double share = covered / (double) (width * height);
    assertTrue(share >= tenths / 10.0 && share < tenths / 10.0 + 9 / 64.0 + 1e-9, "covered " + share);
  }

  /** What the encoder and decoder of the Java runtime make of the same picture, but for the rounding of their integer transforms. */
  @Test
  void jpegLosesWhatAnEncoderLoses(@TempDir Path folder) throws IOException {
    Picture photo = Drawn.smooth(93, 61);
    Picture gray = of(new Degradation.Grayscale(), photo);
    for (int quality : new int[] {3, 10, 30, 50, 75, 95}) {
      Path file = folder.resolve(quality + ".jpg");
      write(file, photo, quality);
      Picture ours = of(new Degradation.JpegArtifacts(quality), photo);
      Picture theirs = Pictures.read(file);
      assertTrue(meanDifference(theirs, photo) > 1, "something is lost");
      double apart = meanDifference(ours, theirs);
      assertTrue(apart < 0.4, quality + ": " + apart);
      write(file, gray, quality);
      double off = meanDifference(of(new Degradation.JpegArtifacts(quality), gray), Pictures.read(file));
      assertTrue(off < 0.15, "gray " + quality + ": " + off);
    }
  }

  private static void write(Path file, Picture picture, int quality) throws IOException {
    BufferedImage image = new BufferedImage(picture.width(), picture.height(), BufferedImage.TYPE_INT_RGB);
    for (int i = 0; i < picture.width() * picture.height(); i++) {
      int x = i % picture.width();
      int y = i / picture.width();
      image.setRGB(x, y, picture.value(x, y, 0) << 16 | picture.value(x, y, 1) << 8 | picture.value(x, y, 2));
    }
    ImageWriter writer = ImageIO.getImageWritersByFormatName("jpeg").next();
    ImageWriteParam settings = writer.getDefaultWriteParam();
    settings.setCompressionMode(ImageWriteParam.MODE_EXPLICIT);
    settings.setCompressionQuality(quality / 100f);
    try (ImageOutputStream out = ImageIO.createImageOutputStream(file.toFile())) {
      writer.setOutput(out);
      writer.write(null, new IIOImage(image, null, null), settings);
    } finally {
      writer.dispose();
    }
  }

  @Test
  void settingsThatMakeNoSenseAreRefused() {
    assertThrows(IllegalArgumentException.class, () -> new Degradation.GaussianNoise(0));
    assertThrows(IllegalArgumentException.class, () -> new Degradation.SaltAndPepper(Double.NaN));
    assertThrows(IllegalArgumentException.class, () -> new Degradation.Blur(-1));
    assertThrows(IllegalArgumentException.class, () -> new Degradation.LowResolution(1));
    assertThrows(IllegalArgumentException.class, () -> new Degradation.JpegArtifacts(0));
    assertThrows(IllegalArgumentException.class, () -> new Degradation.LowLight(1));
    assertThrows(IllegalArgumentException.class, () -> new Degradation.Overexposure(0));
    assertThrows(IllegalArgumentException.class, () -> new Degradation.LowContrast(2));
    assertThrows(IllegalArgumentException.class, () -> new Degradation.Pixelation(1));
    assertThrows(IllegalArgumentException.class, () -> new Degradation.Posterization(1));
    assertThrows(IllegalArgumentException.class, () -> new Degradation.InpaintingMask(1));
  }
}
