package org.deft4j.tensor;

import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The pool's accounts, its budget, and that a loop in its steady state asks the system for nothing. */
@ExtendWith(LeakCheck.class)
class MemoryPoolTest {
  private static final long KIB = 1024;

  @Test
  void sizeClassesAreAtMostASixteenthTooLarge() {
    for (long bytes = 0; bytes < 3000; bytes++) {
      checkSizeClass(bytes);
    }
    for (int shift = 12; shift < 62; shift++) {
      for (long offset = -1; offset <= 1; offset++) {
        checkSizeClass((1L << shift) + offset);
        checkSizeClass((5L << (shift - 2)) + offset);
        checkSizeClass((25L << (shift - 4)) + offset);
      }
    }
    assertEquals(Long.MAX_VALUE, MemoryPool.sizeClass(Long.MAX_VALUE));
    for (long weight : new long[] {320L * 320 * 2, 640L * 2560 * 2, 1280L * 10240 * 2, 2048L * 1280 * 4}) {
      assertEquals(weight, MemoryPool.sizeClass(weight), "no byte is lost on a weight of SDXL");
    }
  }

  private static void checkSizeClass(long bytes) {
    long size = MemoryPool.sizeClass(bytes);
    assertTrue(size >= bytes && size >= MemoryPool.ALIGNMENT, bytes + " in " + size);
    assertTrue(size % MemoryPool.ALIGNMENT == 0 || size > 1L << 60, bytes + " in " + size);
    assertTrue(size - Math.max(1, bytes) < MemoryPool.ALIGNMENT || size - bytes <= bytes / 16, bytes + " in " + size);
    assertEquals(size, MemoryPool.sizeClass(size), "a size class is its own");
  }

  @Test
  void accountsFollowWhatIsTakenAndGivenBack() {
    MemoryPool pool = new MemoryPool(1 << 20);
    MemoryPool.Block a = pool.allocate(4 * KIB, () -> "a");
    MemoryPool.Block b = pool.allocate(8 * KIB, () -> "b");
    assertEquals(12 * KIB, pool.liveBytes());
    assertEquals(2, pool.systemAllocations());
    pool.release(a);
    assertEquals(8 * KIB, pool.liveBytes());
    assertEquals(12 * KIB, pool.peakLiveBytes());
    assertEquals(12 * KIB, pool.reservedBytes());
    MemoryPool.Block again = pool.allocate(4 * KIB, () -> "again");
    assertTrue(again == a, "a freed block serves the next request of its class");
    assertEquals(2, pool.systemAllocations());
    pool.release(again);
    pool.release(b);
    pool.resetPeak();
    assertEquals(0, pool.peakLiveBytes());
    pool.trim();
    assertEquals(0, pool.reservedBytes());
    assertTrue(!a.segment.scope().isAlive(), "trimmed memory is gone");
  }

  @Test
  void theBudgetRefusesAndNamesWhatWasAskedFor() {
    MemoryPool pool = new MemoryPool(10 * KIB);
    MemoryPool.Block a = pool.allocate(8 * KIB, () -> "a");
    MemoryException refusal = assertThrows(MemoryException.class, () -> pool.allocate(4 * KIB, () -> "linear F32[32, 32]"));
    assertEquals("linear F32[32, 32]: 4.0 KiB more would exceed the memory budget of 10.0 KiB; in use are 8.0 KiB."
        + " Use a smaller size, batch or rank, or raise the budget (-Ddeft4j.memory=BYTES)", refusal.getMessage());
    assertEquals(8 * KIB, pool.liveBytes());
    pool.release(a);
    pool.release(pool.allocate(4 * KIB, () -> "the unused block makes room"));
    assertEquals(4 * KIB, pool.reservedBytes());
    assertThrows(MemoryException.class, () -> pool.allocate(Long.MAX_VALUE, () -> "all there is"));
    pool.setBudget(100 * KIB);
    pool.release(pool.allocate(64 * KIB, () -> "more"));
    assertEquals(100 * KIB, pool.budget());
    assertThrows(IllegalArgumentException.class, () -> pool.setBudget(-1));
    pool.trim();
  }

