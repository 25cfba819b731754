package org.deft4j.weights;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;
import java.util.Map;
import org.deft4j.tensor.ClosedException;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.deft4j.weights.Crafted.entry;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Data is read as it was written, from wherever it lies, and a file that changes under the reader is no catastrophe. */
class SafetensorsFileTest {
  @TempDir private Path temp;

  @Test
  void everyElementTypeHasTheValuesThatPyTorchWrote() {
    for (Path folder : Fixtures.folders("ops")) {
      try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(folder.resolve("dtypes.safetensors"))) {
        for (String name : file.names()) {
          Tensor tensor = file.load(name);
          assertEquals(file.dtype(name), tensor.dtype());
          assertEquals(file.shape(name), tensor.shape());
          assertEquals(tensor.elementCount(), tensor.toDoubles().length);
        }
        assertTrue(file.names().stream().anyMatch(name -> file.shape(name).rank() == 0), "a scalar");
        assertTrue(file.names().stream().anyMatch(name -> file.shape(name).elementCount() == 0), "an empty tensor");
      }
    }
  }

  /** One, two and four bytes before an F32, F16 and BF16 tensor: the same values from every remainder modulo 8. */
  @Test
  void valuesDoNotDependOnTheByteTheyStartAt() {
    float[] values = {1, -2.5f, 65504, 0, -0.0f, 3.140625f, Float.POSITIVE_INFINITY};
    for (DType type : new DType[] {DType.F64, DType.F32, DType.F16, DType.BF16, DType.I64}) {
      byte[] payload = payload(type, values);
      for (int shift = 0; shift < 8; shift++) {
        for (int padding = 0; padding < 2; padding++) {
          String header = "{" + entry("s", "U8", "[" + shift + "]", 0, shift) + ","
              + entry("x", type.name(), "[" + values.length + "]", shift, shift + payload.length) + "}" + " ".repeat(padding);
          byte[] data = new byte[shift + payload.length];
          System.arraycopy(payload, 0, data, shift, payload.length);
          Path path = Crafted.write(temp.resolve("shifted"), Crafted.file(header.getBytes(StandardCharsets.UTF_8), data));
          try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(path)) {
            assertArrayEquals(payload, file.load("x").bytes().toArray(ValueLayout.JAVA_BYTE), type + " at " + shift);
          }
        }
      }
    }
  }

  private static byte[] payload(DType type, float[] values) {
    try (Scope _ = Scope.open()) {
      float[] finite = type.isInteger() ? new float[] {1, -2, 3, 0, 5, 6, 7} : values;
      return Tensor.of(finite).cast(type).bytes().toArray(ValueLayout.JAVA_BYTE);
    }
  }

  @Test
  void aTensorBelongsToTheInnermostScopeAndBearsItsName() {
    Path path = Crafted.write(temp.resolve("x"), Crafted.file("{" + entry("a.weight", "U8", "[4]", 0, 4) + "}", 4));
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      Tensor tensor;
      try (Scope _ = Scope.open()) {
        tensor = file.load("a.weight");
        assertArrayEquals(new long[] {0, 1, 2, 3}, tensor.toLongs());
      }
      assertTrue(assertThrows(ClosedException.class, tensor::bytes).getMessage().contains("a.weight"));
    }
  }

  @Test
  void aFileThatIsCutOffWhileOpenGivesAnErrorAndNoMemoryIsLost() throws IOException {
    int size = 40 << 20;
    Path path = temp.resolve("shrinks");
    Crafted.sparse(path, "{" + entry("big", "U8", "[" + size + "]", 0, size) + "}", size);
    try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(path)) {
      file.load("big").close();
      long live = MemoryPool.cpu().liveBytes();
      try (FileChannel other = FileChannel.open(path, StandardOpenOption.WRITE)) {
        other.truncate(20 << 20);
      }
      FormatException error = assertThrows(FormatException.class, () -> file.load("big"));
      assertEquals(path + ": byte " + (20 << 20) + ": tensor 'big': the file ends here; it was cut off while it was read",
          error.getMessage());
      assertEquals("big", error.tensor());
      assertEquals(live, MemoryPool.cpu().liveBytes());
    }
  }

  @Test
  void aFileThatIsWrittenToWhileOpenIsRefusedAndOneThatIsReplacedIsRead() throws IOException {
    String header = "{" + entry("a", "U8", "[4]", 0, 4) + "}";
    Path path = Crafted.write(temp.resolve("model"), Crafted.file(header, 4));
    try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(path)) {
      long live = MemoryPool.cpu().liveBytes();
      try (FileChannel other = FileChannel.open(path, StandardOpenOption.WRITE)) {
        other.write(ByteBuffer.wrap(new byte[] {9}), other.size() - 1);
      }
      Files.setLastModifiedTime(path, FileTime.fromMillis(Files.getLastModifiedTime(path).toMillis() + 1000));
      assertEquals(path + ": tensor 'a': the file was written to while it was read; start again when that is over",
          assertThrows(FormatException.class, () -> file.load("a")).getMessage());
      assertEquals(live, MemoryPool.cpu().liveBytes());
    }
    try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(path)) {
      Path other = Crafted.write(temp.resolve("other"), Crafted.file(header, 4));
      Files.move(other, path, StandardCopyOption.REPLACE_EXISTING);
      assertArrayEquals(new long[] {0, 1, 2, 9}, file.load("a").toLongs(), "what was opened is read to its end");
      Files.delete(path);
      assertArrayEquals(new long[] {0, 1, 2, 9}, file.load("a").toLongs());
    }
  }

  @Test
  void filesLongerThan2GiBAreReadAtTheirEnd() throws IOException {
    long big = 3L << 30;
    Path path = temp.resolve("large");
    Crafted.sparse(path, "{" + entry("big", "BF16", "[" + big / 2 + "]", 0, big) + "," + entry("small", "U8", "[3]", big, big + 3) + "}",
        big + 3);
    try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(path)) {
      assertEquals(Shape.of(big / 2), file.shape("big"));
      assertArrayEquals(new long[] {0, 0, 42}, file.load("small").toLongs());
      assertArrayEquals(new double[] {0, 0}, file.loadRows("big", big / 2 - 2, big / 2, DType.BF16).toDoubles());
    } finally {
      Files.delete(path);
    }
  }

  @Test
  void rowsAreReadAlone() {
    Path path = Crafted.write(temp.resolve("rows"), Crafted.file("{" + entry("m", "U8", "[4,2]", 0, 8) + "}", 8));
    try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(path)) {
      Tensor rows = file.loadRows("m", 1, 3, DType.U8);
      assertEquals(Shape.of(2, 2), rows.shape());
      assertArrayEquals(new long[] {2, 3, 4, 5}, rows.toLongs());
    }
  }

  @Test
  void whatIsNoFileIsSaidInWords() {
    assertEquals(temp.resolve("none") + ": there is no such file",
        assertThrows(FormatException.class, () -> SafetensorsFile.open(temp.resolve("none"))).getMessage());
    assertEquals(temp + ": is a folder; a file is needed",
        assertThrows(FormatException.class, () -> SafetensorsFile.open(temp)).getMessage());
  }

  @Test
  void aHeaderOf100MegabytesInNineBytesIsRefusedBeforeAnythingOfThatSizeIsAllocated() {
    byte[] file = ByteBuffer.allocate(9).order(ByteOrder.LITTLE_ENDIAN).putLong(100_000_000).array();
    Path path = Crafted.write(temp.resolve("liar"), file);
    long before = allocated();
    for (int i = 0; i < 10; i++) {
      assertThrows(FormatException.class, () -> SafetensorsFile.open(path));
    }
    assertTrue(allocated() - before < 10_000_000, "allocated " + (allocated() - before) + " bytes");
  }

  private static long allocated() {
    var threads = (com.sun.management.ThreadMXBean) java.lang.management.ManagementFactory.getThreadMXBean();
    return threads.getCurrentThreadAllocatedBytes();
  }

  @Test
  void everyTypeOfTensorsCanBeStoredAndEveryOtherTypeIsKnownByName() {
    for (DType type : DType.values()) {
      assertEquals(type, StoredType.of(type).dtype().orElseThrow());
      assertEquals(8 * type.bytes(), StoredType.of(type).bits());
    }
    assertEquals(22, StoredType.values().length);
    Map<String, Integer> bits = Map.of("F4", 4, "F6_E2M3", 6, "F6_E3M2", 6, "F8_E8M0", 8, "F8_E4M3FNUZ", 8, "F8_E5M2FNUZ", 8,
        "C64", 64);
    assertEquals(bits.keySet(), java.util.Set.copyOf(Arrays.stream(StoredType.values())
        .filter(type -> type.dtype().isEmpty()).map(Enum::name).toList()));
    bits.forEach((name, expected) -> assertEquals(expected, StoredType.valueOf(name).bits()));
    assertFalse(Arrays.stream(StoredType.values()).anyMatch(type -> StoredType.named(type.name()) != type));
  }
}
