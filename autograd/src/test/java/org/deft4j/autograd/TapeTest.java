package org.deft4j.autograd;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.DTypeException;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.function.Executable;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What the tape promises, apart from the numbers. */
@ExtendWith(LeakCheck.class)
class TapeTest {
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static Tensor vector(double... values) {
    return Tensor.of(values);
  }

  @Test
  void addsUpTheGradientsOfEachUse() {
    Tensor x = vector(2, -3);
    try (Tape tape = Tape.watch(x)) {
      Tensor y = x.mul(x).add(x).sub(x.mul(3)).sum();
      assertArrayEquals(new double[] {2, -8}, tape.gradients(y).of(x).toDoubles());
    }
  }

  /** Of {@code x stop(x^2)} the second factor is a constant, whose value is that of x^2 all the same. */
  @Test
  void whatIsDetachedIsAConstant() {
    Tensor x = vector(2, -3);
    try (Tape tape = Tape.watch(x)) {
      Tensor y = x.mul(x.square().detach());
      assertArrayEquals(new double[] {8, -27}, y.toDoubles());
      assertArrayEquals(new double[] {4, 9}, tape.gradients(y.sum()).of(x).toDoubles());
    }
  }

  @Test
  void recordsOnlyWhatDependsOnAWatchedTensor() {
    Tensor x = vector(1, 2);
    Tensor frozen = vector(3, 4);
    try (Tape tape = Tape.watch(x)) {
      long held = MemoryPool.cpu().liveBytes();
      try (Scope _ = Scope.open()) {
        frozen.mul(frozen).exp().sum();
      }
      assertEquals(held, MemoryPool.cpu().liveBytes());
      Tensor y = x.mul(frozen.mul(frozen)).sum();
      Gradients gradients = tape.gradients(y);
      assertArrayEquals(new double[] {9, 16}, gradients.of(x).toDoubles());
      assertFalse(gradients.has(frozen));
    }
  }

  @Test
  void keepsWhatItNeedsWhenTheScopeOfTheForwardPassCloses() {
    Tensor x = vector(0.5, 2);
    try (Tape tape = Tape.watch(x)) {
      Tensor y = Scope.run(() -> x.exp().log().square().sum());
      assertArrayEquals(new double[] {1, 4}, tape.gradients(y).of(x).toDoubles(), 1e-12);
    }
  }

  @Test
  void givesBackWhatItKeptWhenClosedWithoutGradients() {
    Tensor x = vector(0.5, 2);
    long held = MemoryPool.cpu().liveBytes();
    try (Tape _ = Tape.watch(x)) {
      try (Scope _ = Scope.open()) {
        x.exp().square().sum();
      }
      assertTrue(MemoryPool.cpu().liveBytes() > held);
    }
    assertEquals(held, MemoryPool.cpu().liveBytes());
  }

  @Test
  void gradientsBelongToTheInnermostScope() {
    Tensor x = vector(0.5, 2);
    Tensor gradient;
    try (Tape tape = Tape.watch(x)) {
      Tensor y = x.square().sum();
      try (Scope _ = Scope.open()) {
        gradient = tape.gradients(y).of(x);
        assertTrue(gradient.isOpen());
      }
      assertFalse(gradient.isOpen());
    }
  }

  @Test
  void gradientsHaveMemoryOfTheirOwn() {
    Tensor a = vector(1, 2);
    Tensor b = vector(3, 4);
    Tensor upstream = vector(5, 6);
    try (Tape tape = Tape.watch(a, b)) {
      Gradients gradients = tape.gradients(a.add(b), upstream);
      Dispatch.run(new InPlace.ScaleInto(2), gradients.of(a));
      assertArrayEquals(new double[] {10, 12}, gradients.of(a).toDoubles());
      assertArrayEquals(new double[] {5, 6}, gradients.of(b).toDoubles());
      assertArrayEquals(new double[] {5, 6}, upstream.toDoubles());
    }
    try (Tape tape = Tape.watch(a)) {
      Tensor gradient = tape.gradients(a.sum()).of(a);
      assertTrue(gradient.isContiguous());
    }
  }

