package org.deft4j.weights;

import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.tensor.ClosedException;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Rehearsal;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Files that torch 1.13 and 2.13 wrote have the values that went into them, whatever type, view and protocol they are in. */
class TorchFileTest {
  /** What the mixed files hold: type, shape and elements in row-major order. */
  private record Expected(DType dtype, Shape shape, double... values) {}

  private static final Map<String, Expected> MIXED = new LinkedHashMap<>();

  static {
    MIXED.put("attn.P", new Expected(DType.BF16, Shape.of(4, 2), -1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75));
    MIXED.put("attn.R_new", new Expected(DType.F32, Shape.of(2, 3), 0, 0.125, 0.25, 0.375, 0.5, 0.625));
    MIXED.put("attn.gate", new Expected(DType.F32, Shape.of(1), 1));
    MIXED.put("attn.Q_P_cached", new Expected(DType.BF16, Shape.of(4, 2), 0, 3, 6, 9, 12, 15, 18, 21));
    MIXED.put("half", new Expected(DType.F16, Shape.of(4), -1, -0.5, 0, 0.5));
    MIXED.put("double", new Expected(DType.F64, Shape.of(2), 1.0 / 3, -2));
    MIXED.put("long", new Expected(DType.I64, Shape.of(2), -1, 1L << 40));
    MIXED.put("int", new Expected(DType.I32, Shape.of(2), Integer.MIN_VALUE, 7));
    MIXED.put("byte", new Expected(DType.U8, Shape.of(2), 0, 255));
    MIXED.put("bool", new Expected(DType.BOOL, Shape.of(3), 1, 0, 1));
    MIXED.put("scalar", new Expected(DType.I64, Shape.of(), 42));
    MIXED.put("empty", new Expected(DType.F32, Shape.of(0, 3)));
    MIXED.put("transposed", new Expected(DType.F32, Shape.of(3, 2), 0, 3, 1, 4, 2, 5));
    MIXED.put("offset", new Expected(DType.F32, Shape.of(4), 3, 4, 5, 6));
    MIXED.put("shared.rows", new Expected(DType.F32, Shape.of(2, 6), 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17));
    MIXED.put("shared.columns", new Expected(DType.F32, Shape.of(4, 3), 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23));
    MIXED.put("permuted", new Expected(DType.F16, Shape.of(4, 2, 3), 0, 4, 8, 12, 16, 20, 1, 5, 9, 13, 17, 21, 2, 6, 10, 14, 18, 22,
        3, 7, 11, 15, 19, 23));
    MIXED.put("parameter", new Expected(DType.F32, Shape.of(1, 2), 1.5, -2.5));
  }

  @TempDir private Path temp;

