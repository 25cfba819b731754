package org.deft4j.weights;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.deft4j.tensor.Scope;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.deft4j.weights.CraftedTorch.latin;
import static org.deft4j.weights.CraftedTorch.pickle;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

/** Seeded mutations of good files: each is accepted, and then every tensor loads, or refused with a {@link FormatException}. */
class TorchFuzzTest {
  private static final int ROUNDS = 2000;
  /** Pieces that make sense to the reader, in places where they do not. */
  private static final List<String> PIECES = List.of("(", "t", ")", "R", "Q", "}", "u", "s", "b", "N", "\u0085", "\u0086", "\u0088",
      "h\u0000", "h\u0003", "\u0094", "K\u0000", "K\u0005", "J\u00FF\u00FF\u00FF\u007F", "J\u0000\u0000\u0000\u0080",
      "\u008A\u0008\u0000\u0000\u0000\u0000\u0000\u0000\u0000@", CraftedTorch.HOOKS, CraftedTorch.STORAGE, CraftedTorch.TENSOR,
      CraftedTorch.str("a"), CraftedTorch.numbers(3, 2), "cos\nsystem\n", ".");

  @TempDir private Path temp;

  private interface Mutant {
    byte[] of(Random random) throws IOException;
  }

  /** How many of the mutants were accepted. */
  private int accepted(long seed, Mutant mutants) throws IOException {
    Random random = new Random(seed);
    Path path = temp.resolve("mutant.pt");
    int accepted = 0;
    for (int round = 0; round < ROUNDS; round++) {
      byte[] mutant = mutants.of(random);
      Files.write(path, mutant);
      try (Scope _ = Scope.open(); TorchFile file = TorchFile.open(path)) {
        file.names().forEach(file::load);
        accepted++;
      } catch (FormatException e) {
        assertTrue(e.getMessage().startsWith(path + ": "), e.getMessage());
      } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
        fail("round " + round + ": " + HexFormat.of().formatHex(mutant), e);
      }
    }
    return accepted;
  }

  @Test
  void everyMutantOfATorchFileIsAcceptedOrRefusedInOneWay() throws IOException {
    byte[] original = Files.readAllBytes(TorchFileTest.golden("mixed-2.13.pt"));
    int accepted = accepted(20260101, random -> bytes(original, random));
    assertTrue(accepted > ROUNDS / 100 && accepted < ROUNDS / 2, accepted + " accepted");
  }

  /** Of a pickle alone, in an archive that fits it, so that every mutant gets as far as the interpreter. */
  @Test
  void everyMutantOfAPickleIsAcceptedOrRefusedInOneWay() throws IOException {
    for (String name : List.of("ordered-2.pt", "ordered-5.pt")) {
      String folder = name.replace(".pt", "/");
      Map<String, byte[]> entries = new LinkedHashMap<>();
      try (FileBytes file = FileBytes.open(TorchFileTest.golden(name))) {
        StoredZip zip = StoredZip.read(file);
        zip.entries().values().forEach(entry -> entries.put(entry.name(), zip.read(entry, 1 << 20)));
      }
      byte[] original = entries.get(folder + "data.pkl");
      int accepted = accepted(20260102, random -> {
        entries.put(folder + "data.pkl", random.nextBoolean() ? bytes(original, random) : pieces(original, random));
        return CraftedTorch.zip(entries, random.nextBoolean());
      });
      assertTrue(accepted > ROUNDS / 100 && accepted < ROUNDS / 2, accepted + " accepted");
    }
  }

  private static byte[] bytes(byte[] original, Random random) {
    byte[] file = original.clone();
    for (int changes = 1 + random.nextInt(3); changes > 0 && file.length > 0; changes--) {
      int at = random.nextInt(file.length);
      switch (random.nextInt(8)) {
        case 0, 1, 2 -> file[at] ^= (byte) (1 << random.nextInt(8));
        case 3, 4 -> file[at] = (byte) random.nextInt(256);
        case 5 -> Arrays.fill(file, at, Math.min(file.length, at + 1 + random.nextInt(8)), (byte) -random.nextInt(2));
        case 6 -> file = spliced(file, at, Math.min(file.length, at + random.nextInt(12)), "");
        default -> file = Arrays.copyOf(file, random.nextInt(8) == 0 ? at : file.length);
      }
    }
    return file;
  }

  private static byte[] pieces(byte[] original, Random random) {
    byte[] code = original;
    for (int changes = 1 + random.nextInt(3); changes > 0; changes--) {
      int at = random.nextInt(code.length);
      int to = Math.min(code.length - 1, at + random.nextInt(4));
      code = spliced(code, Math.min(at, to), to, PIECES.get(random.nextInt(PIECES.size())));
    }
    return code;
  }

  private static byte[] spliced(byte[] bytes, int from, int to, String by) {
    String text = new String(bytes, StandardCharsets.ISO_8859_1);
    return latin(text.substring(0, from) + by + text.substring(to));
  }

  /** The longest pickles that make the most of each byte or step, read by a JVM of little memory. */
  @Test
  void noPickleTakesMuchMemoryOrTime() throws Exception {
    String end = ".";
    int steps = TorchPickle.MAX_STEPS;
    List<String> bodies = List.of("}".repeat(steps * 2), "(".repeat(steps * 2), "}".repeat(steps * 8 - 3), "N\u0085".repeat(steps),
        "}" + "\u0094".repeat(steps * 2), "}r\0\0\0\0".repeat(10) + "K\1".repeat(steps), CraftedTorch.HOOKS + "q\0" + "h\0".repeat(steps),
        global() + "q\0" + "h\0)R".repeat(steps / 2), "X\0\20\0\0" + "n".repeat(4000), ("X\u00F0\17\0\0" + "n".repeat(4080)).repeat(4000));
    for (int i = 0; i < bodies.size(); i++) {
      Crafted.write(temp.resolve("bomb" + i + ".pt"), CraftedTorch.file(pickle(bodies.get(i) + end)));
    }
    String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
    Process process = new ProcessBuilder(Stream.concat(Stream.of(java, "-Xmx256m", "--enable-native-access=ALL-UNNAMED", "-cp",
        System.getProperty("java.class.path"), Opens.class.getName()),
        IntStream.range(0, bodies.size()).mapToObj(i -> temp.resolve("bomb" + i + ".pt").toString())).toList())
        .inheritIO().start();
    assertTrue(process.waitFor(60, TimeUnit.SECONDS), "a minute was not enough");
    assertEquals(0, process.exitValue());
  }

  private static String global() {
    return CraftedTorch.global("collections", "OrderedDict");
  }

  /** Opens the files that it is given; its status is how many were not refused as they should be. */
  static final class Opens {
    private Opens() {}

    public static void main(String[] paths) {
      int wrong = 0;
      for (String path : paths) {
        try (TorchFile file = TorchFile.open(Path.of(path))) {
          System.err.println(path + " was accepted: " + file.names().size());
          wrong++;
        } catch (FormatException e) {
          // As it should be.
        } catch (OutOfMemoryError e) {
          System.err.println(path + ": " + e);
          wrong++;
        }
      }
      System.exit(wrong);
    }
  }
}
