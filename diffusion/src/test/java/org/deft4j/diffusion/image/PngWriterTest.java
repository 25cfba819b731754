package org.deft4j.diffusion.image;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What is written is read back: pixels and texts. */
class PngWriterTest {
  @TempDir
  private Path folder;

  private static Picture random(int width, int height, long seed) {
    byte[] rgb = new byte[3 * width * height];
    new Random(seed).nextBytes(rgb);
    for (int i = 0; i < rgb.length / 2; i++) {
      rgb[i] = (byte) (i / 7);
    }
    return new Picture(width, height, rgb);
  }

  @Property(tries = 50)
  void pixelsAreReadBack(@ForAll @IntRange(min = 1, max = 40) int width, @ForAll @IntRange(min = 1, max = 40) int height,
      @ForAll long seed) throws IOException {
    Path path = Files.createTempFile("deft4j", ".png");
    try {
      Picture picture = random(width, height, seed);
      PngWriter.write(path, picture, Map.of());
      assertEquals(picture, Pictures.read(path));
    } finally {
      Files.delete(path);
    }
  }

  @Test
  void textsAreReadBackInOrder() throws IOException {
    Map<String, String> texts = new LinkedHashMap<>();
    texts.put("parameters", "a photo of sks dog\nNegative prompt: blurry\nSteps: 10, Sampler: Euler");
    texts.put("Caf\u00e9", "\u00fcber \u00df");
    texts.put("emoji", "\ud83d\ude00 \u4f60\u597d \u05e9\u05dc\u05d5\u05dd");
    texts.put("empty", "");
    Path path = folder.resolve("text.png");
    PngWriter.write(path, random(5, 4, 1), texts);
    assertEquals(List.copyOf(texts.entrySet()), List.copyOf(PngText.read(path).entrySet()));
    String raw = new String(Files.readAllBytes(path), StandardCharsets.ISO_8859_1);
    assertTrue(raw.contains("tEXtparameters\0a photo"));
    assertTrue(raw.contains("iTXtemoji\0\0\0\0\0"));
  }

  @Test
  void whatNoTextChunkCanHoldIsReplaced() {
    Path path = folder.resolve("text.png");
    PngWriter.write(path, random(1, 1, 1), Map.of("prompt", "a\0b\ud83dc"));
    assertEquals(Map.of("prompt", "a\ufffdb\ufffdc"), PngText.read(path));
  }

  @Test
  void badKeywordsAreRefused() {
    for (String keyword : List.of("", " a", "a ", "a  b", "a\0b", "\u4f60", "a".repeat(80))) {
      assertThrows(IllegalArgumentException.class, () -> PngWriter.encode(random(1, 1, 1), Map.of(keyword, "x")), keyword);
    }
  }

  @Test
  void nothingIsLeftWhereWritingFails() throws IOException {
    Path target = Files.createDirectory(folder.resolve("taken.png"));
    assertThrows(UncheckedIOException.class, () -> PngWriter.write(target, random(2, 2, 1), Map.of()));
    assertThrows(UncheckedIOException.class,
        () -> PngWriter.write(folder.resolve("missing/a.png"), random(2, 2, 1), Map.of()));
    try (Stream<Path> files = Files.list(folder)) {
      assertEquals(List.of(target), files.toList());
    }
  }

  @Test
  void damagedTextChunksAreSkippedAndDamagedPixelsRefused() throws IOException {
    byte[] bytes = PngWriter.encode(random(9, 9, 2), Map.of("k", "text"));
    String raw = new String(bytes, StandardCharsets.ISO_8859_1);
    byte[] text = bytes.clone();
    text[raw.indexOf("tEXt") + 6] ^= 1;
    Path path = Files.write(folder.resolve("a.png"), text);
    assertEquals(Map.of(), PngText.read(path));
    assertEquals(random(9, 9, 2), Pictures.read(path));
    byte[] pixels = bytes.clone();
    pixels[raw.indexOf("IDAT") + 8] ^= 1;
    Files.write(path, pixels);
    assertEquals(PictureException.Kind.DAMAGED, assertThrows(PictureException.class, () -> Pictures.read(path)).kind());
    Files.write(path, "GIF89a".getBytes(StandardCharsets.ISO_8859_1));
    assertEquals(PictureException.Kind.UNSUPPORTED, assertThrows(PictureException.class, () -> PngText.read(path)).kind());
  }
}
