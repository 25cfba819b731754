package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.OnCard;
import org.deft4j.tensor.internal.cuda.SameBits;
import org.deft4j.tensor.internal.cuda.SameBits.Input;
import org.deft4j.tensor.op.Indexing;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The card chooses elements as the CPU does, sums in the order of the index among them, bit by bit. */
@ExtendWith(OnCard.class)
class CudaIndexingTest {
  private final Random random = new Random(7);

  private Tensor normal(DType dtype, long... sizes) {
    double[] values = new double[Math.toIntExact(Shape.of(sizes).elementCount())];
    Arrays.setAll(values, i -> random.nextGaussian());
    return Tensor.of(values, sizes).cast(dtype);
  }

  private Tensor index(DType dtype, long range, long... sizes) {
    long[] values = new long[Math.toIntExact(Shape.of(sizes).elementCount())];
    Arrays.setAll(values, i -> random.nextLong(range));
    return Tensor.of(values, sizes).cast(dtype);
  }

  @Test
  void selectsSlicesOfEveryType() {
    for (DType type : DType.values()) {
      // Slices of 1, 7 and 16 elements: moved one by one, or as many bytes at a time as fit.
      for (Tensor x : new Tensor[] {index(DType.I64, 99, 9, 5, 16).cast(type), index(DType.I64, 99, 6, 4, 7).cast(type)}) {
        for (int dim = 0; dim < 3; dim++) {
          SameBits.check(new Indexing.IndexSelect(dim), x, index(DType.I64, x.size(dim), 13));
          SameBits.check(new Indexing.IndexSelect(dim), x, index(DType.I32, x.size(dim), 1));
        }
        SameBits.check(new Indexing.IndexSelect(0), new Input(x, y -> y.slice(0, 1, 6)), Input.of(index(DType.I64, 5, 4)));
        SameBits.check(new Indexing.IndexSelect(1), x, index(DType.I64, 1, 0));
        SameBits.check(new Indexing.Gather(1), x, index(DType.I64, x.size(1), x.size(0), 11, x.size(2)));
      }
    }
  }

  @Test
  void gathersAlongEachDimension() {
    for (DType type : new DType[] {DType.F32, DType.F64}) {
      Tensor x = normal(type, 6, 7, 5);
      SameBits.check(new Indexing.Gather(0), x, index(DType.I64, 6, 9, 7, 5));
      SameBits.check(new Indexing.Gather(1), x, index(DType.I32, 7, 4, 3, 2));
      SameBits.check(new Indexing.Gather(2), x, index(DType.I64, 5, 6, 1, 40));
      SameBits.check(new Indexing.Gather(2), x, index(DType.I64, 5, 0, 1, 40));
      SameBits.check(new Indexing.Gather(0), normal(type, 9), index(DType.I64, 9, 300));
    }
  }

  @Test
  void addsInTheOrderOfTheIndex() {
    for (DType type : new DType[] {DType.F32, DType.F64}) {
      for (DType of : new DType[] {DType.I64, DType.I32}) {
        SameBits.check(new Indexing.IndexAdd(0), normal(type, 10, 33), index(of, 10, 77), normal(type, 77, 33));
        SameBits.check(new Indexing.IndexAdd(1), normal(type, 3, 10, 5), index(of, 2, 40), normal(type, 3, 40, 5));
        SameBits.check(new Indexing.IndexAdd(2), normal(type, 3, 2, 5), index(of, 5, 40), normal(type, 3, 2, 40));
        SameBits.check(new Indexing.IndexAdd(0), normal(type, 4), index(of, 3, 5000), normal(type, 5000));
        SameBits.check(new Indexing.IndexAdd(0), normal(type, 4, 2), index(of, 3, 0), normal(type, 0, 2));
        SameBits.check(new Indexing.ScatterAdd(0), normal(type, 10, 33), index(of, 10, 77, 33), normal(type, 77, 33));
        SameBits.check(new Indexing.ScatterAdd(1), normal(type, 6, 4, 5), index(of, 4, 3, 21, 2), normal(type, 3, 21, 2));
        SameBits.check(new Indexing.ScatterAdd(2), normal(type, 6, 4, 5), index(of, 5, 6, 1, 40), normal(type, 6, 1, 40));
        SameBits.check(new Indexing.ScatterAdd(0), normal(type, 7), index(of, 2, 3000), normal(type, 3000));
        SameBits.check(new Indexing.ScatterAdd(1), normal(type, 7, 3), index(of, 2, 7, 0), normal(type, 7, 0));
      }
    }
  }

