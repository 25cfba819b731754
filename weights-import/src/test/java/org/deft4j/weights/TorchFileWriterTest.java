package org.deft4j.weights;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What is written is what torch writes (and torch 1.13 and 2.13 have read {@code java-writer.pt}), and reads back bit for bit. */
class TorchFileWriterTest {
  @TempDir private Path temp;

  private static byte[] entry(Path file, String name) throws IOException {
    try (ZipFile zip = new ZipFile(file.toFile())) {
      return zip.getInputStream(zip.getEntry(name)).readAllBytes();
    }
  }

  /** Types, ranks, integers of one, two, four and five bytes, more than 256 notes, a name beyond ASCII. */
  @Test
  void thePickleIsThatOfTorchByteForByte() throws IOException {
    Path copy = temp.resolve("copy.pt");
    Path plain = TorchFileTest.golden("plain.pt");
    try (Scope _ = Scope.open(); TorchFile file = TorchFile.open(plain)) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      file.names().forEach(name -> tensors.put(name, file.load(name)));
      TorchFileWriter.write(copy, tensors);
      assertEquals(28, tensors.size());
    }
    assertArrayEquals(entry(plain, "plain/data.pkl"), entry(copy, "archive/data.pkl"));
    for (int i = 0; i < 28; i++) {
      assertArrayEquals(entry(plain, "plain/data/" + i), entry(copy, "archive/data/" + i));
    }
    assertArrayEquals(entry(plain, "plain/version"), entry(copy, "archive/version"));
    assertEquals("little", new String(entry(copy, "archive/byteorder"), StandardCharsets.US_ASCII));
  }

  static Map<String, Tensor> mixed() {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    Tensor matrix = Tensor.of(new float[] {1, -2.5f, 3, 0, 5, 6}, 2, 3);
    tensors.put("unet.to_q.lora_layer.P", matrix);
    tensors.put("half", matrix.cast(DType.F16));
    tensors.put("bfloat", matrix.cast(DType.BF16));
    tensors.put("transposed", matrix.t());
    tensors.put("long", Tensor.of(new long[] {-1, 1L << 40}));
    tensors.put("scalar", Tensor.scalar(DType.F32, 7));
    tensors.put("empty", Tensor.zeros(DType.BF16, 0, 4));
    tensors.put("int", Tensor.of(new int[] {Integer.MIN_VALUE}));
    tensors.put("double", Tensor.of(new double[] {1.0 / 3}));
    tensors.put("byte", Tensor.of(new float[] {0, 255}).cast(DType.U8));
    tensors.put("bool", Tensor.of(new float[] {1, 2}).less(Tensor.of(new float[] {2, 1})));
    return tensors;
  }

  @Test
  void theSameTensorsGiveTheSameBytesWhateverTheFileIsCalled() throws IOException {
    for (String name : List.of("a.pt", "knowledge_injection_state.bin")) {
      Path file = temp.resolve(name);
      try (Scope _ = Scope.open()) {
        TorchFileWriter.write(file, mixed());
      }
      assertArrayEquals(Files.readAllBytes(TorchFileTest.golden("java-writer.pt")), Files.readAllBytes(file));
    }
  }

  @Test
  void everythingReadsBack() {
    Path path = temp.resolve("a.pt");
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = mixed();
      TorchFileWriter.write(path, tensors);
      try (TorchFile file = TorchFile.open(path)) {
        assertEquals(List.copyOf(tensors.keySet()), List.copyOf(file.names()));
        tensors.forEach((name, tensor) -> {
          assertEquals(TensorSpec.of(tensor), TensorSpec.of(file.load(name)), name);
          assertArrayEquals(tensor.toDoubles(), file.load(name).toDoubles(), name);
        });
      }
    }
  }

  /** Checked with torch.load: numbers of every length, both truths, nothing, dicts of none, one and more than a thousand entries. */
  @Test
  void plainValues() throws IOException {
    Path file = temp.resolve("config.bin");
    TorchFileWriter.writePlain(file, plain());
    assertArrayEquals(Files.readAllBytes(TorchFileTest.golden("java-writer-plain.bin")), Files.readAllBytes(file));
    assertThrows(FormatException.class, () -> TorchFile.open(file).close());
    assertThrows(IllegalArgumentException.class, () -> TorchFileWriter.writePlain(file, Map.of("x", 1f)));
  }

  static Map<String, Object> plain() {
    Map<String, Object> layer = new LinkedHashMap<>();
    List.of(0, 255, 256, 65535, 65536, Integer.MAX_VALUE, -1, Integer.MIN_VALUE).forEach(number -> layer.put("n" + number, number));
    List.of(1L << 40, -1L, -1L << 40).forEach(number -> layer.put("l" + number, number));
    layer.put("half", 0.5);
    layer.put("third", -1.0 / 3);
    layer.put("yes", true);
    layer.put("no", false);
    layer.put("none", null);
    layer.put("text", "qr \u00e9");
    layer.put("empty", Map.of());
    layer.put("names", List.of("qkv_proj", "o_proj"));
    layer.put("nothing", List.of());
    Map<String, Object> many = new LinkedHashMap<>();
    IntStream.range(0, 1001).forEach(i -> many.put("k" + i, i));
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("layer_configs", Map.of("llm.layers.0", layer));
    all.put("many", many);
    return all;
  }

  @Test
  void everyBitPatternSurvives() {
    Path path = temp.resolve("bits.pt");
    for (DType type : List.of(DType.F64, DType.F32, DType.F16, DType.BF16, DType.I64, DType.I32, DType.U8)) {
      byte[] bytes = new byte[4096 * type.bytes()];
      new Random(7).nextBytes(bytes);
      try (Scope _ = Scope.open()) {
        Tensor tensor = Tensor.empty(Device.CPU, type, Shape.of(4096));
        tensor.bytes().copyFrom(MemorySegment.ofArray(bytes));
        TorchFileWriter.write(path, Map.of("x", tensor));
        try (TorchFile file = TorchFile.open(path)) {
          assertArrayEquals(bytes, file.load("x").bytes().toArray(ValueLayout.JAVA_BYTE), type.toString());
        }
      }
    }
  }

  /** CPython adds a thousand entries to a dict at once. */
  @Test
  void anyNumberOfTensorsReadsBack() {
    Path path = temp.resolve("many.pt");
    for (int count : new int[] {0, 1, 2, 999, 1000, 1001, 2000}) {
      try (Scope _ = Scope.open()) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        IntStream.range(0, count).forEach(i -> tensors.put("t" + i, Tensor.scalar(DType.F32, i)));
        TorchFileWriter.write(path, tensors);
        try (TorchFile file = TorchFile.open(path)) {
          assertEquals(List.copyOf(tensors.keySet()), List.copyOf(file.names()));
          file.names().forEach(name -> assertEquals(tensors.get(name).item(), file.load(name).item()));
        }
      }
    }
  }

  @Test
  void otherZipReadersFindTheEntriesAndDataIsAligned() throws IOException {
    Path path = temp.resolve("a.pt");
    try (Scope _ = Scope.open()) {
      TorchFileWriter.write(path, mixed());
    }
    try (ZipFile zip = new ZipFile(path.toFile()); FileBytes file = FileBytes.open(path)) {
      assertEquals(14, zip.size());
      StoredZip.read(file).entries().values().forEach(entry -> {
        assertEquals(0, entry.begin() % 64, entry.name());
        assertEquals(ZipEntry.STORED, zip.getEntry(entry.name()).getMethod());
        assertEquals(entry.size(), zip.getEntry(entry.name()).getSize());
        assertEquals(Integer.toUnsignedLong(entry.crc()), zip.getEntry(entry.name()).getCrc());
      });
    }
  }

  @Test
  void savingOntoTheFileThatIsBeingReadIsRight() {
    Path path = temp.resolve("a.pt");
    try (Scope _ = Scope.open()) {
      TorchFileWriter.write(path, Map.of("a", Tensor.of(new float[] {1, 2})));
      try (TorchFile file = TorchFile.open(path)) {
        TorchFileWriter.write(path, Map.of("b", file.load("a").mul(2)));
        assertArrayEquals(new float[] {1, 2}, file.load("a").toFloats(), "the open file is still the old one");
      }
      try (TorchFile file = TorchFile.open(path)) {
        assertArrayEquals(new float[] {2, 4}, file.load("b").toFloats());
      }
    }
  }

  private static String refusal(Path path, Map<String, Tensor> tensors) {
    return assertThrows(IllegalArgumentException.class, () -> TorchFileWriter.write(path, tensors)).getMessage();
  }

  @Test
  void whatATorchFileCannotHoldIsRefusedAndTheOldFileStays() throws IOException {
    Path path = temp.resolve("a.pt");
    try (Scope _ = Scope.open()) {
      Tensor one = Tensor.of(new float[] {1});
      TorchFileWriter.write(path, Map.of("a", one));
      byte[] before = Files.readAllBytes(path);
      assertEquals("tensor 'x': torch files here hold no U16; cast it to F32, F16 or BF16",
          refusal(path, Map.of("x", Tensor.empty(Device.CPU, DType.U16, Shape.of(1)))));
      assertTrue(refusal(path, Map.of("\uD800", one)).contains("half of a surrogate pair"));
      assertEquals("tensor '" + "n".repeat(200) + "...': the name has 4097 bytes, at most 4096 are allowed",
          refusal(path, Map.of("n".repeat(4097), one)));
      TorchFileWriter.write(temp.resolve("longest.pt"), Map.of("n".repeat(4096), one));
      try (TorchFile file = TorchFile.open(temp.resolve("longest.pt"))) {
        assertEquals(1, file.load("n".repeat(4096)).item());
      }
      assertTrue(refusal(path, Map.of("x", one.expand(1L << 30))).contains("less than 4 GiB; write safetensors"));
      assertTrue(refusal(path, Map.of("x", one.expand(1L << 50))).contains("less than 4 GiB; write safetensors"));
      Map<String, Tensor> many = new LinkedHashMap<>();
      IntStream.range(0, 30_001).forEach(i -> many.put("t" + i, one));
      assertEquals(path + ": has 30001 tensors, a torch file here has at most 30000; write safetensors", refusal(path, many));
      Map<String, Tensor> wordy = new LinkedHashMap<>();
      IntStream.range(0, 5000).forEach(i -> wordy.put("n".repeat(4000) + i, one));
      assertTrue(refusal(path, wordy).contains("at most 16777216 are allowed"));
      Tensor closed = Tensor.of(new float[] {2});
      closed.close();
      assertThrows(RuntimeException.class, () -> TorchFileWriter.write(path, Map.of("b", closed)));
      assertTrue(assertThrows(UncheckedIOException.class, () -> TorchFileWriter.write(temp.resolve("no/such/a.pt"), Map.of("a", one)))
          .getMessage().contains("there is no such folder to write a.pt to"));
      assertArrayEquals(before, Files.readAllBytes(path));
    }
    try (Stream<Path> files = Files.list(temp)) {
      assertEquals(List.of("a.pt", "longest.pt"), files.map(file -> file.getFileName().toString()).sorted().toList());
    }
  }

  @Test
  void thirtyThousandTensorsStayWithinTheReadersLimits() {
    Path path = temp.resolve("most.pt");
    try (Scope _ = Scope.open()) {
      Tensor one = Tensor.of(new float[] {1});
      Map<String, Tensor> many = new LinkedHashMap<>();
      IntStream.range(0, 30_000).forEach(i -> many.put("t" + i, one));
      TorchFileWriter.write(path, many);
      try (TorchFile file = TorchFile.open(path)) {
        assertEquals(30_000, file.names().size());
      }
    }
  }
}