  @Test
  void whatTheSystemRefusesIsAMemoryException() {
    MemoryPool pool = new MemoryPool(Long.MAX_VALUE);
    assertTrue(assertThrows(MemoryException.class, () -> pool.allocate(1L << 60, () -> "everything")).getMessage()
        .startsWith("everything: the system refused 1024.0 PiB"));
    assertEquals(0, pool.liveBytes());
    assertEquals(0, pool.reservedBytes());
  }

  @Test
  void tensorsBeyondTheBudgetAreRefusedByTypeAndShape() {
    MemoryPool pool = MemoryPool.cpu();
    long budget = pool.budget();
    long live = pool.liveBytes();
    pool.trim();
    pool.setBudget(pool.reservedBytes() + (1 << 20));
    try {
      String message = assertThrows(MemoryException.class, () -> Tensor.zeros(DType.F32, 1024, 1024)).getMessage();
      assertTrue(message.startsWith("empty F32[1024, 1024]: 4.0 MiB more would exceed the memory budget of "), message);
      assertEquals(live, pool.liveBytes());
    } finally {
      pool.setBudget(budget);
    }
  }

  @Test
  void shapesBeyondAddressesAreRefused() {
    assertEquals("empty: F32 of shape [4611686018427387904] has more than 2^63 - 1 bytes",
        assertThrows(ShapeException.class, () -> Tensor.zeros(DType.F32, 1L << 62)).getMessage());
  }

  @Test
  void theSteadyStateAsksTheSystemForNothing() {
    try (Scope _ = Scope.open()) {
      TorchRandom random = new TorchRandom(0);
      Tensor w = random.normal(DType.F32, 64, 64);
      Tensor x = random.normal(DType.F32, 16, 64);
      long allocations = 0;
      long reserved = 0;
      for (int step = 0; step < 30; step++) {
        try (Scope _ = Scope.open()) {
          Tensor y = x.linear(w).silu().transpose(0, 1).contiguous().softmax(0);
          Tensor loss = y.square().mean();
          Dispatch.run(new InPlace.AddScaledInto(loss.item() * 1e-6), w, random.normal(DType.F32, 64, 64));
        }
        if (step == 2) {
          allocations = MemoryPool.cpu().systemAllocations();
          reserved = MemoryPool.cpu().reservedBytes();
        }
      }
      assertEquals(allocations, MemoryPool.cpu().systemAllocations());
      assertEquals(reserved, MemoryPool.cpu().reservedBytes());
    }
  }

  @Test
  void theMetaDeviceHasShapesAndNoMemory() {
    try (Scope _ = Scope.open()) {
      long live = MemoryPool.cpu().liveBytes();
      Tensor x = Tensor.empty(Device.META, DType.F32, Shape.of(1L << 20, 1L << 20));
      Tensor y = x.matmul(x.t()).softmax(-1).reshape(-1);
      assertEquals(Shape.of(1L << 40), y.shape());
      assertEquals(live, MemoryPool.cpu().liveBytes());
      assertThrows(UnsupportedOperationException.class, y::memory);
      Tensor real = Tensor.zeros(DType.F32, 2);
      assertEquals("add: inputs are on different devices, tensor F32[2] and tensor F32[2] on META", assertThrows(
          ShapeException.class, () -> real.add(Tensor.empty(Device.META, DType.F32, Shape.of(2)))).getMessage());
    }
  }

  @Test
  void bytesForPeople() {
    assertEquals("0 B", MemoryPool.describe(0));
    assertEquals("1023 B", MemoryPool.describe(1023));
    assertEquals("1.5 KiB", MemoryPool.describe(1536));
    assertEquals("7.9 GiB", MemoryPool.describe(8_500_000_000L));
    assertEquals("8192.0 PiB", MemoryPool.describe(Long.MAX_VALUE));
  }

  @Test
  void bytesFromPeople() {
    assertEquals(8_000_000_000L, MemoryPool.parseBytes("8000000000"));
    assertEquals(8L << 30, MemoryPool.parseBytes("8g"));
    assertEquals(512L << 20, MemoryPool.parseBytes("512M"));
    for (String wrong : new String[] {"", "g", "-1", "1.5g", "8gb", "99999999999999999999"}) {
      assertEquals("memory size '" + wrong + "': expected a number of bytes, or one followed by k, m, g or t, as in 8g",
          assertThrows(IllegalArgumentException.class, () -> MemoryPool.parseBytes(wrong)).getMessage());
    }
  }
}
