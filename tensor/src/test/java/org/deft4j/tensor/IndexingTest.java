package org.deft4j.tensor;

import java.util.Arrays;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** Elements chosen by other tensors, by hand-computed examples. */
@ExtendWith(LeakCheck.class)
class IndexingTest {
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static Tensor table() {
    return Tensor.of(new double[] {0, 1, 2, 10, 11, 12, 20, 21, 22}, 3, 3);
  }

  @Test
  void indexSelectPicksSlicesOfAnyDimensionAndType() {
    assertArrayEquals(new double[] {20, 21, 22, 0, 1, 2}, table().indexSelect(0, Tensor.of(new long[] {2, 0})).toDoubles());
    assertArrayEquals(new double[] {1, 1, 11, 11, 21, 21},
        table().indexSelect(1, Tensor.of(new int[] {1, 1})).toDoubles());
    assertArrayEquals(new double[] {2, 12, 22}, table().t().indexSelect(0, Tensor.of(new int[] {2}, 1)).toDoubles());
    for (DType dtype : new DType[] {DType.F16, DType.BF16, DType.I64, DType.U8}) {
      Tensor picked = table().cast(dtype).indexSelect(0, Tensor.of(new long[] {1, 1}));
      assertEquals(dtype, picked.dtype());
      assertArrayEquals(new double[] {10, 11, 12, 10, 11, 12}, picked.toDoubles());
    }
    Tensor tokens = Tensor.of(new long[] {0, 2, 1, 1}, 2, 2);
    Tensor embedded = table().embedding(tokens);
    assertEquals(Shape.of(2, 2, 3), embedded.shape());
    assertArrayEquals(new double[] {0, 1, 2, 20, 21, 22, 10, 11, 12, 10, 11, 12}, embedded.toDoubles());
  }

  @Test
  void indexAddAndScatterAddAccumulate() {
    Tensor added = Dispatch.run(new Indexing.IndexAdd(1), table(), Tensor.of(new long[] {2, 2}),
        Tensor.of(new double[] {1, 2, 3, 4, 5, 6}, 3, 2))[0];
    assertArrayEquals(new double[] {0, 1, 5, 10, 11, 19, 20, 21, 33}, added.toDoubles());
    Tensor scattered = table().scatterAdd(0, Tensor.of(new long[] {0, 1, 2, 0, 1, 0}, 2, 3),
        Tensor.of(new double[] {1, 2, 3, 4, 5, 6}, 2, 3));
    assertArrayEquals(new double[] {5, 1, 8, 10, 18, 12, 20, 21, 25}, scattered.toDoubles());
  }

  @Test
  void gatherReadsAlongOneDimension() {
    Tensor index = Tensor.of(new long[] {2, 0, 1, 1}, 2, 2);
    assertArrayEquals(new double[] {2, 0, 11, 11}, table().gather(1, index).toDoubles());
    assertArrayEquals(new double[] {20, 1, 10, 11}, table().gather(0, index).toDoubles());
    assertArrayEquals(new double[] {2, 10, 1, 11},
        table().t().gather(0, Tensor.of(new int[] {2, 0, 1, 1}, 2, 2)).toDoubles());
  }

  @Test
  void sortIsStableAndPutsNaNAbove() {
    Tensor x = Tensor.of(new double[] {1, 0.0, -0.0, Double.NaN, 1, -5}, 1, 6);
    Tensor[] ascending = x.sort(-1, false);
    assertArrayEquals(new double[] {-5, 0.0, -0.0, 1, 1, Double.NaN}, ascending[0].toDoubles());
    assertArrayEquals(new long[] {5, 1, 2, 0, 4, 3}, ascending[1].toLongs());
    assertArrayEquals(new long[] {3, 0, 4, 1, 2, 5}, x.sort(-1, true)[1].toLongs());
    assertArrayEquals(new long[] {2, 2, 2, 1, 1, 1}, table().sort(0, true)[1].slice(0, 0, 2).toLongs());
    assertArrayEquals(new double[] {2, 1, 12, 11, 22, 21}, table().topk(1, 2)[0].toDoubles());
  }

  @Test
  void whereChoosesAndBroadcasts() {
    Tensor condition = Tensor.of(new double[] {1, 0, 1}).cast(DType.BOOL);
    assertArrayEquals(new double[] {0, -1, 2, 10, -1, 12, 20, -1, 22},
        condition.where(table(), Tensor.scalar(DType.F64, -1)).toDoubles());
    assertArrayEquals(new double[] {0, 10, 20, -1, -1, -1, 2, 12, 22},
        condition.unsqueeze(1).where(table().t(), Tensor.scalar(DType.F64, -1)).toDoubles());
    long[] large = {Long.MAX_VALUE, Long.MIN_VALUE, (1L << 60) + 1};
    assertArrayEquals(new long[] {large[0], 0, large[2]},
        condition.where(Tensor.of(large), Tensor.of(new long[] {0}, 1)).toLongs());
  }

  /** Every width of element, conditions and sides that broadcast or lie turned, against one element at a time. */
  @Test
  void whereAndGatherOfEveryWidth() {
    try (Scope _ = Scope.open()) {
      double[] numbers = new double[6 * 35];
      Arrays.setAll(numbers, i -> (i * 37) % 101 - 50);
      Tensor x = Tensor.of(numbers, 6, 35);
      Tensor picks = Tensor.of(numbers, 6, 35).square().cast(DType.I64);
      for (DType type : new DType[] {DType.F32, DType.F64, DType.BF16, DType.I64, DType.I32, DType.I8}) {
        Tensor a = x.cast(type);
        Tensor b = Tensor.of(numbers, 35, 6).cast(type).t();
        Tensor column = b.slice(1, 3, 4);
        Tensor c = x.less(Tensor.of(numbers, 35, 6).t());
        double[] ca = c.toDoubles();
        double[] aa = a.toDoubles();
        double[] bb = b.toDoubles();
        double[] y = c.where(a, b).toDoubles();
        double[] z = c.where(a, column).toDoubles();
        for (int i = 0; i < y.length; i++) {
          assertEquals(ca[i] != 0 ? aa[i] : bb[i], y[i]);
          assertEquals(ca[i] != 0 ? aa[i] : bb[i / 35 * 35 + 3], z[i]);
        }
        long[] chosen = picks.toLongs();
        for (int dim = 0; dim < 2; dim++) {
          long size = a.size(dim);
          long[] index = Arrays.stream(chosen).map(v -> v % size).toArray();
          double[] g = a.gather(dim, Tensor.of(index).reshape(6, 35)).toDoubles();
          for (int i = 0; i < g.length; i++) {
            assertEquals(dim == 0 ? aa[(int) index[i] * 35 + i % 35] : aa[i / 35 * 35 + (int) index[i]], g[i]);
          }
        }
      }
    }
  }
}
