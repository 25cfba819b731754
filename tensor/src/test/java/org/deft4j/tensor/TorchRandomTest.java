package org.deft4j.tensor;

import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The generator's state, independence of threads, and the shape of its distributions; PyTorch's bits are golden data. */
@ExtendWith(LeakCheck.class)
class TorchRandomTest {
  @Test
  void knownNumbers() {
    try (Scope _ = Scope.open()) {
      // torch.manual_seed(0); torch.randn(3), and torch.manual_seed(42); torch.rand(2)
      assertArrayEquals(new float[] {1.5409961f, -0.2934289f, -2.1787894f},
          new TorchRandom(0).normal(DType.F32, 3).toFloats());
      assertArrayEquals(new float[] {0.88226926f, 0.91500396f}, new TorchRandom(42).uniform(DType.F32, 2).toFloats());
    }
  }

  @Test
  void aRestoredStateGoesOnWithTheWaitingNormalToo() {
    try (Scope _ = Scope.open()) {
      TorchRandom random = new TorchRandom(7);
      random.normal(DType.F32, 3);
      random.uniform(DType.F32, 700);
      long[] state = random.state();
      double[] next = draw(random);
      TorchRandom other = new TorchRandom(123);
      other.restore(state);
      assertArrayEquals(next, draw(other));
      assertArrayEquals(random.state(), other.state());
      random.restore(state);
      assertArrayEquals(next, draw(random));
      assertThrows(IllegalArgumentException.class, () -> random.restore(new long[3]));
      assertThrows(IllegalArgumentException.class, () -> random.restore(new long[state.length + 1]));
    }
  }

  private static double[] draw(TorchRandom random) {
    return Tensor.concat(0, random.normal(DType.F64, 4), random.normal(DType.F64, 20), random.uniform(DType.F64, 3),
        random.permutation(9).cast(DType.F64)).toDoubles();
  }

  @Test
  void theNumberOfThreadsChangesNoBit() {
    int threads = Threads.count();
    try (Scope _ = Scope.open()) {
      Threads.set(1);
      Tensor alone = new TorchRandom(5).normal(DType.F32, 50_001);
      Threads.set(3);
      Tensor shared = new TorchRandom(5).normal(DType.F32, 50_001);
      assertEquals(-1, alone.bytes().mismatch(shared.bytes()));
    } finally {
      Threads.set(threads);
    }
  }

  @Test
  void momentsOfTheDistributions() {
    try (Scope _ = Scope.open()) {
      TorchRandom random = new TorchRandom(11);
      for (DType dtype : new DType[] {DType.F32, DType.F64}) {
        Tensor normal = Tensor.empty(Device.CPU, dtype, Shape.of(100_000));
        random.fillNormal(normal, 3, 0.5);
        assertEquals(3, normal.mean().item(), 0.01);
        assertEquals(0.25, normal.var(1).item(), 0.01);
        Tensor uniform = Tensor.empty(Device.CPU, dtype, Shape.of(100_000));
        random.fillUniform(uniform, -1, 3);
        assertEquals(1, uniform.mean().item(), 0.02);
        assertEquals(16 / 12.0, uniform.var(1).item(), 0.02);
        assertTrue(uniform.min(false).item() >= -1 && uniform.max(false).item() <= 3);
      }
    }
  }

  @Test
  void integersStayInTheirRange() {
    TorchRandom random = new TorchRandom(1);
    for (int i = 0; i < 1000; i++) {
      long small = random.between(-3, 4);
      assertTrue(small >= -3 && small < 4);
      long large = random.between(Long.MIN_VALUE, Long.MAX_VALUE);
      assertTrue(large < Long.MAX_VALUE);
    }
    assertThrows(IllegalArgumentException.class, () -> random.between(4, 4));
    try (Scope _ = Scope.open()) {
      assertEquals(Shape.of(), random.integers(0, 5).shape());
      assertEquals(Shape.of(2, 3), random.integers(0, 5, 2, 3).shape());
      long live = MemoryPool.cpu().liveBytes();
      assertThrows(IllegalArgumentException.class, () -> random.integers(5, 5, 2));
      assertEquals(live, MemoryPool.cpu().liveBytes());
    }
  }

  @Test
  void fillingAPartOfATensorLeavesTheRest() {
    try (Scope _ = Scope.open()) {
      Tensor x = Tensor.zeros(DType.F32, 3, 20);
      new TorchRandom(0).fillNormal(x.slice(0, 1, 2), 0, 1);
      assertEquals(0, x.select(0, 0).abs().sum().item() + x.select(0, 2).abs().sum().item());
      assertArrayEquals(new TorchRandom(0).normal(DType.F32, 20).toFloats(), x.select(0, 1).toFloats());
    }
  }
}
