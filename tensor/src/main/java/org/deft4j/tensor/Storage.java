package org.deft4j.tensor;

import java.lang.foreign.MemorySegment;
import java.util.function.Supplier;

/** Memory shared by a tensor and its views; goes back to the pool when the last of them is closed. */
final class Storage {
  private final Device device;
  private final long bytes;
  private final MemoryPool pool;
  private Block block;
  private int holders;
  private long version;

  private Storage(Device device, long bytes, MemoryPool pool, Block block) {
    this.device = device;
    this.bytes = bytes;
    this.pool = pool;
    this.block = block;
  }

  /** Memory of {@code device}, or in a {@link Rehearsal} that of the meta device, on its accounts. */
  static Storage allocate(Device device, long bytes, Supplier<String> what) {
    boolean rehearsed = Rehearsal.isOpen();
    MemoryPool pool = device == Device.META && !rehearsed ? null : MemoryPool.of(device);
    return new Storage(rehearsed ? Device.META : device, bytes, pool, pool == null ? null : pool.allocate(bytes, what));
  }

  Device device() {
    return device;
  }

  long bytes() {
    return bytes;
  }

  /** The bytes, for whom this process may read and write them. */
  MemorySegment segment() {
    return switch (device) {
      case CPU -> block.memory();
      case CUDA -> throw new UnsupportedOperationException(
          "the data of a tensor on the card is not in this process's memory; copy it to the CPU");
      case META -> throw new UnsupportedOperationException("a tensor on the meta device has a shape and no data");
    };
  }

  /** Where the bytes are, on whatever device. */
  long address() {
    return block.address();
  }

  synchronized void hold() {
    holders++;
  }

  synchronized boolean isShared() {
    return holders > 1;
  }

  synchronized long version() {
    return version;
  }

  synchronized void changed() {
    version++;
  }

  synchronized void letGo() {
    holders--;
    if (holders == 0 && block != null) {
      pool.release(block);
      block = null;
    }
  }
}
