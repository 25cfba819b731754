package org.deft4j.weights;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.deft4j.tensor.Scope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.deft4j.weights.Crafted.entry;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

/** Seeded mutations of headers: each is accepted, and then every tensor loads, or refused with a {@link FormatException}. */
class SafetensorsFuzzTest {
  private static final int ROUNDS = 3000;
  private static final List<String> TOKENS = List.of("{", "}", "[", "]", ",", ":", "\"", "null", "-", "0", "1", "9223372036854775807",
      "18446744073709551615", "\"a\"", "\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"__metadata__\"", "\"F32\"", "\"BF16\"",
      "\"F4\"", "1e9", "\\u0000", "\\ud800", "\u20AC", " ", "\n", "true");

  @TempDir private Path temp;

  @Test
  void everyMutantIsAcceptedOrRefusedInOneWay() throws IOException {
    byte[] original = Crafted.file("{\"__metadata__\":{\"format\":\"pt\"}," + entry("a.weight", "F32", "[2,3]", 0, 24) + ","
        + entry("b", "BF16", "[]", 24, 26) + "," + entry("c", "U8", "[0,7]", 26, 26) + "}", 26);
    Random random = new Random(20260101);
    Path file = temp.resolve("mutant.safetensors");
    int accepted = 0;
    int refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
      byte[] mutant = mutate(original, random);
      Files.write(file, mutant);
      try (Scope _ = Scope.open(); SafetensorsFile opened = SafetensorsFile.open(file)) {
        opened.names().stream().filter(name -> opened.entries().get(name).type().dtype().isPresent()).forEach(opened::load);
        accepted++;
      } catch (FormatException e) {
        refused++;
      } catch (RuntimeException e) {
        fail("round " + round + ": " + new String(mutant, StandardCharsets.ISO_8859_1), e);
      }
    }
    assertTrue(accepted > ROUNDS / 100 && refused > ROUNDS / 2, accepted + " accepted, " + refused + " refused");
  }

  private static byte[] mutate(byte[] original, Random random) {
    byte[] file = original.clone();
    for (int changes = 1 + random.nextInt(3); changes > 0; changes--) {
      int at = random.nextInt(file.length);
      file = switch (random.nextInt(6)) {
        case 0 -> with(file, at, (byte) (file[at] ^ 1 << random.nextInt(8)));
        case 1 -> with(file, 8 + random.nextInt(Math.max(1, file.length - 8)), (byte) random.nextInt(256));
        case 2 -> Arrays.copyOf(file, at);
        case 3 -> splice(file, at, Math.min(file.length, at + random.nextInt(12)), "");
        case 4 -> splice(file, at, at, TOKENS.get(random.nextInt(TOKENS.size())));
        default -> splice(file, at, Math.min(file.length, at + 1), TOKENS.get(random.nextInt(TOKENS.size())));
      };
      if (file.length < 9) {
        return file;
      }
    }
    return file;
  }

  private static byte[] with(byte[] file, int at, byte value) {
    byte[] copy = file.clone();
    copy[Math.min(at, copy.length - 1)] = value;
    return copy;
  }

  /** Replaces bytes of the header and corrects the header's length, so that the mutant gets past the first check. */
  private static byte[] splice(byte[] file, int from, int to, String by) {
    byte[] text = by.getBytes(StandardCharsets.UTF_8);
    byte[] copy = new byte[file.length - (to - from) + text.length];
    System.arraycopy(file, 0, copy, 0, from);
    System.arraycopy(text, 0, copy, from, text.length);
    System.arraycopy(file, to, copy, from + text.length, file.length - to);
    if (from >= 8 && copy.length > 10) {
      int length = ((file[0] & 0xFF) | ((file[1] & 0xFF) << 8)) + copy.length - file.length;
      copy[0] = (byte) length;
      copy[1] = (byte) (length >> 8);
    }
    return copy;
  }
}