  static Path golden(String name) {
    try {
      return Path.of(TorchFileTest.class.getResource("torch/" + name).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"mixed-1.13.pt", "mixed-2.13.pt"})
  void everyTypeAndViewHasTheValuesThatTorchSaved(String file) {
    try (Scope _ = Scope.open(); TorchFile torch = TorchFile.open(golden(file))) {
      assertEquals(List.copyOf(MIXED.keySet()), List.copyOf(torch.names()));
      assertEquals(golden(file).toString(), torch.source());
      assertEquals(Map.of(), torch.metadata());
      MIXED.forEach((name, expected) -> {
        Tensor tensor = torch.load(name);
        assertEquals(expected.dtype, torch.dtype(name), name);
        assertEquals(expected.dtype, tensor.dtype(), name);
        assertEquals(expected.shape, torch.shape(name), name);
        assertEquals(expected.shape, tensor.shape(), name);
        assertTrue(tensor.isContiguous(), name);
        assertArrayEquals(expected.values, tensor.toDoubles(), name);
      });
    }
  }

  /** With {@code OrderedDict}, its {@code _metadata}, and a parameter. */
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 5})
  void everyProtocolSaysTheSame(int protocol) {
    try (Scope _ = Scope.open(); TorchFile torch = TorchFile.open(golden("ordered-" + protocol + ".pt"))) {
      assertEquals(List.of("attn.P", "shared.rows", "shared.columns", "parameter"), List.copyOf(torch.names()));
      torch.names().forEach(name -> assertArrayEquals(MIXED.get(name).values, torch.load(name).toDoubles(), name));
    }
  }

  @Test
  void whatIsReadInAnotherTypeIsConverted() {
    try (Scope _ = Scope.open(); TorchFile torch = TorchFile.open(golden("mixed-1.13.pt"))) {
      for (String name : List.of("attn.P", "half", "byte", "transposed", "shared.columns", "permuted", "scalar", "empty")) {
        Tensor tensor = torch.load(name, DType.F64);
        assertEquals(DType.F64, tensor.dtype());
        assertEquals(MIXED.get(name).shape, tensor.shape());
        assertArrayEquals(MIXED.get(name).values, tensor.toDoubles(), name);
      }
    }
  }

  @Test
  void aValueBeyondTheRangeOfTheTypeIsRefused() {
    Path path = temp.resolve("range.pt");
    try (Scope _ = Scope.open()) {
      TorchFileWriter.write(path, Map.of("big", Tensor.of(new float[] {1, 70000})));
      try (TorchFile torch = TorchFile.open(path)) {
        assertEquals(path + ": tensor 'big': holds 70000.0, beyond the range of F16; load it as BF16 or F32",
            assertThrows(FormatException.class, () -> torch.load("big", DType.F16)).getMessage());
      }
    }
  }

  @Test
  void dataLongerThanOneReadIsWholeInBothTypes() {
    int count = 3_000_001;
    Path path = temp.resolve("long.pt");
    try (Scope _ = Scope.open()) {
      float[] values = new float[count];
      for (int i = 0; i < count; i++) {
        values[i] = i;
      }
      TorchFileWriter.write(path, Map.of("x", Tensor.of(values)));
      try (TorchFile torch = TorchFile.open(path)) {
        assertArrayEquals(values, torch.load("x").toFloats());
        assertArrayEquals(values, torch.load("x", DType.F64).toFloats());
      }
    }
  }

  @Test
  void aTensorBelongsToTheInnermostScopeAndNothingElseIsLeft() {
    try (TorchFile torch = TorchFile.open(golden("mixed-1.13.pt"))) {
      long live = MemoryPool.cpu().liveBytes();
      Tensor tensor;
      try (Scope _ = Scope.open()) {
        tensor = torch.load("shared.columns", DType.F64);
        assertTrue(MemoryPool.cpu().liveBytes() - live < 256, "the columns alone");
      }
      assertTrue(assertThrows(ClosedException.class, tensor::bytes).getMessage().contains("shared.columns"));
      assertEquals(live, MemoryPool.cpu().liveBytes());
    }
  }

  @Test
  void aRehearsalReadsNothing() {
    byte[] file = CraftedTorch.file();
    Path path = Crafted.write(temp.resolve("a.pt"), file);
    try (TorchFile torch = TorchFile.open(path)) {
      Crafted.write(path, CraftedTorch.with(file, CraftedTorch.local(file, "archive/data/0") + 45, 1, 1));
      try (Rehearsal _ = Rehearsal.open(); Scope _ = Scope.open()) {
        assertEquals(Shape.of(2, 3), torch.load("a").shape());
        assertEquals(DType.F64, torch.load("a", DType.F64).dtype());
      }
    }
    try (Rehearsal _ = Rehearsal.open(); Scope _ = Scope.open(); TorchFile torch = TorchFile.open(golden("mixed-1.13.pt"))) {
      torch.names().forEach(name -> assertEquals(MIXED.get(name).shape, torch.load(name, DType.F64).shape()));
    }
  }

  @Test
  void aNameThatIsNotThereIsAnsweredWithTheNearest() {
    try (TorchFile torch = TorchFile.open(golden("mixed-1.13.pt"))) {
      assertEquals(golden("mixed-1.13.pt") + ": has no tensor 'attn.Q'; the nearest name is 'attn.P'",
          assertThrows(FormatException.class, () -> torch.load("attn.Q")).getMessage());
    }
  }

  @Test
  void aFileThatChangesWhileItIsOpenGivesAnError() throws IOException {
    byte[] bytes = CraftedTorch.file();
    int middle = CraftedTorch.local(bytes, "archive/data/0") + StoredZip.LOCAL_BYTES + "archive/data/0".length() + 10;
    Path path = Crafted.write(temp.resolve("a.pt"), bytes);
    try (Scope _ = Scope.open(); TorchFile torch = TorchFile.open(path)) {
      assertArrayEquals(new float[6], torch.load("a").toFloats());
      long live = MemoryPool.cpu().liveBytes();
      Files.setLastModifiedTime(path, FileTime.fromMillis(1000));
      assertEquals(path + ": tensor 'a': the file was written to while it was read; start again when that is over",
          assertThrows(FormatException.class, () -> torch.load("a")).getMessage());
      try (FileChannel other = FileChannel.open(path, StandardOpenOption.WRITE)) {
        other.truncate(middle);
      }
      assertEquals(path + ": byte " + middle + ": tensor 'a': the file ends here; it was cut off while it was read",
          assertThrows(FormatException.class, () -> torch.load("a")).getMessage());
      assertEquals(live, MemoryPool.cpu().liveBytes());
    }
  }

  @Test
  void damagedDataIsFoundWhenItIsFirstReadAndChecksumsMayBeMissing() {
    byte[] file = CraftedTorch.file();
    int data = CraftedTorch.local(file, "archive/data/0") + StoredZip.LOCAL_BYTES + "archive/data/0".length();
    Path path = Crafted.write(temp.resolve("damaged.pt"), CraftedTorch.with(file, data + 5, 1, 1));
    try (Scope _ = Scope.open(); TorchFile torch = TorchFile.open(path)) {
      String message = assertThrows(FormatException.class, () -> torch.load("a")).getMessage();
      assertTrue(message.startsWith(path + ": byte " + data + ": tensor 'a': the entry 'archive/data/0' is damaged: its checksum is "),
          message);
    }
    Map<String, byte[]> entries = CraftedTorch.entries(CraftedTorch.pickle(CraftedTorch.dict(CraftedTorch.str("a"),
        CraftedTorch.TENSOR)));
    entries.put("archive/data/0", ByteBuffer.allocate(24).order(ByteOrder.LITTLE_ENDIAN).putFloat(20, 7).array());
    Path unchecked = Crafted.write(temp.resolve("unchecked.pt"), CraftedTorch.zip(entries, false));
    try (Scope _ = Scope.open(); TorchFile torch = TorchFile.open(unchecked)) {
      assertArrayEquals(new float[] {0, 0, 0, 0, 0, 7}, torch.load("a").toFloats());
    }
  }

  @Test
  void anEmptyDictAndAGpuTensorAreRead() {
    Path empty = Crafted.write(temp.resolve("empty.pt"), CraftedTorch.file(CraftedTorch.pickle("}")));
    try (TorchFile torch = TorchFile.open(empty)) {
      assertTrue(torch.names().isEmpty());
      assertTrue(assertThrows(FormatException.class, () -> torch.load("a")).getMessage().endsWith("has no tensor 'a'; it is empty"));
    }
    String storage = CraftedTorch.storage("FloatStorage", "0", "cuda:0", 6);
    Path cuda = Crafted.write(temp.resolve("cuda.pt"), CraftedTorch.file(CraftedTorch.pickle(CraftedTorch.dict(CraftedTorch.str("a"),
        CraftedTorch.tensor(storage, CraftedTorch.number(0), CraftedTorch.numbers(6), CraftedTorch.numbers(1))))));
    try (Scope _ = Scope.open(); TorchFile torch = TorchFile.open(cuda)) {
      assertArrayEquals(new float[6], torch.load("a").toFloats());
    }
  }

  /** Of 6 GiB, of which the disk holds the ends: torch writes 64-bit fields there. */
  @Test
  void filesLongerThan4GiBAreReadAtTheirEnd() throws IOException {
    long bytes = 6L << 30;
    Path path = temp.resolve("large.pt");
    CraftedTorch.sparse(path, bytes);
    try (Scope _ = Scope.open(); TorchFile torch = TorchFile.open(path)) {
      assertEquals(Shape.of(bytes), torch.shape("big"));
      assertArrayEquals(new byte[] {1, 2, 3, 4}, torch.load("small").bytes().toArray(ValueLayout.JAVA_BYTE));
    } finally {
      Files.delete(path);
    }
  }
}
