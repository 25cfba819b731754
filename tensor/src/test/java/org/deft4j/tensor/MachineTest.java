package org.deft4j.tensor;

import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.internal.CpuKernels;
import org.deft4j.tensor.internal.Limits;
import org.deft4j.tensor.internal.ScalarKernels;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The limits of the machine are measured, whatever the kernels; what they do is done in full. */
class MachineTest {
  @Test
  void ratesAreOfThisWorld() {
    assertTrue(Machine.multiplyAddRate() > 1e6 && Machine.multiplyAddRate() < 1e15);
    try (Scope _ = Scope.open()) {
      Tensor from = Tensor.full(DType.F32, 3, 1 << 20);
      Tensor to = Tensor.zeros(DType.F32, 1 << 20);
      assertTrue(Machine.readRate(from) > 1e6 && Machine.readRate(from) < 1e15);
      assertTrue(Machine.copyRate(from, to) > 1e6);
      assertEquals(3.0 * (1 << 20), to.sum().item(), "what is timed as a copy is one");
      Tensor small = Tensor.zeros(DType.F32, 8);
      assertThrows(ShapeException.class, () -> Machine.readRate(small));
    }
  }

  @Test
  void noProductIsFasterThanTheLimit() {
    int threads = Threads.count();
    try (Scope _ = Scope.open()) {
      Threads.set(1);
      Tensor a = new TorchRandom(0).normal(DType.F32, 256, 256);
      double product = 0;
      double limit = 0;
      for (int i = 0; i < 10; i++) {
        long start = System.nanoTime();
        a.matmul(a);
        product = Math.max(product, 2.0 * 256 * 256 * 256 / (System.nanoTime() - start) * 1e9);
        limit = Math.max(limit, Machine.multiplyAddRate());
      }
      assertTrue(limit >= product, limit + " against " + product);
    } finally {
      Threads.set(threads);
    }
  }

  @Test
  void everyStepAndEveryByteCounts() {
    for (Limits limits : new Limits[] {new ScalarKernels().limits(), CpuKernels.get().limits()}) {
      for (Limits.MultiplyAdds form : limits.multiplyAdds()) {
        assertTrue(form.flopPerStep() >= 24);
        assertNotEquals(form.loop().run(1), form.loop().run(2));
      }
      try (Scope _ = Scope.open()) {
        Tensor x = Tensor.zeros(DType.I32, 1 << 10);
        assertEquals(0, limits.read(x.memory(), 0, 1 << 12));
        for (long element : new long[] {0, 5, 77, 512, 1023}) {
          x.memory().setAtIndex(ValueLayout.JAVA_INT, element, 5);
          assertNotEquals(0, limits.read(x.memory(), 0, 1 << 12));
          long start = element / 64 * 256;
          assertNotEquals(0, limits.read(x.memory(), start, start + 256));
          x.memory().setAtIndex(ValueLayout.JAVA_INT, element, 0);
        }
      }
    }
  }

  @Test
  void kernelsAreNamed() {
    assertTrue(Machine.kernels().matches("(vector kernels, (128|256|512) bits wide|scalar kernels)"), Machine.kernels());
    assertTrue(Machine.largestCacheBytes().orElse(1) > 0);
  }
}