  @Test
  void freezesCostNothing() {
    Saves frozenWeight = Rules.of(new Contraction.Linear(), new Needs(true, false, true)).saves(new Needs(true, false, true));
    assertTrue(frozenWeight.hasInput(1));
    assertFalse(frozenWeight.hasInput(0));
    Saves frozenInput = Rules.of(new Contraction.Linear(), new Needs(false, true)).saves(new Needs(false, true));
    assertTrue(frozenInput.hasInput(0));
    assertFalse(frozenInput.hasInput(1));
    Needs bias = new Needs(false, false, true);
    assertEquals(Saves.NOTHING, Rules.of(new Norm.GroupNorm(1, 1e-5), bias).saves(bias));
    assertEquals(Saves.NOTHING, Rules.of(new Norm.LayerNorm(1, 1e-5), bias).saves(bias));
  }

  @Test
  void aFrozenLayerDoesNotKeepItsInput() {
    Tensor x = Tensor.zeros(DType.F32, 64, 64);
    Tensor w = Tensor.zeros(DType.F32, 16, 64);
    try (Tape _ = Tape.watch(x)) {
      long held = MemoryPool.cpu().liveBytes();
      try (Scope _ = Scope.open()) {
        x.add(1).linear(w).add(1);
      }
      assertEquals(held, MemoryPool.cpu().liveBytes());
    }
  }

  @Test
  void freesAsItWalksBack() {
    Tensor x = Tensor.zeros(DType.F32, 1024);
    try (Tape tape = Tape.watch(x)) {
      Tensor loss = Scope.run(() -> {
        Tensor h = x;
        for (int i = 0; i < 50; i++) {
          h = h.sin();
        }
        return h.sum();
      });
      long recorded = MemoryPool.cpu().liveBytes();
      MemoryPool.cpu().resetPeak();
      tape.gradients(loss);
      assertTrue(MemoryPool.cpu().peakLiveBytes() < recorded + 8 * 4096,
          MemoryPool.cpu().peakLiveBytes() + " bytes at the peak, " + recorded + " before");
    }
  }

  @Test
  void tenThousandStepsNeedNoStack() {
    Tensor x = vector(1.5);
    try (Tape tape = Tape.watch(x)) {
      Tensor h = x;
      for (int i = 0; i < 10_000; i++) {
        h = h.neg();
      }
      assertArrayEquals(new double[] {1}, tape.gradients(h).of(x).toDoubles());
    }
  }

  @Test
  void tapesNest() {
    Tensor x = vector(3);
    Tensor w = vector(2);
    try (Tape outer = Tape.watch(x)) {
      Tensor h = x.mul(w);
      try (Tape inner = Tape.watch(w)) {
        Gradients gradients = inner.gradients(h.mul(w));
        assertArrayEquals(new double[] {6}, gradients.of(w).toDoubles());
        assertFalse(gradients.has(x));
      }
      assertArrayEquals(new double[] {4}, outer.gradients(h.mul(w)).of(x).toDoubles());
    }
  }

  @Test
  void anOuterTapeDifferentiatesAGradientOfPlainOperations() {
    Tensor x = vector(3);
    try (Tape outer = Tape.watch(x)) {
      try (Tape inner = Tape.watch(x)) {
        Tensor slope = inner.gradients(x.mul(x).mul(x)).of(x);
        assertArrayEquals(new double[] {27}, slope.toDoubles());
        assertArrayEquals(new double[] {18}, outer.gradients(slope).of(x).toDoubles());
      }
    }
  }

