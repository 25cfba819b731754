package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.OnCard;
import org.deft4j.tensor.internal.cuda.SameBits;
import org.deft4j.tensor.internal.cuda.SameBits.Input;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Layout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The card copies and converts as the CPU does, bit by bit. */
@ExtendWith(OnCard.class)
class CudaLayoutTest {
  /** One of each size. */
  private static final DType[] WIDTHS = {DType.F32, DType.BF16, DType.F64, DType.U8};
  private static final long[][] SHAPES = {{}, {1}, {3, 40, 33}, {70, 5, 34}, {2, 32, 64}, {2, 3, 9, 40}, {1, 17, 60}, {7, 1, 1, 33},
      {65, 3}, {3, 2, 16, 16}, {0, 4}};

  private final Random random = new Random(5);

  /** Any bits, none of them a NaN's: for copies these are numbers. */
  private Tensor bits(DType dtype, long... sizes) {
    Tensor x = Tensor.empty(dtype, Shape.of(sizes));
    x.write(memory -> {
      for (long i = 0; i < memory.byteSize(); i++) {
        memory.set(ValueLayout.JAVA_BYTE, i, (byte) (dtype == DType.BOOL ? random.nextInt(2) : random.nextInt(0x3f)));
      }
    });
    return x;
  }

  private int[] order(int rank) {
    int[] order = new int[rank];
    for (int i = 0; i < rank; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return order;
  }

  /** Permuted, cut and stepped, and sometimes expanded in front. */
  private Input view(Tensor base) {
    int[] order = order(base.rank());
    long seed = random.nextLong();
    return new Input(base, x -> {
      Random same = new Random(seed);
      Tensor view = x.permute(order);
      for (int d = 0; d < view.rank(); d++) {
        if (view.size(d) > 0 && same.nextBoolean()) {
          long start = same.nextLong(view.size(d));
          view = view.slice(d, start, start + 1 + same.nextLong(view.size(d) - start), 1 + same.nextInt(2));
        }
      }
      if (view.rank() > 0 && same.nextInt(3) == 0) {
        long[] sizes = view.unsqueeze(1).shape().toArray();
        sizes[1] = 3;
        view = view.unsqueeze(1).expand(sizes);
      }
      return view;
    });
  }

  @Test
  void contiguousOfAnyView() {
    for (DType type : WIDTHS) {
      for (long[] sizes : SHAPES) {
        Tensor x = bits(type, sizes);
        SameBits.check(new Layout.Contiguous(), new Input(x, y -> y.permute(reversed(y.rank()))));
        SameBits.check(new Layout.Contiguous(), view(x));
        SameBits.check(new Layout.Contiguous(), view(x));
      }
    }
  }

  private static int[] reversed(int rank) {
    int[] dims = new int[rank];
    Arrays.setAll(dims, d -> rank - 1 - d);
    return dims;
  }

  @Test
  void concatFlipAndTriangleOfEveryWidth() {
    for (DType type : WIDTHS) {
      Tensor x = bits(type, 3, 20, 16);
      Input turned = new Input(bits(type, 16, 3, 20), y -> y.permute(1, 2, 0));
      Input cut = new Input(bits(type, 3, 20, 40), y -> y.slice(2, 1, 33, 2));
      for (int dim = 0; dim < 3; dim++) {
        SameBits.check(new Layout.Concat(dim), Input.of(x), turned, cut, Input.of(x));
        SameBits.check(new Layout.Flip(List.of(dim)), turned);
      }
      SameBits.check(new Layout.Concat(1), Input.of(bits(type, 3, 0, 16)), turned, Input.of(bits(type, 3, 7, 16)));
      SameBits.check(new Layout.Flip(List.of(0, 2)), cut);
      for (Input input : new Input[] {Input.of(x), turned, cut, Input.of(bits(type, 0, 2, 1))}) {
        for (long diagonal : new long[] {-20, -3, 0, 4, 16}) {
          SameBits.check(new Layout.Triangle(true, diagonal), input);
          SameBits.check(new Layout.Triangle(false, diagonal), input);
        }
      }
    }
  }

  @Test
  void padsWithANumberOfEveryType() {
    for (DType type : DType.values()) {
      Input turned = new Input(bits(type, 16, 3, 20), y -> y.permute(1, 2, 0));
      for (Input input : new Input[] {Input.of(bits(type, 3, 20, 16)), turned, Input.of(bits(type, 0, 2, 1))}) {
        SameBits.check(new Layout.Pad(List.of(1L, 0L, 3L), List.of(0L, 2L, 5L), 1), input);
        SameBits.check(new Layout.Pad(List.of(0L, 0L, 0L), List.of(0L, 0L, 1L), 0.5), input);
      }
    }
  }

  /** Numbers at which conversions round, overflow, saturate or wrap. */
  private double[] numbers() {
    double[] special = {0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 0.3, 1, -1, 2, 17, 127, 128, 129, -128, -129, 255, 256, 257, 400, 448, 464, 465,
        480, 32767, 32768, -32769, 57344, 61440, 61441, 65504, 65519.99, 65520, 65535, 65536, 1e-8, 5.960464477539063e-8,
        2.9802322387695312e-8, 2.98023223876954e-8, 0x1p-9, 0x1p-10, 0x1.8p-10, 0x1p-16, 0x1p-17, 0x1.8p-17, 0x1p-126, 0x1p-149, 0x1p-150,
        0x1.8p-150, 1e-300, 0x1p31, 0x1p31 - 1, -0x1p31 - 1, 0x1p32, 0x1p32 + 5, 0x1p53 + 2, 0x1p62, 0x1p63, -0x1p63, 0x1.8p64,
        1e300, -1e300, Float.MAX_VALUE, 3.4028235677973362e38, 3.4028235677973366e38, 0x1.01p0, 0x1.03p0, 0x1.010000001p0,
        0x1.00fffffffp0, 0x1.002p0, 0x1.006p0, 0x1.0020000001p0, 0x1.001ffffffffp0, 0x1.1p0, 0x1.3p0, 0x1.1000000001p0, 0x1.2p0, 0x1.6p0, 0x1.2000000001p0,
        Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.NaN, Double.MIN_VALUE, Double.MAX_VALUE};
    double[] numbers = Arrays.copyOf(special, special.length + 203);
    for (int i = special.length; i < numbers.length; i++) {
      numbers[i] = random.nextGaussian() * Math.scalb(1.0, random.nextInt(48) - 24);
    }
    return numbers;
  }

  /** All that the type can hold of them; of floats with 8 bits all there are, of those with 16 every seventh. */
  private Tensor source(DType dtype) {
    if (dtype.isFloating() && dtype.bytes() <= 2) {
      int step = dtype.bytes() == 1 ? 1 : 7;
      long count = (1L << (8 * dtype.bytes())) / step;
      Tensor all = Tensor.empty(dtype, Shape.of(count));
      all.write(memory -> {
        for (long i = 0; i < count; i++) {
          if (dtype.bytes() == 1) {
            memory.set(ValueLayout.JAVA_BYTE, i, (byte) i);
          } else {
            memory.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) (i * step));
          }
        }
      });
      return all;
    }
    double[] numbers = numbers();
    if (dtype == DType.U64) {
      Arrays.setAll(numbers, i -> Math.abs(numbers[i]));
    }
    return Tensor.of(numbers, numbers.length).cast(dtype);
  }

  @Test
  void castsBetweenAllTypes() {
    for (DType from : DType.values()) {
      Tensor x = source(from);
      for (DType to : DType.values()) {
        try (Scope _ = Scope.open()) {
          SameBits.check(new Layout.Cast(to), x);
          long n = Math.min(x.size(0), 120);
          // Neither dense nor at an address that suits four at a time.
          SameBits.check(new Layout.Cast(to), new Input(x, y -> y.slice(0, 1, n)));
          SameBits.check(new Layout.Cast(to), new Input(x, y -> y.slice(0, 0, n, 3)));
          SameBits.check(new Layout.Cast(to), new Input(x, y -> y.slice(0, 0, 60).reshape(4, 15).t()));
        }
      }
    }
  }

  @Test
  void anUnsignedNumberThatIsTooLargeIsFoundAtTheNextRead() {
    Tensor signed = Tensor.of(new long[] {1, -2}, 2).to(Device.CUDA);
    Tensor x = Tensor.empty(Device.CUDA, DType.U64, Shape.of(2));
    x.write(memory -> memory.copyFrom(MemorySegment.ofArray(new long[] {1, -2})));
    Tensor converted = x.cast(DType.F32);
    NumericException e = assertThrows(NumericException.class, converted::toDoubles);
    assertTrue(e.getMessage().contains("U64 value 18446744073709551614"), e.getMessage());
    assertArrayEquals(new double[] {1, -2}, signed.cast(DType.F32).toDoubles());
  }

  @Test
  void copiesIntoViewsConvertingAndBroadcasting() {
    for (DType to : DType.values()) {
      for (DType from : new DType[] {to, DType.F32, DType.BF16, DType.I64}) {
        Input target = new Input(bits(to, 6, 20, 33), y -> y.slice(0, 1, 6, 2).slice(2, 1, 33));
        Input turned = new Input(bits(to, 40, 6, 37), y -> y.slice(0, 3, 35).permute(1, 2, 0));
        SameBits.check(new InPlace.CopyInto(), target, Input.of(bits(from, 3, 20, 32)));
        SameBits.check(new InPlace.CopyInto(), target, Input.of(bits(from, 20, 1)));
        SameBits.check(new InPlace.CopyInto(), target, new Input(bits(from, 32, 3), y -> y.t().unsqueeze(1)));
        SameBits.check(new InPlace.CopyInto(), turned, Input.of(bits(from, 6, 37, 32)));
        SameBits.check(new InPlace.CopyInto(), turned, new Input(bits(from, 37, 6, 32), y -> y.transpose(0, 1)));
        SameBits.check(new InPlace.CopyInto(), turned, Input.of(bits(from, 1)));
        SameBits.check(new InPlace.CopyInto(), Input.of(bits(to, 6, 9)), Input.of(bits(from, 6, 9)));
        SameBits.check(new InPlace.CopyInto(), Input.of(bits(to, 0)), Input.of(bits(from, 0)));
      }
    }
  }

  @Test
  void fillsViewsOfEveryType() {
    for (DType type : DType.values()) {
      for (double value : new double[] {0, 1, -1.5, 300, 1e-3, 1e30, Double.NaN, Double.NEGATIVE_INFINITY}) {
        SameBits.check(new InPlace.Fill(value), Input.of(bits(type, 5, 64)));
        SameBits.check(new InPlace.Fill(value), Input.of(bits(type, 7)));
        SameBits.check(new InPlace.Fill(value), new Input(bits(type, 9, 11, 32), y -> y.slice(0, 2, 9, 3).slice(2, 16, 32)));
        SameBits.check(new InPlace.Fill(value), new Input(bits(type, 9, 11, 5), y -> y.permute(2, 0, 1).slice(1, 1, 5)));
        SameBits.check(new InPlace.Fill(value), Input.of(bits(type)));
        SameBits.check(new InPlace.Fill(value), Input.of(bits(type, 3, 0)));
      }
    }
  }
}
