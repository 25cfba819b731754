package org.deft4j.tensor;

import java.util.List;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Views share memory, copies do not; the derived rearrangements. */
@ExtendWith(LeakCheck.class)
class ViewTest {
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static Tensor counting(long... sizes) {
    return DenseArray.counting(sizes).tensor();
  }

  private static boolean shares(Tensor a, Tensor b) {
    return a.memory().address() == b.memory().address();
  }

  @Test
  void viewsShareMemoryWhereStridesAllowIt() {
    Tensor x = counting(2, 3, 8);
    assertTrue(shares(x, x.permute(2, 0, 1)));
    assertTrue(shares(x, x.slice(1, 1, 3)));
    assertTrue(shares(x, x.expand(4, 2, 3, 8)));
    assertTrue(shares(x, x.select(0, 1)));
    assertTrue(shares(x, x.unsqueeze(-1)));
    assertTrue(shares(x, x.reshape(6, -1)));
    Tensor heads = x.slice(2, 4, 8).reshape(2, 3, 2, 2);
    assertTrue(shares(x, heads), "splitting the last dimension of a slice");
    assertTrue(shares(x, x.permute(2, 0, 1).reshape(2, 4, 6)), "joining dimensions that stayed neighbours");
    assertTrue(shares(x, x.transpose(0, 1).select(0, 2)));
    assertFalse(shares(x, x.transpose(0, 1).reshape(6, 8)), "joining dimensions that did not");
    assertFalse(shares(x, x.copy()));
    assertFalse(x.permute(1, 0, 2).isContiguous());
    assertTrue(x.permute(1, 0, 2).contiguous().isContiguous());
    assertTrue(x.slice(0, 1, 2).isContiguous());
    assertEquals(24, x.slice(0, 1, 2).offset());
  }

  @Test
  void changingAViewChangesWhatItViews() {
    Tensor x = counting(2, 3);
    long version = x.version();
    Dispatch.run(new org.deft4j.tensor.op.InPlace.Fill(9), x.slice(1, 1, 2));
    assertArrayEquals(new double[] {0, 9, 2, 3, 9, 5}, x.toDoubles());
    assertTrue(x.version() > version);
  }

  @Test
  void copyingWithinOneMemoryReadsBeforeItWrites() {
    Tensor x = counting(2, 4);
    Dispatch.run(new org.deft4j.tensor.op.InPlace.CopyInto(), x.slice(1, 1, 4), x.slice(1, 0, 3));
    assertArrayEquals(new double[] {0, 0, 1, 2, 4, 4, 5, 6}, x.toDoubles());
    Tensor square = counting(2, 2);
    Dispatch.run(new org.deft4j.tensor.op.InPlace.CopyInto(), square, square.t());
    assertArrayEquals(new double[] {0, 2, 1, 3}, square.toDoubles());
  }

  @Test
  void copyIntoBroadcastsAndConverts() {
    Tensor x = Tensor.zeros(DType.F16, 2, 3);
    Dispatch.run(new org.deft4j.tensor.op.InPlace.CopyInto(), x.t(), Tensor.of(new double[] {1, 1.00001}));
    assertArrayEquals(new double[] {1, 1, 1, 1, 1, 1}, x.toDoubles());
    Dispatch.run(new org.deft4j.tensor.op.InPlace.CopyInto(), x, Tensor.of(new long[] {1, 2, 3}));
    assertArrayEquals(new double[] {1, 2, 3, 1, 2, 3}, x.toDoubles());
  }

