package org.deft4j.tensor;

import java.lang.foreign.MemorySegment;
import java.util.function.Supplier;

/** Memory shared by a tensor and its views; goes back to the pool when the last of them is closed. */
final class Storage {
  private final Device device;
  private final long bytes;
  private MemoryPool.Block block;
  private int holders;
  private long version;

  private Storage(Device device, long bytes, MemoryPool.Block block) {
    this.device = device;
    this.bytes = bytes;
    this.block = block;
  }

  static Storage allocate(Device device, long bytes, Supplier<String> what) {
    return switch (device) {
      case CPU -> new Storage(device, bytes, MemoryPool.cpu().allocate(bytes, what));
      case META -> new Storage(device, bytes, null);
    };
  }

  Device device() {
    return device;
  }

  long bytes() {
    return bytes;
  }

  MemorySegment segment() {
    if (block == null) {
      throw new UnsupportedOperationException("a tensor on the meta device has a shape and no data");
    }
    return block.segment;
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
      MemoryPool.cpu().release(block);
      block = null;
    }
  }
}
