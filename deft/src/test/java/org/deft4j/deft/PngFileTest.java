package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Pictures;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** Pictures and their text come back as they were. */
class PngFileTest {
  @Property(tries = 30)
  void roundTrip(@ForAll @IntRange(min = 1, max = 40) int width, @ForAll @IntRange(min = 1, max = 40) int height,
      @ForAll long seed, @ForAll String prompt) throws IOException {
    byte[] rgb = new byte[width * height * 3];
    new Random(seed).nextBytes(rgb);
    Picture picture = new Picture(width, height, rgb);
    Map<String, String> text = new LinkedHashMap<>();
    text.put("parameters", valid(prompt));
    text.put("deft4j", "{\"prompt\": \"gr\u00fc\u00dfe \u2603\"}");
    Path file = Files.createTempFile("deft", ".png");
    try {
      PngFile.write(file, picture, text);
      assertEquals(picture, Pictures.read(file));
      assertEquals(text, PngFile.text(file));
      byte[] bytes = Files.readAllBytes(file);
      Files.write(file, Arrays.copyOf(bytes, bytes.length / 2));
      PngFile.text(file);
    } finally {
      Files.delete(file);
    }
  }

  /** Without NUL, which a text chunk cannot hold, and halves of surrogate pairs, which are no characters. */
  private static String valid(String text) {
    return text.codePoints().filter(c -> c != 0 && (c < 0xD800 || c > 0xDFFF))
        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append).toString();
  }
}