  @Test
  void gradientsOfBf16AreBf16AndOfF16AreF32() {
    Tensor x = Tensor.of(new float[] {1, 2, 3, 4}, 2, 2);
    Tensor w = Tensor.of(new float[] {0.5f, 1, -1, 2}, 2, 2).cast(DType.BF16);
    Tensor half = Tensor.of(new float[] {3, 5}).cast(DType.F16);
    try (Tape tape = Tape.watch(x, w, half)) {
      Tensor y = x.linear(w).mul(half.cast(DType.F32)).sum();
      Gradients gradients = tape.gradients(y);
      assertEquals(DType.BF16, gradients.of(w).dtype());
      assertArrayEquals(new double[] {3 * 4, 3 * 6, 5 * 4, 5 * 6}, gradients.of(w).toDoubles());
      assertArrayEquals(new double[] {-3.5, 13, -3.5, 13}, gradients.of(x).toDoubles());
      assertEquals(DType.F32, gradients.of(half).dtype());
      assertArrayEquals(new double[] {2.5 + 5.5, 3 + 5}, gradients.of(half).toDoubles());
    }
  }

  @Test
  void emptyTensorsHaveEmptyGradients() {
    Tensor x = Tensor.of(new double[0], 0, 3);
    Tensor row = vector(1, 2, 3);
    try (Tape tape = Tape.watch(x, row)) {
      Gradients gradients = tape.gradients(x.mul(row).add(row).exp().sum());
      assertEquals(x.shape(), gradients.of(x).shape());
      assertArrayEquals(new double[] {0, 0, 0}, gradients.of(row).toDoubles());
    }
  }

  @Test
  void runsOnTheMetaDevice() {
    Tensor x = Tensor.empty(Device.META, DType.F32, Shape.of(2, 3));
    Tensor w = Tensor.empty(Device.META, DType.F32, Shape.of(4, 3));
    try (Tape tape = Tape.watch(w)) {
      Tensor y = x.linear(w).gelu().softmax(1).square().mean();
      Tensor gradient = tape.gradients(y).of(w);
      assertEquals(w.shape(), gradient.shape());
      assertEquals(Device.META, gradient.device());
    }
  }

  // ------------------------------------------------------------------------------------------------------ errors

  @Test
  void namesTheTensorWithoutGradient() {
    Tensor used = vector(1).named("used");
    Tensor idle = vector(1).named("blocks.3.idle");
    Tensor strange = vector(1).named("strange");
    try (Tape tape = Tape.watch(List.of(used, idle))) {
      Gradients gradients = tape.gradients(used.square());
      assertTrue(gradients.has(used));
      assertFalse(gradients.has(idle));
      assertError(IllegalArgumentException.class, "blocks.3.idle", () -> gradients.of(idle));
      assertError(IllegalArgumentException.class, "not watched", () -> gradients.of(strange));
    }
  }

  @Test
  void noticesThatAKeptTensorWasChanged() {
    Tensor x = vector(1, 2);
    Tensor w = vector(3, 4).named("w");
    try (Tape tape = Tape.watch(x)) {
      Tensor y = x.mul(w).sum();
      Dispatch.run(new InPlace.Fill(0), w.slice(0, 0, 1));
      assertError(IllegalStateException.class, "changed in place", () -> tape.gradients(y));
    }
  }

  @Test
  void mayChangeWhatIsNotKept() {
    Tensor x = vector(1, 2);
    Tensor w = vector(3, 4);
    try (Tape tape = Tape.watch(x)) {
      Tensor y = x.add(w).sum();
      Dispatch.run(new InPlace.Fill(0), w);
      assertArrayEquals(new double[] {1, 1}, tape.gradients(y).of(x).toDoubles());
    }
  }

  @Test
  void refusesToChangeWhatDependsOnAWatchedTensor() {
    Tensor x = vector(1, 2);
    Tensor plain = vector(1, 2);
    try (Tape _ = Tape.watch(x)) {
      Tensor y = x.add(1);
      assertError(IllegalStateException.class, "scale_into", () -> Dispatch.run(new InPlace.ScaleInto(2), y));
      assertError(IllegalStateException.class, "copy_into", () -> Dispatch.run(new InPlace.CopyInto(), plain, y));
    }
    Dispatch.run(new InPlace.ScaleInto(2), x);
    assertArrayEquals(new double[] {2, 4}, x.toDoubles());
  }

