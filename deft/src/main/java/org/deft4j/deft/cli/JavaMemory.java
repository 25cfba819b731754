package org.deft4j.deft.cli;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import org.deft4j.tensor.MemoryPool;

/** What the process takes beside tensors: the JVM, its heap, compiled code. */
final class JavaMemory {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final String RESIDENT = "VmRSS:";
  /** Bytes that come after the estimate: compiled code and its compiler, the rest of the young generation, packed panels. */
  static final long TO_COME = 78L << 20;

  private JavaMemory() {}

  /** As measured now, and what will come. */
  static long expected() {
    return now() + TO_COME;
  }

  private static long now() {
    try {
      return Files.readAllLines(STATUS).stream().filter(line -> line.startsWith(RESIDENT))
          .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024).findFirst().orElseGet(JavaMemory::committed)
          - MemoryPool.cpu().reservedBytes();
    } catch (IOException _) {
      return committed();
    }
  }

  /** Where the system does not tell: what the JVM has asked for. */
  private static long committed() {
    MemoryMXBean memory = ManagementFactory.getMemoryMXBean();
    return memory.getHeapMemoryUsage().getUsed() + memory.getNonHeapMemoryUsage().getCommitted();
  }
}
