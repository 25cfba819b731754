package org.deft4j.tensor;

import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** A rehearsal keeps the accounts of the program it runs, and computes nothing. */
@ExtendWith(LeakCheck.class)
class RehearsalTest {
  /** Elements from Java and from a random source, views, copies that kernels want, elements back to Java. */
  private static double program() {
    try (Scope _ = Scope.open()) {
      TorchRandom random = new TorchRandom(3);
      Tensor x = random.normal(DType.F32, 64, 300);
      Tensor w = Tensor.of(new float[300 * 500], 500, 300).add(random.uniform(DType.F32, 300));
      Tensor y = x.linear(w).transpose(0, 1).softmax(0).cast(DType.F16);
      long[] order = random.permutation(500).toLongs();
      Tensor chosen = y.indexSelect(0, Tensor.of(new long[] {order[0], order[1]})).cast(DType.F32);
      return Scope.run(() -> chosen.square().mean()).item();
    }
  }

  @Test
  void theAccountsAreThoseOfTheRun() {
    MemoryPool cpu = MemoryPool.cpu();
    cpu.trim();
    cpu.resetPeak();
    assertEquals(0, cpu.reservedBytes(), "nothing is left of other tests");
    long asked = cpu.systemAllocations();
    assertTrue(program() > 0);
    long live = cpu.liveBytes();
    try (Rehearsal rehearsal = Rehearsal.open()) {
      assertTrue(Rehearsal.isOpen());
      assertEquals(0, program(), "elements are zeros");
      MemoryPool accounts = rehearsal.pool();
      assertSame(accounts, MemoryPool.cpu(), "a program that asks for the pool gets the accounts");
      assertEquals(cpu.peakLiveBytes(), accounts.peakLiveBytes());
      assertEquals(cpu.peakReservedBytes(), accounts.peakReservedBytes());
      assertEquals(cpu.systemAllocations() - asked, accounts.systemAllocations());
      assertEquals(0, accounts.liveBytes());
    }
    assertFalse(Rehearsal.isOpen());
    assertEquals(live, cpu.liveBytes(), "the memory of tensors was not touched");
  }

  @Test
  void memoryThatNoMachineHasCanBeRehearsed() {
    try (Rehearsal rehearsal = Rehearsal.open(); Scope _ = Scope.open()) {
      Tensor x = Tensor.zeros(DType.F32, 1 << 20, 1 << 20);
      assertEquals(Device.META, x.matmul(x).device());
      assertEquals(8L << 40, rehearsal.pool().peakLiveBytes());
      assertThrows(UnsupportedOperationException.class, x::memory);
    }
  }

  @Test
  void outsideNothingIsPretended() {
    Tensor left;
    try (Rehearsal _ = Rehearsal.open()) {
      assertThrows(IllegalStateException.class, Rehearsal::open);
      left = Tensor.of(new float[] {1, 2});
      assertArrayEquals(new float[2], left.toFloats());
    }
    assertThrows(UnsupportedOperationException.class, left::toFloats);
    left.close();
    try (Tensor real = Tensor.of(new float[] {1, 2})) {
      assertEquals(Device.CPU, real.device());
    }
  }

  @Test
  void otherThreadsGoOnForReal() throws InterruptedException {
    try (Rehearsal _ = Rehearsal.open()) {
      Device[] found = new Device[1];
      Thread other = new Thread(() -> {
        try (Tensor tensor = Tensor.zeros(DType.F32, 4)) {
          found[0] = tensor.device();
        }
      });
      other.start();
      other.join();
      assertEquals(Device.CPU, found[0]);
    }
  }
}
