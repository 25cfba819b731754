package org.deft4j.tensor.internal.cuda;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** Steps of Adam that wait for each other are few launches, and give what they would have given at once. */
@ExtendWith(OnCard.class)
class CudaUpdatesTest {
  private static final InPlace.AdamUpdate STEP = new InPlace.AdamUpdate(1e-2, 0.9, 0.99, 1e-8, 0.1, true, 2);
  private static final InPlace.AdamUpdate OTHER = new InPlace.AdamUpdate(1e-3, 0.9, 0.99, 1e-8, 0.1, false, 2);

  private final Random random = new Random(4);

  /** p, g, m and v on the CPU; v is not negative. */
  private Tensor[] drawn(long n) {
    Tensor[] in = new Tensor[4];
    for (int i = 0; i < in.length; i++) {
      float[] values = new float[Math.toIntExact(n)];
      for (int j = 0; j < n; j++) {
        values[j] = (float) random.nextGaussian();
      }
      in[i] = Tensor.of(values, n);
    }
    in[3] = in[3].square();
    return in;
  }

  private static Tensor[] onCard(Tensor[] in) {
    return Arrays.stream(in).map(x -> x.to(Device.CUDA)).toArray(Tensor[]::new);
  }

  private static void assertSame(Tensor[] expected, Tensor[] actual) {
    for (int i = 0; i < expected.length; i++) {
      assertArrayEquals(expected[i].toFloats(), actual[i].to(Device.CPU).toFloats(), 1e-5f, "pgmv".substring(i, i + 1));
    }
  }

  /** How often kernels have been launched; 0 on a card that does not count. */
  private static long launches() {
    EmulatedCard card = EmulatedCard.instance();
    return card == null ? 0 : card.launches();
  }

  private static void assertLaunches(long expected, Runnable work) {
    long before = launches();
    work.run();
    Cuda.card().synchronize();
    if (EmulatedCard.instance() != null) {
      assertEquals(expected, launches() - before, "launches");
    }
  }

  @Test
  void manyParametersAreFewLaunches() {
    List<Tensor[]> here = new ArrayList<>();
    for (int i = 0; i < 301; i++) {
      here.add(drawn(i % 7 == 3 ? 0 : 1 + random.nextInt(i % 5 == 0 ? 5000 : 40)));
    }
    here.add(drawn(1024));
    List<Tensor[]> there = here.stream().map(CudaUpdatesTest::onCard).toList();
    here.forEach(in -> Dispatch.run(STEP, in));
    assertLaunches(1, () -> there.forEach(in -> Dispatch.run(STEP, in)));
    for (int i = 0; i < here.size(); i++) {
      assertSame(here.get(i), there.get(i));
    }
  }

  @Test
  void whatDependsOnAnotherStepComesAfterIt() {
    Tensor[] here = drawn(3000);
    Tensor[] there = onCard(here);
    assertLaunches(3, () -> {
      for (int i = 0; i < 3; i++) {
        Dispatch.run(STEP, there);
      }
    });
    for (int i = 0; i < 3; i++) {
      Dispatch.run(STEP, here);
    }
    assertSame(here, there);

    // Parts of one tensor, the second overlapping the first.
    Tensor[] partHere = parts(here, 0, 2000);
    Tensor[] laterHere = parts(here, 1999, 3000);
    Tensor[] part = parts(there, 0, 2000);
    Tensor[] later = parts(there, 1999, 3000);
    assertLaunches(2, () -> {
      Dispatch.run(STEP, part);
      Dispatch.run(STEP, later);
    });
    Dispatch.run(STEP, partHere);
    Dispatch.run(STEP, laterHere);
    assertSame(here, there);
  }

  private static Tensor[] parts(Tensor[] in, long from, long to) {
    return Arrays.stream(in).map(x -> x.slice(0, from, to)).toArray(Tensor[]::new);
  }

  @Test
  void aGradientMayServeSeveralAndNumbersMayDiffer() {
    Tensor[] first = drawn(100);
    Tensor[] second = drawn(100);
    second[1] = first[1];
    Tensor[] firstThere = onCard(first);
    Tensor[] secondThere = onCard(second);
    secondThere[1] = firstThere[1];
    assertLaunches(1, () -> {
      Dispatch.run(STEP, firstThere);
      Dispatch.run(STEP, secondThere);
    });
    assertLaunches(2, () -> {
      Dispatch.run(STEP, firstThere);
      Dispatch.run(OTHER, secondThere);
    });
    for (InPlace.AdamUpdate op : List.of(STEP, OTHER)) {
      Dispatch.run(STEP, first);
      Dispatch.run(op, second);
    }
    assertSame(first, firstThere);
    assertSame(second, secondThere);
  }

  @Test
  void aWaitingStepReadsItsGradientBeforeTheMemoryIsAnothers() {
    Tensor[] here = drawn(100_000);
    Tensor[] there = onCard(here);
    Dispatch.run(STEP, here);
    long address = there[1].address();
    Dispatch.run(STEP, there);
    there[1].close();
    Tensor next = here[1].add(1e6).to(Device.CUDA);
    assertEquals(address, next.address(), "the pool gives the memory out again");
    there[1] = here[1].to(Device.CUDA);
    assertSame(here, there);
  }

