package org.deft4j.tensor;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.random.RandomGenerator;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The pool's accounts, its budget, and that a loop in its steady state asks the system for nothing. */
@ExtendWith(LeakCheck.class)
class MemoryPoolTest {
  private static final long KIB = 1024;
  private static final long MIB = 1024 * KIB;

  private static Block take(MemoryPool pool, long bytes) {
    return pool.allocate(bytes, () -> bytes + " bytes");
  }

  @Test
  void accountsFollowWhatIsTakenAndGivenBack() {
    MemoryPool pool = new MemoryPool(64 * MIB);
    Block a = take(pool, 4 * KIB);
    Block b = take(pool, 8 * KIB - 1);
    MemorySegment memory = b.memory();
    assertEquals(8 * KIB, memory.byteSize(), "rounded up to whole cache lines");
    assertEquals(12 * KIB, pool.liveBytes());
    assertEquals(1, pool.systemAllocations());
    pool.release(a);
    assertEquals(8 * KIB, pool.liveBytes());
    assertEquals(12 * KIB, pool.peakLiveBytes());
    long reserved = pool.reservedBytes();
    Block again = take(pool, 4 * KIB);
    assertSame(a, again, "a freed range serves the next request that it fits");
    assertEquals(1, pool.systemAllocations());
    pool.release(again);
    pool.release(b);
    pool.resetPeak();
    assertEquals(0, pool.peakLiveBytes());
    assertEquals(reserved, pool.reservedBytes());
    pool.trim();
    assertEquals(0, pool.reservedBytes());
    assertFalse(memory.scope().isAlive(), "trimmed memory is gone");
  }

  @Test
  void theSmallestRangeThatFitsIsTakenAndNeighboursJoin() {
    MemoryPool pool = new MemoryPool(64 * MIB);
    List<Block> row = new ArrayList<>();
    for (long size : new long[] {300, 70, 200, 70, 100, 70, 214}) {
      row.add(take(pool, size * KIB));
    }
    assertEquals(1, pool.systemAllocations(), "all are cut from one segment of 1 MiB");
    for (int i : new int[] {0, 2, 4}) {
      pool.release(row.get(i));
    }
    assertSame(row.get(4), take(pool, 90 * KIB));
    assertSame(row.get(2), take(pool, 150 * KIB));
    pool.release(row.get(2));
    pool.release(row.get(1));
    Block joined = take(pool, 570 * KIB);
    assertSame(row.get(0), joined, "three free ranges side by side are one");
    assertEquals(1, pool.systemAllocations());
    pool.release(joined);
    for (int i : new int[] {3, 4, 5, 6}) {
      pool.release(row.get(i));
    }
    Block whole = take(pool, MIB);
    assertEquals(1, pool.systemAllocations(), "what was cut up is whole again");
    pool.release(whole);
    pool.trim();
    assertEquals(0, pool.reservedBytes());
  }

  /** Requests of all sizes in random order: aligned, apart from each other, accounted for, and gone at the end. */
  @Test
  void blocksNeverOverlap() {
    MemoryPool pool = new MemoryPool(256 * MIB);
    RandomGenerator random = new SplittableRandom(1);
    List<Block> held = new ArrayList<>();
    TreeMap<Long, Block> byAddress = new TreeMap<>();
    long live = 0;
    for (int i = 0; i < 3000; i++) {
      if (held.isEmpty() || random.nextInt(100) < 52) {
        Block block = take(pool, (long) Math.pow(2, random.nextDouble(0, 20)));
        long start = block.memory().address();
        assertEquals(0, start % MemoryPool.ALIGNMENT);
        Map.Entry<Long, Block> below = byAddress.lowerEntry(start + block.size());
        assertTrue(below == null || below.getKey() + below.getValue().size() <= start, "a block in another");
        byAddress.put(start, block);
        held.add(block);
        live += block.size();
      } else {
        Block block = held.remove(random.nextInt(held.size()));
        byAddress.remove(block.memory().address());
        live -= block.size();
        pool.release(block);
      }
      assertEquals(live, pool.liveBytes());
      assertTrue(pool.reservedBytes() >= live);
    }
    held.forEach(pool::release);
    assertEquals(0, pool.liveBytes());
    pool.trim();
    assertEquals(0, pool.reservedBytes(), "every segment is whole again");
  }

  /** A small tensor that stays while large ones come and go must not keep their memory from being one piece. */
  @Test
  void smallRequestsAreKeptApartFromLargeOnes() {
    MemoryPool pool = new MemoryPool(64 * MIB);
    List<Block> small = new ArrayList<>();
    for (int i = 0; i < 20; i++) {
      Block large = take(pool, 900 * KIB);
      small.add(take(pool, 100));
      pool.release(large);
    }
    assertEquals(2, pool.systemAllocations());
    small.forEach(pool::release);
    pool.trim();
  }

