package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.deft4j.tensor.MemoryPool;

/** What the process takes beside tensors: the JVM, its heap, compiled code. */
final class JavaMemory {
  private static final Path STATUS = Path.of("/proc/self/status");
  private static final String RESIDENT = "VmRSS:";
  /** Bytes that come after the estimate: compiled code and its compiler, the rest of the young generation, packed panels. */
  static final long TO_COME = 78L << 20;

  /** Bytes of a JVM beside its heap: classes, its own code and compiled code. */
  private static final long BARE = 80L << 20;

  private JavaMemory() {}

  /** As measured now, and what will come. */
  static long expected() {
    return now() + TO_COME;
  }

  private static long now() {
    try {
      return Files.readAllLines(STATUS).stream().filter(line -> line.startsWith(RESIDENT))
          .mapToLong(line -> Long.parseLong(line.replaceAll("\\D", "")) * 1024).findFirst().orElseGet(JavaMemory::assumed)
          - MemoryPool.cpu().reservedBytes();
    } catch (IOException _) {
      return assumed();
    }
  }

  /** Where the system does not tell: what the heap holds, and about what a JVM takes beside it. */
  private static long assumed() {
    Runtime runtime = Runtime.getRuntime();
    return runtime.totalMemory() - runtime.freeMemory() + BARE;
  }
}
