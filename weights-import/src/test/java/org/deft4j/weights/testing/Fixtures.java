package org.deft4j.weights.testing;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;

/**
 * The golden data that the tests read. Folders are found by what they are, not by their names, so that another set of the
 * same layout can be given with {@code -Ddeft4j.fixtures=FOLDER}.
 */
public final class Fixtures {
  /** What a folder of each kind contains, where it has no {@code fixture.json} that names the kind. */
  private static final Map<String, List<String>> SIGNS = Map.of(
      "ops", List.of("ops.json", "ops.safetensors"),
      "rng", List.of("rng.json", "rng.safetensors"),
      "schedulers", List.of("tables.json", "steps.json", "steps.safetensors"),
      "images", List.of("cases.json", "decoded.safetensors"),
      "tokenizer", List.of("cases.json", "tokenizer_config.json", "tokenizer_2_config.json"),
      "llama_tokenizer", List.of("expected.json", "tokenizer.json"),
      "omnigen", List.of("cases.json", "processor.safetensors", "tokenizer.json"),
      "adapters", List.of("fixture.json", "deft", "lora"),
      "deft_layer", List.of("deft_layer.safetensors"),
      "manifests", List.of("configs", "unet.json", "vae.json"));
  private static final int DEPTH = 3;
  private static final String PACKED = ".gz";
  /** What was packed, by what it was unpacked from; until the tests end. */
  private static final Map<Path, Path> UNPACKED = new ConcurrentHashMap<>();

  private Fixtures() {}

  /** The repository's root folder. */
  public static Path repository() {
    String given = System.getProperty("deft4j.root", "");
    if (!given.isEmpty()) {
      return real(Path.of(given));
    }
    Path folder = Path.of("").toAbsolutePath();
    while (folder != null && !Files.exists(folder.resolve("weights-import/pom.xml"))) {
      folder = folder.getParent();
    }
    return Objects.requireNonNull(folder, "run the tests inside the repository, or set -Ddeft4j.root");
  }

  /** The folder of all golden data: {@code -Ddeft4j.fixtures}, or {@code shared/fixtures} beside the repository, or its copy. */
  public static Path root() {
    String given = System.getProperty("deft4j.fixtures", "");
    if (!given.isEmpty()) {
      return Path.of(given);
    }
    Path shared = repository().resolve("../shared/fixtures").normalize();
    return Files.isDirectory(shared) ? shared : repository().resolve("weights-import/src/test/fixtures");
  }

  /** Where a link leads, for walks do not follow one they start at. */
  private static Path real(Path folder) {
    try {
      return folder.toRealPath();
    } catch (IOException _) {
      return folder;
    }
  }

  /** Every small pipeline, of kind {@code sd} or {@code sdxl}; fails where there is none. */
  public static List<Path> models() {
    List<Path> found = Stream.of("sd", "sdxl").flatMap(kind -> find(kind).stream()).toList();
    if (found.isEmpty()) {
      throw new AssertionError("no fixture folder of kind 'sd' or 'sdxl' under " + root());
    }
    return found;
  }

  /** Every folder of a kind: {@code sd}, {@code sdxl}, or one of those with signs; fails where there is none. */
  public static List<Path> folders(String kind) {
    List<Path> found = find(kind);
    if (found.isEmpty()) {
      throw new AssertionError("no fixture folder of kind '" + kind + "' under " + root());
    }
    return found;
  }

