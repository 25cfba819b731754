package org.deft4j.tensor;

import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Conversions round to the nearest value of the target type, ties to even, for every bit pattern of the small types. */
@ExtendWith(LeakCheck.class)
class ConversionTest {
  private static final DType[] SMALL = {DType.F16, DType.BF16, DType.F8_E4M3, DType.F8_E5M2};

  /** Every bit pattern of a small type, in order. */
  private static Tensor patterns(DType dtype) {
    int count = 1 << (8 * dtype.bytes());
    Tensor all = Tensor.empty(Device.CPU, dtype, Shape.of(count));
    for (int i = 0; i < count; i++) {
      if (dtype.bytes() == 2) {
        all.bytes().setAtIndex(ValueLayout.JAVA_SHORT, i, (short) i);
      } else {
        all.bytes().set(ValueLayout.JAVA_BYTE, i, (byte) i);
      }
    }
    return all;
  }

  private static int bits(Tensor tensor, int i) {
    return tensor.dtype().bytes() == 2 ? tensor.bytes().getAtIndex(ValueLayout.JAVA_SHORT, i) & 0xFFFF
        : tensor.bytes().get(ValueLayout.JAVA_BYTE, i) & 0xFF;
  }

  @Test
  void everyBitPatternSurvivesTheWayThroughFloatAndDouble() {
    for (DType dtype : SMALL) {
      try (Scope _ = Scope.open()) {
        Tensor all = patterns(dtype);
        double[] values = all.toDoubles();
        for (DType wide : new DType[] {DType.F32, DType.F64}) {
          Tensor back = all.cast(wide).cast(dtype);
          double[] again = back.toDoubles();
          for (int i = 0; i < values.length; i++) {
            if (Double.isNaN(values[i])) {
              assertTrue(Double.isNaN(again[i]), dtype + " " + i);
            } else {
              assertEquals(i, bits(back, i), dtype + " through " + wide + ", value " + values[i]);
            }
          }
        }
      }
    }
  }

  @Test
  void longPartsOfATensor() {
    for (DType dtype : SMALL) {
      try (Scope _ = Scope.open()) {
        Tensor all = patterns(dtype);
        double[] values = all.toDoubles();
        int end = Math.min(values.length, 0x1FFF);
        Tensor wide = all.slice(0, 3, end).cast(DType.F32);
        double[] there = wide.toDoubles();
        double[] back = wide.slice(0, 2, end - 3).cast(dtype).toDoubles();
        for (int i = 0; i < there.length; i++) {
          assertEquals(values[i + 3], there[i], dtype + " " + i);
          assertEquals(there[i], i < 2 ? there[i] : back[i - 2], dtype + " " + i);
        }
      }
    }
  }

  @Test
  void knownValues() {
    try (Scope _ = Scope.open()) {
      assertEquals(65504, value(DType.F16, 0x7BFF));
      assertEquals(0x1p-24, value(DType.F16, 1));
      assertEquals(-2, value(DType.F16, 0xC000));
      assertEquals(0x1.fep127, value(DType.BF16, 0x7F7F));
      assertEquals(0x1p-133, value(DType.BF16, 1));
      assertEquals(448, value(DType.F8_E4M3, 0x7E));
      assertEquals(0x1p-9, value(DType.F8_E4M3, 1));
      assertTrue(Double.isNaN(value(DType.F8_E4M3, 0x7F)));
      assertEquals(57344, value(DType.F8_E5M2, 0x7B));
      assertEquals(0x1p-16, value(DType.F8_E5M2, 1));
      assertEquals(Double.POSITIVE_INFINITY, value(DType.F8_E5M2, 0x7C));
      assertEquals(-1, value(DType.F8_E4M3, 0xB8));
    }
  }

  private static double value(DType dtype, int pattern) {
    return patterns(dtype).slice(0, pattern, pattern + 1).toDoubles()[0];
  }

  /** Around the middle of any two neighbours: the middle goes to the even one, anything beside it to its own side. */
  @Test
  void roundsToNearestTiesToEven() {
    for (DType dtype : SMALL) {
      try (Scope _ = Scope.open()) {
        double[] values = patterns(dtype).toDoubles();
        int largest = values.length / 2 - 1;
        while (!Double.isFinite(values[largest])) {
          largest--;
        }
        double[] probes = new double[3 * largest];
        for (int i = 0; i < largest; i++) {
          double middle = (values[i] + values[i + 1]) / 2;
          probes[3 * i] = Math.nextDown(middle);
          probes[3 * i + 1] = middle;
          probes[3 * i + 2] = Math.nextUp(middle);
        }
        Tensor x = Tensor.of(probes);
        for (int sign = 0; sign < 2; sign++) {
          Tensor rounded = (sign == 0 ? x : x.neg()).cast(dtype);
          int signBit = sign * values.length / 2;
          for (int i = 0; i < largest; i++) {
            assertEquals(signBit + i, bits(rounded, 3 * i), dtype + " just below the middle after " + values[i]);
            assertEquals(signBit + i + (i & 1), bits(rounded, 3 * i + 1), dtype + " the middle after " + values[i]);
            assertEquals(signBit + i + 1, bits(rounded, 3 * i + 2), dtype + " just above the middle after " + values[i]);
          }
        }
      }
    }
  }

