package org.deft4j.weights;

import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Weights converted while they are read: the values of a cast, no second copy, nothing lost to overflow. */
class ConvertedLoadTest {
  private static final List<DType> FLOATS = List.of(DType.F64, DType.F32, DType.BF16, DType.F16);
  /** More than two of the reader's pieces in F32, and no multiple of one. */
  private static final long LONG = (5L << 20) + 3;

  @TempDir
  Path temp;

  private SafetensorsFile file(Map<String, Tensor> tensors) {
    Path path = temp.resolve("model.safetensors");
    SafetensorsWriter.write(path, tensors, Map.of());
    return SafetensorsFile.open(path);
  }

  @Test
  void everyPairOfTypesGivesTheBitsOfACast() {
    for (DType stored : FLOATS) {
      try (Scope _ = Scope.open();
          SafetensorsFile file = file(Map.of("w", new TorchRandom(1).normal(DType.F32, 7, 5).cast(stored)))) {
        for (DType type : FLOATS) {
          Tensor loaded = file.load("w", type);
          assertEquals(type, loaded.dtype());
          Fixtures.equal(stored + " as " + type, loaded, file.load("w").cast(type));
        }
      }
    }
  }

  @Test
  void aLongTensorIsConvertedPieceByPiece() {
    try (Scope _ = Scope.open(); SafetensorsFile file = file(Map.of("w", new TorchRandom(2).normal(DType.F32, LONG)))) {
      MemoryPool.cpu().resetPeak();
      long before = MemoryPool.cpu().liveBytes();
      Tensor half = file.load("w", DType.F16);
      long held = MemoryPool.cpu().liveBytes() - before;
      assertTrue(MemoryPool.cpu().peakLiveBytes() - before <= held + (8L << 20), "more than a piece in both types");
      assertArrayEquals(file.load("w").cast(DType.F16).toFloats(), half.toFloats());
    }
  }

  @Test
  void matricesAreHeldAsAskedAndVectorsInF32() {
    Map<String, DType> held = new LinkedHashMap<>();
    try (Scope _ = Scope.open(); SafetensorsFile file = file(Map.of("kernel", Tensor.zeros(DType.F64, 2, 2, 1, 1), "matrix",
        Tensor.zeros(DType.F32, 2, 3), "bias", Tensor.zeros(DType.BF16, 3), "wide", Tensor.zeros(DType.F64, 1)))) {
      Map<String, Target> targets = new LinkedHashMap<>();
      file.names().forEach(name -> targets.put(name, new Target(file.shape(name), t -> held.put(name, t.dtype()))));
      Weights.load("model", targets, file, DType.BF16);
      assertEquals(Map.of("kernel", DType.BF16, "matrix", DType.BF16, "bias", DType.F32, "wide", DType.F32), held);
      Weights.load("model", targets, file, null);
      assertEquals(Map.of("kernel", DType.F64, "matrix", DType.F32, "bias", DType.BF16, "wide", DType.F64), held);
    }
  }

  @Test
  void aValueBeyondTheRangeIsRefusedByName() {
    Tensor late = Tensor.zeros(DType.F32, LONG);
    late.bytes().setAtIndex(ValueLayout.JAVA_FLOAT, LONG - 2, -70_000);
    try (Scope _ = Scope.open(); SafetensorsFile file = file(Map.of("layer.weight", late, "huge",
        Tensor.of(new double[] {1e39}), "largest", Tensor.of(new float[] {65_504, 65_519})))) {
      long live = MemoryPool.cpu().liveBytes();
      assertEquals(file.source() + ": tensor 'layer.weight': holds -70000.0, beyond the range of F16; load it as BF16 or F32",
          assertThrows(FormatException.class, () -> file.load("layer.weight", DType.F16)).getMessage());
      assertEquals(live, MemoryPool.cpu().liveBytes());
      assertTrue(assertThrows(FormatException.class, () -> file.load("huge", DType.F32)).getMessage()
          .endsWith("holds 1.0E39, beyond the range of F32; load it as F64"));
      assertThrows(FormatException.class, () -> file.load("huge", DType.BF16));
      assertEquals(-70_144, file.load("layer.weight", DType.BF16).cast(DType.F32).min(false).item());
      assertArrayEquals(new float[] {65_504, 65_504}, file.load("largest", DType.F16).toFloats());
    } finally {
      late.close();
    }
  }

  @Test
  void whatWasNotFiniteBeforeStaysSo() {
    float[] values = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 1};
    try (Scope _ = Scope.open(); SafetensorsFile file = file(Map.of("w", Tensor.of(values)))) {
      assertEquals(Shape.of(4), file.load("w", DType.F16).shape());
      assertArrayEquals(values, file.load("w", DType.F16).toFloats());
      assertArrayEquals(values, file.load("w", DType.BF16).toFloats());
    }
  }
}