  @Test
  void sortsStablyWithNaNsZerosAndTies() {
    for (DType type : new DType[] {DType.F32, DType.F64}) {
      for (boolean descending : new boolean[] {false, true}) {
        for (long n : new long[] {0, 1, 2, 3, 31, 64, 100, 513, 1024, 1025, 2048, 3000}) {
          Tensor line = withSpecials(type, n);
          SameBits.check(new Indexing.Sort(0, descending), line);
          SameBits.check(new Indexing.Sort(0, descending), normal(type, n));
        }
        SameBits.check(new Indexing.Sort(0, descending), normal(type, 3, 40, 5));
        SameBits.check(new Indexing.Sort(1, descending), withSpecials(type, 3 * 40 * 5).reshape(3, 40, 5));
        SameBits.check(new Indexing.Sort(2, descending), normal(type, 3, 40, 5));
        SameBits.check(new Indexing.Sort(0, descending), withSpecials(type, 1500 * 3).reshape(1500, 3));
        SameBits.check(new Indexing.Sort(1, descending), new Input(normal(type, 9, 17), Tensor::t));
      }
    }
  }

  /** Few different numbers, so that there are many ties, NaN, infinities and both zeros among them. */
  private Tensor withSpecials(DType type, long n) {
    double[] few = {0, -0.0, 1, -1, Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, 1e-40, -1e-40, 3, 3.5};
    double[] values = new double[Math.toIntExact(n)];
    Arrays.setAll(values, i -> few[random.nextInt(few.length)]);
    return Tensor.of(values, n).cast(type);
  }

  @Test
  void choosesByConditionsOfAnyStrides() {
    for (DType type : DType.values()) {
      Tensor a = index(DType.I64, 99, 4, 6, 9).cast(type);
      Input condition = Input.of(index(DType.I64, 2, 4, 6, 9).cast(DType.BOOL));
      Input turned = new Input(index(DType.I64, 99, 9, 6, 4).cast(type), x -> x.permute(2, 1, 0));
      Input one = Input.of(index(DType.I64, 99, 1).cast(type));
      SameBits.check(new Indexing.Where(), condition, Input.of(a), turned);
      SameBits.check(new Indexing.Where(), condition, one, turned);
      Input stepped = new Input(index(DType.I64, 2, 4, 1, 18).cast(DType.BOOL), x -> x.slice(2, 0, 18, 2));
      SameBits.check(new Indexing.Where(), stepped, turned, one);
      SameBits.check(new Indexing.Where(), Input.of(index(DType.I64, 2, 6, 1).cast(DType.BOOL)), one, one);
      SameBits.check(new Indexing.Where(), Input.of(index(DType.I64, 2, 0, 9).cast(DType.BOOL)), one, one);
    }
  }

  @Test
  void anIndexOutOfRangeIsFoundAtTheNextReadAndLeavesNoTrace() {
    Tensor x = normal(DType.F32, 4, 3).to(Device.CUDA);
    Tensor high = Tensor.of(new long[] {1, 4, 0}, 3).to(Device.CUDA);
    Tensor low = Tensor.of(new long[] {0, -1, 2}, 3).to(Device.CUDA);
    Tensor lowLine = Tensor.of(new long[] {0, 1, -7}, 1, 3).to(Device.CUDA);
    Tensor source = normal(DType.F32, 3, 3).to(Device.CUDA);
    Tensor sourceLine = normal(DType.F32, 1, 3).to(Device.CUDA);
    expect("index 4 where indices run from 0 to 3", new Indexing.IndexSelect(0), x, high);
    expect("index -1 where indices run from 0 to 3", new Indexing.IndexSelect(0), x, low);
    expect("index 4 where indices run from 0 to 3", new Indexing.IndexAdd(0), x, high, source);
    expect("index -7 where indices run from 0 to 3", new Indexing.Gather(0), x, lowLine);
    expect("index -7 where indices run from 0 to 2", new Indexing.ScatterAdd(1), x, lowLine, sourceLine);
    SameBits.check(new Indexing.IndexSelect(0), normal(DType.F32, 4, 3), index(DType.I64, 4, 5));
  }

  private static void expect(String text, Indexing op, Tensor... inputs) {
    Tensor y = Dispatch.run(op, inputs)[0];
    NumericException e = assertThrows(NumericException.class, y::toDoubles);
    assertTrue(e.getMessage().contains(text), e.getMessage());
    assertArrayEquals(new double[] {6}, Tensor.of(new float[] {3}, 1).to(Device.CUDA).mul(2).toDoubles(), "the next operation");
  }
}