  @Test
  void givesGradientsOnce() {
    Tensor x = vector(2);
    try (Tape tape = Tape.watch(x)) {
      Tensor y = x.square();
      tape.gradients(y);
      assertError(IllegalStateException.class, "open another", () -> tape.gradients(y));
      Tensor after = x.square();
      assertError(IllegalStateException.class, "open another", () -> tape.gradients(after));
    }
  }

  @Test
  void saysWhatIsWrongWithItsArguments() {
    Tensor x = vector(1, 2);
    Tensor index = Tensor.of(new long[] {1, 2});
    assertError(DTypeException.class, "floating", () -> Tape.watch(index));
    assertError(IllegalArgumentException.class, "at least one", () -> Tape.watch(List.of()));
    try (Tape tape = Tape.watch(x)) {
      Tensor y = x.square();
      assertError(ShapeException.class, "one element", () -> tape.gradients(y));
      assertError(ShapeException.class, "outputGradient", () -> tape.gradients(y, vector(1, 2, 3)));
      assertError(IllegalArgumentException.class, "does not depend", () -> tape.gradients(vector(1)));
    }
  }

  @Test
  void belongsToItsThread() throws Exception {
    Tensor x = vector(1);
    try (Tape tape = Tape.watch(x)) {
      Tensor y = x.square();
      CompletableFuture.runAsync(() -> assertError(IllegalStateException.class, "thread", () -> tape.gradients(y))).get();
    }
  }

  @Test
  void statisticsHaveNoGradient() {
    Tensor x = Tensor.of(new double[] {1, 2, 3, 5}, 2, 2);
    try (Tape tape = Tape.watch(x)) {
      Tensor[] normed = Dispatch.run(new Norm.LayerNorm(1, 1e-5), x);
      Tensor y = normed[1].sum();
      assertError(UnsupportedOperationException.class, "output 1", () -> tape.gradients(y));
    }
  }

  @Test
  void anErrorLeavesNothingBehind() {
    Tensor x = Tensor.zeros(DType.F64, 3, 2);
    long held = MemoryPool.cpu().liveBytes();
    try (Scope _ = Scope.open(); Tape tape = Tape.watch(x)) {
      Tensor[] normed = Dispatch.run(new Norm.LayerNorm(1, 1e-5), x.add(1).exp());
      Tensor y = normed[1].add(normed[0].sum(1)).sum();
      assertThrows(UnsupportedOperationException.class, () -> tape.gradients(y));
    }
    assertEquals(held, MemoryPool.cpu().liveBytes());
  }

  private static <T extends Throwable> void assertError(Class<T> type, String text,
      Executable action) {
    T error = assertThrows(type, action);
    assertTrue(error.getMessage().contains(text), error.getMessage());
  }

  /** Slices that overlap, one that is used twice, and the whole: the terms meet in one sum, however they come. */
  @Test
  void slicesOfOneTensorAddUp() {
    double[] values = new double[24];
    Arrays.setAll(values, i -> i - 7.5);
    Tensor x = Tensor.of(values, 4, 6);
    double[] wanted = new double[24];
    try (Tape tape = Tape.watch(x)) {
      Tensor left = x.slice(1, 0, 4);
      Tensor right = x.slice(1, 2, 6, 2);
      Tensor y = left.mul(2).sum().add(right.mul(right).sum()).add(left.sum()).add(x.square().sum());
      for (int i = 0; i < 24; i++) {
        int column = i % 6;
        wanted[i] = 2 * values[i] + (column < 4 ? 3 : 0) + (column == 2 || column == 4 ? 2 * values[i] : 0);
      }
      assertArrayEquals(wanted, tape.gradients(y).of(x).toDoubles(), 1e-12);
    }
  }
}