  @Test
  void overflowGoesToInfinityOrNaN() {
    try (Scope _ = Scope.open()) {
      Tensor large = Tensor.of(new double[] {65519.99, 65520, -1e300, Double.POSITIVE_INFINITY, Double.NaN});
      assertArrayEquals(new double[] {65504, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY,
          Double.POSITIVE_INFINITY, Double.NaN}, large.cast(DType.F16).toDoubles());
      assertArrayEquals(new double[] {65536, 65536, Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY, Double.NaN},
          large.cast(DType.BF16).toDoubles());
      assertArrayEquals(new double[] {Double.NaN, Double.NaN, Double.NaN, Double.NaN, Double.NaN},
          large.cast(DType.F8_E4M3).toDoubles());
      assertArrayEquals(new double[] {448, 448, Double.NaN},
          Tensor.of(new double[] {448, 464, 465}).cast(DType.F8_E4M3).toDoubles());
      assertArrayEquals(new double[] {57344, Double.POSITIVE_INFINITY},
          Tensor.of(new double[] {61439, 61440}).cast(DType.F8_E5M2).toDoubles());
    }
  }

  /** The loops for dense float tensors and the general one over strides give the same bits. */
  @Test
  void denseAndStridedAgree() {
    try (Scope _ = Scope.open()) {
      TorchRandom random = new TorchRandom(3);
      for (DType from : DType.values()) {
        for (DType to : DType.values()) {
          Tensor x = random.normal(DType.F64, 37, 5).mul(from.isFloating() ? 3 : 40).abs().cast(from);
          Tensor strided = x.t();
          assertEquals(-1, strided.cast(to).contiguous().bytes().mismatch(x.cast(to).t().contiguous().bytes()), from + " to " + to);
        }
      }
    }
  }

  @Test
  void integersTruncateAndKeepAll64Bits() {
    try (Scope _ = Scope.open()) {
      Tensor x = Tensor.of(new double[] {2.9, -2.9, 0.5, -0.5, 1e10, Double.NaN});
      assertArrayEquals(new long[] {2, -2, 0, 0, 10_000_000_000L, 0}, x.cast(DType.I64).toLongs());
      assertArrayEquals(new long[] {1, 1, 1, 1, 1, 1}, x.cast(DType.BOOL).toLongs());
      long[] large = {Long.MAX_VALUE, (1L << 53) + 1, 0};
      assertArrayEquals(large, Tensor.of(large).cast(DType.U64).cast(DType.I64).toLongs());
      assertArrayEquals(new long[] {255, 65535, 4294967295L}, new long[] {
          Tensor.of(new int[] {-1}).cast(DType.U8).toLongs()[0], Tensor.of(new int[] {-1}).cast(DType.U16).toLongs()[0],
          Tensor.of(new int[] {-1}).cast(DType.U32).toLongs()[0]});
    }
  }

  @Test
  void unsignedValuesBeyondLongAreRefused() {
    try (Scope _ = Scope.open()) {
      Tensor x = Tensor.empty(Device.CPU, DType.U64, Shape.of(1));
      x.bytes().set(ValueLayout.JAVA_LONG, 0, -1);
      assertEquals("cast: the U64 value 18446744073709551615 exceeds 2^63 - 1",
          assertThrows(NumericException.class, () -> x.cast(DType.F32)).getMessage());
    }
  }

  /** The value lies above the middle of 1 and its successor; rounded to float first, it would be the middle. */
  @Test
  void doublesRoundOnceOnTheirWayTo16Bits() {
    try (Scope _ = Scope.open()) {
      double aboveTheMiddle = 1 + 0x1p-11 + 0x1p-40;
      assertEquals(1 + 0x1p-11f, (float) aboveTheMiddle);
      assertEquals(1 + 0x1p-10, Tensor.of(new double[] {aboveTheMiddle}).cast(DType.F16).item());
      assertEquals(-1 - 0x1p-10, Tensor.of(new double[] {-aboveTheMiddle}).cast(DType.F16).item());
    }
  }
}