  /** A table of one row has the size of this gradient, whose memory is free while its step waits. */
  @Test
  void theTableOfALaunchIsNotPutWhereAGradientIs() {
    Tensor[] here = drawn(12);
    Tensor[] there = onCard(here);
    Dispatch.run(STEP, here);
    Dispatch.run(STEP, there);
    there[1].close();
    Cuda.card().synchronize();
    there[1] = here[1].to(Device.CUDA);
    assertSame(here, there);
  }

  /** A gradient that is not row-major is copied first; the copy is given back while the step waits, and the next copy takes its place. */
  @Test
  void copiesOfGradientsFollowEachOther() {
    Tensor[] here = Arrays.stream(drawn(1200)).map(x -> x.reshape(30, 40)).toArray(Tensor[]::new);
    Tensor[] later = Arrays.stream(drawn(1200)).map(x -> x.reshape(30, 40)).toArray(Tensor[]::new);
    Tensor[] there = onCard(here);
    Tensor[] laterThere = onCard(later);
    for (Tensor[] in : List.of(here, later, there, laterThere)) {
      Tensor turned = in[1].t().copy();
      Tensor[] step = {in[0], turned.t(), in[2], in[3]};
      Dispatch.run(STEP, step);
    }
    assertSame(here, there);
    assertSame(later, laterThere);
  }

  @Test
  void aWaitingStepRunsBeforeItsMemoryGoesBackToTheDriver() {
    Tensor[] here = drawn(3 << 20);
    Tensor[] there = onCard(here);
    long before = launches();
    Dispatch.run(STEP, there);
    assertEquals(before, launches(), "it waits");
    for (Tensor tensor : there) {
      tensor.close();
    }
    cardPool().trim();
    if (EmulatedCard.instance() != null) {
      assertEquals(before + 1, launches(), "it runs");
    }
  }

  private static MemoryPool cardPool() {
    Device before = Device.current();
    try {
      Device.use(Device.CUDA);
      return MemoryPool.current();
    } finally {
      Device.use(before);
    }
  }

  @Test
  void otherWorkComesAfterWhatWaits() {
    Tensor[] here = drawn(500);
    Tensor[] there = onCard(here);
    Dispatch.run(STEP, here);
    Dispatch.run(STEP, there);
    Dispatch.run(new InPlace.ScaleInto(3), here[0]);
    Dispatch.run(new InPlace.ScaleInto(3), there[0]);
    Dispatch.run(STEP, there);
    there[1].write(bytes -> bytes.fill((byte) 0));
    Dispatch.run(STEP, here);
    here[1].write(bytes -> bytes.fill((byte) 0));
    assertSame(here, there);
  }

  /** More tensors than a launch takes, some empty, some of several blocks; the norm beyond the limit, within it, and not finite. */
  @Test
  void manyTensorsHaveOneNorm() {
    for (DType type : List.of(DType.F32, DType.F64)) {
      List<Tensor> here = new ArrayList<>();
      for (int i = 0; i < 300; i++) {
        here.add(drawn(i % 7 == 3 ? 0 : 1 + random.nextInt(i % 50 == 0 ? 9000 : 40))[0].cast(type));
      }
      Tensor[] there = onCard(here.toArray(Tensor[]::new));
      double norm = Dispatch.run(new Fused.GlobalNorm(), here.toArray(Tensor[]::new))[0].item();
      double[] found = new double[1];
      assertLaunches(2, () -> found[0] = Dispatch.run(new Fused.GlobalNorm(), there)[0].item());
      assertEquals(norm, found[0], 1e-6 * norm);
      clipped(here, there, norm, 2 * norm, false);
      clipped(here, there, norm, norm / 3, true);
      clipped(here, there, Double.NaN, norm / 9, false);
      clipped(here, there, Double.POSITIVE_INFINITY, norm / 9, false);
    }
  }

  private static void clipped(List<Tensor> here, Tensor[] there, double norm, double most, boolean changes) {
    Tensor given = Tensor.scalar(DType.F64, norm);
    List<float[]> before = here.stream().map(Tensor::toFloats).toList();
    Dispatch.run(new InPlace.ClipInto(most), with(given, here));
    assertLaunches(1, () -> Dispatch.run(new InPlace.ClipInto(most), with(given.to(Device.CUDA), List.of(there))));
    for (int i = 0; i < there.length; i++) {
      assertArrayEquals(here.get(i).toFloats(), there[i].to(Device.CPU).toFloats(), 1e-6f, "tensor " + i);
      assertEquals(!changes || before.get(i).length == 0, Arrays.equals(before.get(i), here.get(i).toFloats()), "tensor " + i);
    }
  }

  private static Tensor[] with(Tensor norm, List<Tensor> all) {
    return Stream.concat(Stream.of(norm), all.stream()).toArray(Tensor[]::new);
  }
}
