package org.deft4j.weights;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.ValueLayout;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What is written reads back, is byte for byte what the reference implementation writes, and appears whole or not at all. */
class SafetensorsWriterTest {
  @TempDir private Path temp;

  private List<String> left() throws IOException {
    try (Stream<Path> files = Files.list(temp)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  /** Every element type, with names that show escapes and the order, as Python's safetensors 0.8.0 wrote them. */
  @Test
  void aFileOfTheReferenceImplementationIsRewrittenByteForByte() throws IOException {
    Path original = temp.resolve("original.safetensors");
    try (InputStream in = SafetensorsWriterTest.class.getResourceAsStream("python-writer.safetensors")) {
      Files.copy(in, original);
    }
    try (SafetensorsFile file = SafetensorsFile.open(original)) {
      assertEquals(Arrays.stream(StoredType.values()).filter(type -> type.dtype().isPresent()).collect(Collectors.toSet()),
          file.entries().values().stream().map(TensorEntry::type).collect(Collectors.toSet()));
    }
    assertEquals(-1, Files.mismatch(original, rewritten(original)));
  }

  /**
   * Files of the golden data that are in the reference implementation's form (some are not: they order a type's integers
   * and floats by name, or tensors as they came) and have at most one metadata entry, whose order it leaves open.
   */
  @Test
  void goldenFilesAreRewrittenByteForByte() throws IOException {
    int compared = 0;
    for (Path original : Fixtures.safetensors()) {
      if (hasTheReferencesForm(original)) {
        assertEquals(-1, Files.mismatch(original, rewritten(original)), original.toString());
        compared++;
      }
    }
    assertTrue(compared > 10, compared + " files");
  }

  private static boolean hasTheReferencesForm(Path path) {
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      List<Map.Entry<String, TensorEntry>> entries = List.copyOf(file.entries().entrySet());
      boolean ordered = true;
      for (int i = 1; i < entries.size(); i++) {
        int types = entries.get(i).getValue().type().compareTo(entries.get(i - 1).getValue().type());
        ordered &= types < 0 || (types == 0 && entries.get(i).getKey().compareTo(entries.get(i - 1).getKey()) > 0);
      }
      return ordered && file.metadata().size() <= 1;
    }
  }

  private Path rewritten(Path original) {
    Path copy = temp.resolve("copy.safetensors");
    try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(original)) {
      SafetensorsWriter.write(copy, Fixtures.golden(original), file.metadata());
    }
    return copy;
  }