  /** Requests that grow: without giving back what became too small, all sizes together would be reserved. */
  @Test
  void whatIsReservedStaysNearWhatWasNeededAtOnce() {
    MemoryPool pool = new MemoryPool(Long.MAX_VALUE);
    for (long size = 100; size < 2000; size += 100) {
      pool.release(take(pool, size * KIB));
      assertTrue(pool.reservedBytes() <= Math.max(MIB, pool.peakLiveBytes() * 33 / 32), pool.reservedBytes() + " reserved");
    }
    pool.trim();
  }

  /** The matrices of a decoder of 32 layers, none of which fits behind another in a shared segment. */
  @Test
  void weightsThatAreAnnouncedLeaveNoRoomBetweenThem() {
    List<Long> sizes = Stream.generate(() -> List.of(48 * MIB, 96 * MIB, 18 * MIB, 54 * MIB, 6 * KIB)).limit(32)
        .flatMap(List::stream).toList();
    MemoryPool scattered = MemoryPool.withoutMemory();
    sizes.forEach(size -> take(scattered, size));
    assertTrue(scattered.reservedBytes() > scattered.liveBytes() * 11 / 10, scattered.reservedBytes() + " reserved");
    MemoryPool pool = MemoryPool.withoutMemory();
    pool.reserve(sizes.stream().mapToLong(Long::longValue), () -> "weights");
    assertEquals(0, pool.liveBytes());
    List<Block> weights = sizes.stream().map(size -> take(pool, size)).toList();
    assertTrue(pool.reservedBytes() - pool.liveBytes() < 256 * KIB, pool.reservedBytes() + " reserved");
    weights.forEach(pool::release);
    pool.trim();
    assertEquals(0, pool.reservedBytes());
    pool.setBudget(100 * MIB);
    MemoryException refused = assertThrows(MemoryException.class, () -> pool.reserve(LongStream.of(60 * MIB, 60 * MIB), () -> "weights"));
    assertTrue(refused.getMessage().startsWith("weights: 120.0 MiB more would exceed"), refused.getMessage());
  }

  /** A step of requests of a few sizes, the same each time, and some that stay: the first steps make all the room. */
  @Test
  void aThousandStepsAskTheSystemForNothing() {
    for (int seed = 0; seed < 5; seed++) {
      MemoryPool pool = MemoryPool.withoutMemory();
      long asked = 0;
      long[] sizes = new SplittableRandom(seed).longs(8, 1000, 8_000_000).toArray();
      for (int step = 0; step < 1000; step++) {
        RandomGenerator random = new SplittableRandom(seed);
        List<Block> held = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
          if (!held.isEmpty() && random.nextInt(100) < 45) {
            pool.release(held.remove(random.nextInt(held.size())));
          } else {
            held.add(take(pool, sizes[random.nextInt(sizes.length)]));
          }
          if (step == 0 && i % 50 == 0) {
            take(pool, 5000);
          }
        }
        held.forEach(pool::release);
        asked = step == 20 ? pool.systemAllocations() : asked;
      }
      assertEquals(asked, pool.systemAllocations());
      assertTrue(pool.peakReservedBytes() < 1.25 * pool.peakLiveBytes(), pool.peakReservedBytes() + " reserved for "
          + pool.peakLiveBytes());
    }
  }

  @Test
  void theBudgetRefusesAndNamesWhatWasAskedFor() {
    MemoryPool pool = new MemoryPool(10 * KIB);
    Block a = take(pool, 8 * KIB);
    MemoryException refusal = assertThrows(MemoryException.class, () -> pool.allocate(4 * KIB, () -> "linear F32[32, 32]"));
    assertEquals("linear F32[32, 32]: 4.0 KiB more would exceed the memory budget of 10.0 KiB; in use are 8.0 KiB."
        + " Use a smaller size, batch or rank, or raise the budget (-Ddeft4j.memory=BYTES)", refusal.getMessage());
    assertEquals(8 * KIB, pool.liveBytes());
    assertEquals(10 * KIB, pool.reservedBytes(), "no more than the budget, though segments are larger");
    pool.release(a);
    pool.release(take(pool, 10 * KIB));
    pool.setBudget(2 * MIB);
    pool.release(take(pool, MIB));
    pool.release(take(pool, 2 * MIB));
    assertEquals(2 * MIB, pool.reservedBytes(), "unused segments made room");
    assertThrows(MemoryException.class, () -> take(pool, Long.MAX_VALUE));
    assertEquals(2 * MIB, pool.budget());
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