  @Test
  void derivedRearrangements() {
    Tensor x = counting(2, 3);
    assertArrayEquals(new double[] {0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5}, x.repeatInterleave(1, 2).toDoubles());
    assertArrayEquals(new double[] {2, 0, 1, 5, 3, 4}, x.roll(1, 1).toDoubles());
    assertArrayEquals(new double[] {5, 4, 3, 2, 1, 0}, x.flip().toDoubles());
    assertArrayEquals(new double[] {0, 1, 2, 0, 4, 5}, x.triu(0).toDoubles());
    assertArrayEquals(new double[] {0, 1, 0, 3, 4, 5}, x.tril(1).toDoubles());
    assertArrayEquals(new double[] {0, 0, 0, 3, 0, 0}, x.tril(-1).toDoubles());
    assertArrayEquals(new double[] {8, 0, 1, 2, 8, 8, 3, 4, 5, 8, 8, 8, 8, 8, 8}, x.pad(8, 1, 1, 0, 1).toDoubles());
    assertArrayEquals(new double[] {0, 0, 1, 1, 2, 2}, Tensor.stack(1, x.select(0, 0), x.select(0, 0)).toDoubles());
    assertEquals(Shape.of(3, 2), Tensor.stack(-1, x.select(0, 0), x.select(0, 1)).shape());
    assertEquals(List.of(Shape.of(2, 2), Shape.of(2, 1)), x.chunk(1, 2).stream().map(Tensor::shape).toList());
    assertEquals(List.of(Shape.of(2, 1), Shape.of(2, 2)), x.split(1, 1, 2).stream().map(Tensor::shape).toList());
    assertEquals(Shape.of(2, 3), x.unsqueeze(1).squeeze(1).shape());
    assertEquals(Shape.of(6), x.flatten(0, -1).shape());
  }

  /** Larger than a tile of the copy, in both directions and not a multiple of it. */
  @Test
  void largeTranspositionsCopyEveryElement() {
    DenseArray model = DenseArray.counting(3, 70, 45);
    for (DType dtype : new DType[] {DType.F64, DType.F32, DType.I64, DType.I16}) {
      Tensor x = model.tensor().cast(dtype);
      assertArrayEquals(model.permute(0, 2, 1).values(), x.transpose(1, 2).contiguous().toDoubles());
      assertArrayEquals(model.permute(2, 1, 0).values(), x.permute(2, 1, 0).contiguous().toDoubles());
      assertArrayEquals(model.permute(0, 2, 1).values(), x.transpose(1, 2).cast(DType.I32).toDoubles());
    }
  }

  @Test
  void tensorsWithoutElementsPassThroughEverything() {
    Tensor x = Tensor.zeros(DType.F32, 2, 0, 3);
    assertEquals(Shape.of(3, 0, 2), x.permute(2, 1, 0).contiguous().shape());
    assertEquals(Shape.of(0, 6), x.reshape(0, 6).shape());
    assertEquals(Shape.of(2, 4, 3), Tensor.concat(1, x, Tensor.zeros(DType.F32, 2, 4, 3), x).shape());
    assertEquals(Shape.of(2, 0, 3), x.add(Tensor.zeros(DType.F32, 1, 3)).shape());
    assertEquals(Shape.of(2, 2, 3), x.pad(1, 0, 0, 1, 1).shape());
    assertArrayEquals(new double[] {0, 0, 0, 0, 0, 0}, x.sum(1).toDoubles());
    assertEquals(Shape.of(2, 3, 3), x.transpose(1, 2).matmul(x).shape());
    assertArrayEquals(new double[9], x.select(0, 0).t().matmul(x.select(0, 1)).toDoubles());
    assertEquals(0, x.indexSelect(2, Tensor.of(new long[] {2, 1})).elementCount());
    assertEquals(0, x.flip(1).roll(1, 3).tril(0).cast(DType.F16).toFloats().length);
    assertEquals(Shape.of(2, 0, 3), x.sort(2, true)[1].shape());
    assertEquals(0, Tensor.zeros(DType.F32, 0, 4).linear(Tensor.zeros(DType.F32, 5, 4)).elementCount());
    assertEquals(Shape.of(0, 3, 2), Tensor.zeros(DType.F32, 0, 2).expand(3, 0, 2).transpose(0, 1).shape());
  }

  @Test
  void scalarsAreTensorsOfRankZero() {
    Tensor x = Tensor.scalar(DType.F64, 2.5);
    assertEquals(Shape.of(), x.shape());
    assertEquals(2.5, x.item());
    assertEquals(5, x.add(x).item());
    assertEquals(2.5, x.reshape(1, 1).item());
    assertEquals(Shape.of(1), x.unsqueeze(0).shape());
    assertEquals(2.5, x.sum().item());
    assertEquals(2.5, x.copy().item());
    assertEquals(2.5, x.permute().item());
    assertArrayEquals(new double[] {2.5, 2.5}, x.expand(2).toDoubles());
    assertEquals(Shape.of(3), x.mul(Tensor.zeros(DType.F64, 3)).shape());
  }
}