  @Test
  void aChannelIsGivenTheBytesOfTheFile() throws IOException {
    Path file = temp.resolve("model.safetensors");
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = Map.of("b", Tensor.of(new float[] {1, 2, 3}), "a", Tensor.zeros(DType.F16, 3, 5),
          "t", Tensor.of(new float[] {1, 2, 3, 4, 5, 6}).reshape(2, 3).t());
      ByteArrayOutputStream bytes = new ByteArrayOutputStream();
      SafetensorsWriter.write(Channels.newChannel(bytes), tensors, Map.of("k", "v"));
      SafetensorsWriter.write(file, tensors, Map.of("k", "v"));
      assertArrayEquals(Files.readAllBytes(file), bytes.toByteArray());
      IllegalArgumentException error = assertThrows(IllegalArgumentException.class,
          () -> SafetensorsWriter.write(Channels.newChannel(bytes), Map.of("__metadata__", tensors.get("a")), Map.of()));
      assertEquals("safetensors: a tensor cannot be named __metadata__, the format reserves it", error.getMessage());
    }
  }

  @Test
  void anEmptyFileAndOddNamesReadBack() throws IOException {
    Path file = temp.resolve("odd.safetensors");
    SafetensorsWriter.write(file, Map.of(), Map.of());
    assertEquals("\10\0\0\0\0\0\0\0{}      ", Files.readString(file));
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      List<String> names = List.of("", "../../etc/x", "a\0b", "quote\"back\\slash", "tab\tnewline\n\u001f\u007f", "\u00E9\u20AC",
          "\uD83D\uDE00", "\uFFFD", "/");
      names.forEach(name -> tensors.put(name, Tensor.of(new float[] {names.indexOf(name)})));
      Map<String, String> metadata = new LinkedHashMap<>();
      metadata.put("z", "1\n\"");
      metadata.put("a", "\uD83D\uDE00");
      SafetensorsWriter.write(file, tensors, metadata);
      try (SafetensorsFile read = SafetensorsFile.open(file)) {
        assertEquals(metadata, read.metadata());
        assertEquals(List.of("z", "a"), List.copyOf(read.metadata().keySet()));
        assertEquals(java.util.Set.copyOf(names), read.names());
        assertEquals(List.of("\uFFFD", "\uD83D\uDE00"), List.copyOf(read.names()).subList(7, 9), "the order of the bytes");
        names.forEach(name -> assertEquals(names.indexOf(name), read.load(name).item()));
      }
    }
    assertEquals(List.of("odd.safetensors"), left());
  }

  @Test
  void tensorsOfWiderTypesComeFirstAndNamesAreSortedWithinAType() {
    Path file = temp.resolve("order.safetensors");
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (DType type : DType.values()) {
        tensors.put("b." + type, Tensor.empty(Device.CPU, type, Shape.of(1)));
        tensors.put("a." + type, Tensor.empty(Device.CPU, type, Shape.of(2)));
      }
      SafetensorsWriter.write(file, tensors, Map.of());
      try (SafetensorsFile read = SafetensorsFile.open(file)) {
        assertEquals(List.of("U64", "I64", "F64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16", "F8_E4M3", "F8_E5M2", "I8", "U8",
            "BOOL"), read.names().stream().filter(name -> name.startsWith("a.")).map(name -> name.substring(2)).toList());
        read.names().forEach(name -> assertEquals(0, read.entries().get(name).begin() % read.dtype(name).bytes(), name));
      }
    }
  }

  @Test
  void viewsAreWrittenInRowMajorOrder() {
    Path file = temp.resolve("view.safetensors");
    try (Scope _ = Scope.open()) {
      Tensor matrix = Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 2, 3);
      SafetensorsWriter.write(file, Map.of("t", matrix.t(), "column", matrix.slice(1, 1, 2), "row", matrix.slice(0, 1, 2)), Map.of());
      try (SafetensorsFile read = SafetensorsFile.open(file)) {
        assertArrayEquals(new float[] {1, 4, 2, 5, 3, 6}, read.load("t").toFloats());
        assertArrayEquals(new float[] {2, 5}, read.load("column").toFloats());
        assertArrayEquals(new float[] {4, 5, 6}, read.load("row").toFloats());
      }
    }
  }

  @Test
  void savingOntoTheFileThatIsBeingReadIsRight() {
    Path file = temp.resolve("model.safetensors");
    try (Scope _ = Scope.open()) {
      SafetensorsWriter.write(file, Map.of("a", Tensor.of(new float[] {1, 2}), "b", Tensor.of(new float[] {3})), Map.of());
      try (SafetensorsFile read = SafetensorsFile.open(file)) {
        SafetensorsWriter.write(file, Map.of("b", read.load("b"), "c", Tensor.of(new float[] {4})), Map.of("new", "yes"));
        assertArrayEquals(new float[] {1, 2}, read.load("a").toFloats(), "the open file is still the old one");
      }
      try (SafetensorsFile read = SafetensorsFile.open(file)) {
        assertEquals(List.of("b", "c"), List.copyOf(read.names()));
        assertEquals(3, read.load("b").item());
        assertEquals(Map.of("new", "yes"), read.metadata());
      }
    }
  }

  @Test
  void tensorsMadeOneByOneGiveTheSameFileAndAreNotHeld() throws IOException {
    Path whole = temp.resolve("whole.safetensors");
    Path stream = temp.resolve("stream.safetensors");
    long bytes = 1 << 16;
    Map<String, TensorSpec> specs = new LinkedHashMap<>();
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      for (int i = 0; i < 8; i++) {
        tensors.put("t" + i, Tensor.full(DType.F32, i, bytes / 4));
        specs.put("t" + i, TensorSpec.of(tensors.get("t" + i)));
      }
      SafetensorsWriter.write(whole, tensors, Map.of("k", "v"));
    }
    MemoryPool.cpu().resetPeak();
    long before = MemoryPool.cpu().liveBytes();
    SafetensorsWriter.write(stream, specs, name -> Tensor.full(DType.F32, name.charAt(1) - '0', bytes / 4), Map.of("k", "v"));
    assertEquals(bytes, MemoryPool.cpu().peakLiveBytes() - before);
    assertArrayEquals(Files.readAllBytes(whole), Files.readAllBytes(stream));
    assertTrue(assertThrows(IllegalArgumentException.class,
        () -> SafetensorsWriter.write(temp.resolve("bad.safetensors"), specs, _ -> Tensor.full(DType.F16, 0, 3), Map.of()))
        .getMessage().startsWith("tensor 't0' was announced as F32[16384] and is "));
    assertEquals(List.of("stream.safetensors", "whole.safetensors"), left());
  }

  @Test
  void aFailureLeavesTheOldFileAndNothingElse() throws IOException {
    Path file = temp.resolve("model.safetensors");
    try (Scope _ = Scope.open()) {
      Tensor good = Tensor.of(new float[] {1});
      SafetensorsWriter.write(file, Map.of("a", good), Map.of());
      byte[] before = Files.readAllBytes(file);
      Tensor closed = Tensor.of(new float[] {2});
      closed.close();
      assertThrows(RuntimeException.class, () -> SafetensorsWriter.write(file, Map.of("a", good, "b", closed), Map.of()));
      assertThrows(IllegalArgumentException.class, () -> SafetensorsWriter.write(file, Map.of("__metadata__", good), Map.of()));
      assertThrows(IllegalArgumentException.class, () -> SafetensorsWriter.write(file, Map.of("\uD800", good), Map.of()));
      assertArrayEquals(before, Files.readAllBytes(file));
      assertEquals(List.of("model.safetensors"), left());
      Path nowhere = temp.resolve("no/such/model.safetensors");
      assertTrue(assertThrows(UncheckedIOException.class, () -> SafetensorsWriter.write(nowhere, Map.of("a", good), Map.of()))
          .getMessage().contains("there is no such folder to write model.safetensors to"));
      assertTrue(assertThrows(UncheckedIOException.class, () -> SafetensorsWriter.write(temp, Map.of("a", good), Map.of()))
          .getMessage().contains("is a folder"));
      assertEquals(List.of("model.safetensors"), left());
    }
  }

  @Test
  void anExistingFileKeepsItsRightsAndALinkStays() throws IOException {
    Path file = temp.resolve("model.safetensors");
    Path link = temp.resolve("link.safetensors");
    AtomicFile.write(file, new byte[] {1});
    Files.createSymbolicLink(link, Path.of("model.safetensors"));
    for (String rights : List.of("rw-r-----", "rw-rw-rw-", "rw-------")) {
      Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(rights));
      AtomicFile.write(link, "new".getBytes(StandardCharsets.UTF_8));
      assertEquals(rights, PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
    }
    assertTrue(Files.isSymbolicLink(link));
    assertEquals("new", Files.readString(file));
    assertEquals(List.of("link.safetensors", "model.safetensors"), left());
  }

  /** The mask belongs to the process, so a process of its own writes the file. */
  @Test
  void aNewFileHasTheRightsThatTheMaskGives() throws Exception {
    for (Map.Entry<String, String> mask : Map.of("022", "rw-r--r--", "077", "rw-------", "002", "rw-rw-r--").entrySet()) {
      Path file = temp.resolve("masked" + mask.getKey());
      String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
      Process process = new ProcessBuilder("sh", "-c", "umask " + mask.getKey() + " && exec \"$@\"", "sh", java, "-Xmx64m", "-cp",
          System.getProperty("java.class.path"), Masked.class.getName(), file.toString()).inheritIO().start();
      assertEquals(0, process.waitFor());
      assertEquals(mask.getValue(), PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
    }
  }

  /** Writes the file it is given. */
  static final class Masked {
    private Masked() {}

    public static void main(String[] args) throws IOException {
      AtomicFile.write(Path.of(args[0]), new byte[] {1, 2, 3});
    }
  }

  @Test
  void everyBitPatternSurvives() {
    Path file = temp.resolve("bits.safetensors");
    try (Scope _ = Scope.open()) {
      for (DType type : DType.values()) {
        if (type != DType.BOOL) {
          Tensor tensor = Tensor.empty(Device.CPU, type, Shape.of(65536));
          byte[] bytes = new byte[65536 * type.bytes()];
          new java.util.Random(7).nextBytes(bytes);
          tensor.bytes().copyFrom(java.lang.foreign.MemorySegment.ofArray(bytes));
          SafetensorsWriter.write(file, Map.of("x", tensor), Map.of());
          try (SafetensorsFile read = SafetensorsFile.open(file)) {
            assertArrayEquals(bytes, read.load("x").bytes().toArray(ValueLayout.JAVA_BYTE), type.toString());
          }
        }
      }
    }
  }
}