  private static List<Path> find(String kind) {
    try (Stream<Path> all = Files.walk(root(), DEPTH)) {
      return all.filter(Files::isDirectory).filter(folder -> is(folder, kind)).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The one folder of a kind; fails where there is none, or more than one. */
  public static Path folder(String kind) {
    List<Path> found = folders(kind);
    if (found.size() != 1) {
      throw new AssertionError("one fixture folder of kind '" + kind + "' is needed, found " + found);
    }
    return found.getFirst();
  }

  private static boolean is(Path folder, String kind) {
    List<String> signs = SIGNS.get(kind);
    if (signs != null) {
      return signs.stream().map(folder::resolve).allMatch(Fixtures::exists);
    }
    Path description = folder.resolve("fixture.json");
    return Files.exists(description) && kind.equals(Json.read(description).get("kind"));
  }

  /** The JSON object in {@code file}. */
  public static JsonObject json(Path file) {
    return Json.parse(text(file), file.toString());
  }

  /** Whether there is {@code file}, be it packed: the repository's copy has its largest texts and some tensors in {@code file.gz}. */
  public static boolean exists(Path file) {
    return Files.exists(file) || Files.exists(packed(file));
  }

  /** {@code file} itself, or a file of its name with what is packed in {@code file.gz}. */
  public static Path unpacked(Path file) {
    return Files.exists(file) ? file : UNPACKED.computeIfAbsent(packed(file), Fixtures::unpack);
  }

  private static Path unpack(Path packed) {
    try (InputStream in = new GZIPInputStream(Files.newInputStream(packed))) {
      String name = packed.getFileName().toString();
      Path folder = Files.createTempDirectory("unpacked");
      Path file = folder.resolve(name.substring(0, name.length() - PACKED.length()));
      folder.toFile().deleteOnExit();
      file.toFile().deleteOnExit();
      Files.copy(in, file);
      return file;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Every safetensors file of the golden data, unpacked. */
  public static List<Path> safetensors() {
    try (Stream<Path> all = Files.walk(root())) {
      return all.map(Path::toString).filter(name -> name.matches(".*\\.safetensors(\\.gz)?")).sorted()
          .map(name -> unpacked(Path.of(name.endsWith(PACKED) ? name.substring(0, name.length() - PACKED.length()) : name))).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The text of {@code file}, which may be packed. */
  public static String text(Path file) {
    Path packed = file.toString().endsWith(PACKED) ? file : packed(file);
    try (InputStream in = Files.exists(packed) ? new GZIPInputStream(Files.newInputStream(packed)) : Files.newInputStream(file)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Path packed(Path file) {
    return file.resolveSibling(file.getFileName() + PACKED);
  }

  /** Every tensor of a safetensors file, which may be packed, in its order; they belong to the innermost scope. */
  public static Map<String, Tensor> golden(Path file) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    try (SafetensorsFile source = SafetensorsFile.open(unpacked(file))) {
      for (String name : source.names()) {
        tensors.put(name, source.load(name));
      }
    }
    return tensors;
  }

  /** Asserts equal shapes and {@code max|actual - expected| <= limit}. */
  public static void closeTo(String name, Tensor actual, Tensor expected, double limit) {
    compare(name, actual, expected, limit, "abs", 1);
  }

  /** Asserts equal shapes and {@code max|actual - expected| <= limit * max|expected|}. */
  public static void relativelyCloseTo(String name, Tensor actual, Tensor expected, double limit) {
    double scale = 0;
    for (double value : expected.toDoubles()) {
      scale = Double.isFinite(value) ? Math.max(scale, Math.abs(value)) : scale;
    }
    compare(name, actual, expected, limit, "rel", scale);
  }

  /** Asserts equal shapes and equal values, NaN equal to NaN, 0 equal to -0. */
  public static void equal(String name, Tensor actual, Tensor expected) {
    compare(name, actual, expected, 0, "abs", 1);
  }

  /** The largest {@code |actual - expected| / max|expected|}; for printing. */
  public static double relativeError(Tensor actual, Tensor expected) {
    double[] a = actual.toDoubles();
    double[] b = expected.toDoubles();
    double worst = 0;
    double scale = 0;
    for (int i = 0; i < b.length; i++) {
      worst = Math.max(worst, Math.abs(a[i] - b[i]));
      scale = Math.max(scale, Math.abs(b[i]));
    }
    return worst == 0 ? 0 : worst / scale;
  }

  private static void compare(String name, Tensor actual, Tensor expected, double limit, String kind, double scale) {
    if (!actual.shape().equals(expected.shape())) {
      throw new AssertionError(name + ": shape " + actual.shape() + ", expected " + expected.shape());
    }
    double[] a = actual.toDoubles();
    double[] b = expected.toDoubles();
    double worst = -1;
    int at = 0;
    int beyond = 0;
    for (int i = 0; i < a.length; i++) {
      double error = difference(a[i], b[i]);
      beyond += error > limit * scale ? 1 : 0;
      if (error > worst) {
        worst = error;
        at = i;
      }
    }
    if (beyond > 0) {
      throw new AssertionError(String.format("%s %s: %d of %d elements differ by more than %s %.3g; the worst, at %d, is %s, "
          + "expected %s, %s %.3g", name, expected.shape(), beyond, a.length, kind, limit, at, a[at], b[at], kind,
          worst / scale));
    }
  }

  /** Infinite where only one is NaN, or infinities differ. */
  private static double difference(double a, double b) {
    if (Double.isNaN(a) || Double.isNaN(b)) {
      return Double.isNaN(a) && Double.isNaN(b) ? 0 : Double.POSITIVE_INFINITY;
    }
    return a == b ? 0 : Math.abs(a - b);
  }
}
