package org.deft4j.weights;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.testing.LeakCheck;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Conversions between element types give PyTorch's bits. */
@ExtendWith(LeakCheck.class)
class DTypeFixtureTest {
  @Test
  void float32RoundsToPyTorchsHalves() {
    forEachFile(golden -> {
      for (DType half : new DType[] {DType.F16, DType.BF16}) {
        String name = half.name().toLowerCase(java.util.Locale.ROOT);
        Tensor expected = golden.get(name);
        assertSameBits(name + " from f32", golden.get("f32").cast(half), expected);
        assertSameBits(name + " from f64", golden.get("f64").cast(half), expected);
        assertSameBits(name + " to f32", expected.cast(DType.F32), golden.get(name + "_as_f32"));
        assertSameBits(name + " back", golden.get(name + "_as_f32").cast(half), expected);
      }
      assertSameBits("f64 to f32", golden.get("f64").cast(DType.F32), golden.get("f32"));
      assertSameBits("f32 to f64", golden.get("f32").cast(DType.F64), golden.get("f64"));
    });
  }

  @Test
  void wholeNumbersKeepTheirValueThroughEveryWiderType() {
    forEachFile(golden -> {
      Set<DType> seen = EnumSet.noneOf(DType.class);
      for (Tensor tensor : golden.values()) {
        if (tensor.dtype().isFloating()) {
          continue;
        }
        seen.add(tensor.dtype());
        long[] expected = decoded(tensor);
        for (DType wider : new DType[] {DType.I64, DType.F64, DType.F32, DType.I32}) {
          Tensor converted = tensor.cast(wider);
          double[] actual = converted.toDoubles();
          for (int i = 0; i < expected.length; i++) {
            assertEquals((double) expected[i], actual[i], tensor + " to " + wider);
          }
          assertEquals(-1, bytes(converted.cast(tensor.dtype())).mismatch(bytes(tensor)), tensor + " and back");
        }
      }
      assertTrue(seen.containsAll(EnumSet.of(DType.I64, DType.I32, DType.I16, DType.I8, DType.U8, DType.BOOL)), seen::toString);
    });
  }

  @Test
  void scalarsAndEmptyTensorsConvert() {
    forEachFile(golden -> {
      for (DType dtype : DType.values()) {
        for (Tensor tensor : golden.values()) {
          if (tensor.elementCount() < 2) {
            Tensor converted = tensor.cast(dtype);
            assertEquals(tensor.shape(), converted.shape());
            assertEquals(tensor.elementCount(), converted.toDoubles().length);
          }
        }
      }
    });
  }

  private interface Body {
    void run(Map<String, Tensor> golden);
  }

  private static void forEachFile(Body body) {
    for (Path folder : Fixtures.folders("ops")) {
      try (Scope _ = Scope.open()) {
        body.run(Fixtures.golden(folder.resolve("dtypes.safetensors")));
      }
    }
  }

  /** Bit for bit, but that any NaN is as good as another. */
  private static void assertSameBits(String name, Tensor actual, Tensor expected) {
    assertEquals(expected.dtype(), actual.dtype(), name);
    double[] a = actual.toDoubles();
    double[] b = expected.toDoubles();
    assertEquals(b.length, a.length, name);
    MemorySegment actualBytes = bytes(actual);
    MemorySegment expectedBytes = bytes(expected);
    int width = expected.dtype().bytes();
    for (int i = 0; i < b.length; i++) {
      assertEquals(Double.isNaN(b[i]), Double.isNaN(a[i]), name + " at " + i);
      if (!Double.isNaN(b[i])) {
        long from = (long) i * width;
        assertEquals(-1, actualBytes.asSlice(from, width).mismatch(expectedBytes.asSlice(from, width)),
            name + " at " + i + ": " + a[i] + ", expected " + b[i]);
      }
    }
  }

  /** The bytes of a tensor, wherever it is. */
  private static MemorySegment bytes(Tensor tensor) {
    return tensor.to(Device.CPU).bytes();
  }

  /** The stored integers, read without the library's conversions. */
  private static long[] decoded(Tensor tensor) {
    ByteBuffer bytes = bytes(tensor).asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    long[] values = new long[(int) tensor.elementCount()];
    for (int i = 0; i < values.length; i++) {
      values[i] = switch (tensor.dtype()) {
        case I64 -> bytes.getLong(8 * i);
        case I32 -> bytes.getInt(4 * i);
        case I16 -> bytes.getShort(2 * i);
        case I8 -> bytes.get(i);
        case U8, BOOL -> bytes.get(i) & 0xFF;
        default -> throw new AssertionError(tensor);
      };
    }
    return values;
  }
}
