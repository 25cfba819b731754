package org.deft4j.tensor;

import java.lang.foreign.MemorySegment;
import java.util.function.Supplier;
import org.deft4j.tensor.internal.cuda.Kept;

/** Memory shared by a tensor and its views; goes back to the pool when the last of them is closed. */
final class Storage {
  private final Device device;
  private final long bytes;
  private final MemoryPool pool;
  /** Null for all but what an {@link Offload} keeps. */
  private final Kept kept;
  private Block block;
  private int holders;
  private long version;

  private Storage(Device device, long bytes, MemoryPool pool, Block block, Kept kept) {
    this.device = device;
    this.bytes = bytes;
    this.pool = pool;
    this.block = block;
    this.kept = kept;
  }

  /** Memory of {@code device}, or in a {@link Rehearsal} that of the meta device, on its accounts. */
  static Storage allocate(Device device, long bytes, Supplier<String> what) {
    boolean rehearsed = Rehearsal.isOpen();
    MemoryPool pool = device == Device.META && !rehearsed ? null : MemoryPool.of(device);
    return new Storage(rehearsed ? Device.META : device, bytes, pool, pool == null ? null : pool.allocate(bytes, what), null);
  }

  /** Memory of this process whose bytes come to the card when they are used, by an {@link Offload}. */
  static Storage keep(long bytes, Supplier<String> what) {
    MemoryPool pool = MemoryPool.kept();
    Block block = pool.allocate(bytes, what);
    return new Storage(Rehearsal.isOpen() ? Device.META : Device.CUDA, bytes, pool, block, new Kept(block.memory(), bytes));
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

  /** What of it an {@link Offload} keeps; null of all other memory. */
  Kept kept() {
    return kept;
  }

  /** Where the bytes are, on whatever device. */
  long address() {
    return kept == null ? block.address() : kept.address();
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
      if (kept != null) {
        Offload.forget(kept, true);
      }
      pool.release(block);
      block = null;
    }
  }
}
