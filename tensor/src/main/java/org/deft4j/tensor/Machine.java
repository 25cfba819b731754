package org.deft4j.tensor;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.OptionalLong;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import java.util.stream.Stream;
import org.deft4j.tensor.internal.CpuKernels;
import org.deft4j.tensor.internal.Limits;
import org.deft4j.tensor.internal.Limits.MultiplyAdds;
import org.deft4j.tensor.internal.Parallel;

/**
 * What this machine can do at most, measured now: the limits that a benchmark compares with. Each call is one short
 * measurement on {@link Threads#count} threads; on a machine shared with others two calls differ, so measure in turn with
 * what is compared.
 */
public final class Machine {
  /** How long one measurement of the arithmetic lasts at least, in nanoseconds. */
  private static final long SHORTEST = 5_000_000;
  /** Pieces of work for each thread, so that one that starts late does not make the others wait. */
  private static final int PIECES = 16;
  private static final long WARM_UP = 200_000_000;
  private static final long CHUNK = 1L << 20;
  private static final Path CACHES = Path.of("/sys/devices/system/cpu/cpu0/cache");
  private static final AtomicLong USED = new AtomicLong();

  private Machine() {}

  /** The loop of multiply-adds that is the fastest here, and how many of its steps take {@link #SHORTEST} on one thread. */
  private record Fastest(MultiplyAdds form, long steps, double rate) {
    static final Fastest INSTANCE = CpuKernels.get().limits().multiplyAdds().stream().map(Fastest::of)
        .max(Comparator.comparingDouble(Fastest::rate)).orElseThrow();

    /** Runs {@code form} until the compiler has long done its work. */
    private static Fastest of(MultiplyAdds form) {
      long steps = 1;
      double best = 0;
      long start = System.nanoTime();
      while (System.nanoTime() - start < WARM_UP) {
        long before = System.nanoTime();
        use(Float.floatToIntBits(form.loop().run(steps)));
        long nanos = System.nanoTime() - before;
        best = Math.max(best, form.flopPerStep() * steps / nanos);
        steps *= nanos < SHORTEST / 2 ? 2 : 1;
      }
      return new Fastest(form, steps, best);
    }
  }

  /** Operations a second of independent fused multiply-adds in single precision; a multiply-add counts as two. */
  public static double multiplyAddRate() {
    Fastest fastest = Fastest.INSTANCE;
    int threads = Threads.count();
    long steps = Math.max(1, fastest.steps() / PIECES);
    long start = System.nanoTime();
    Parallel.forRange((long) threads * PIECES, 1, (from, to) -> {
      for (long i = from; i < to; i++) {
        use(Float.floatToIntBits(fastest.form().loop().run(steps)));
      }
    });
    return fastest.form().flopPerStep() * steps * PIECES * threads / (System.nanoTime() - start) * 1e9;
  }

  /** Bytes a second of reading {@code x}, which is contiguous. */
  public static double readRate(Tensor x) {
    MemorySegment memory = x.bytes();
    Limits limits = CpuKernels.get().limits();
    return rate(memory.byteSize(), chunk -> use(limits.read(memory, chunk * CHUNK, (chunk + 1) * CHUNK)));
  }

  /** Bytes a second, read and written together, of copying {@code from} into {@code to}, both contiguous and of one size. */
  public static double copyRate(Tensor from, Tensor to) {
    MemorySegment source = from.bytes();
    MemorySegment target = to.bytes();
    return 2 * rate(source.byteSize(),
        chunk -> MemorySegment.copy(source, chunk * CHUNK, target, chunk * CHUNK, CHUNK));
  }

  /** Bytes a second of work on whole chunks. */
  private static double rate(long bytes, LongConsumer work) {
    long chunks = bytes / CHUNK;
    if (chunks == 0) {
      throw new ShapeException("a tensor of at least " + CHUNK + " bytes is needed to measure the memory, found " + bytes);
    }
    long start = System.nanoTime();
    Parallel.forRange(chunks, Math.max(1, chunks / ((long) Threads.count() * PIECES)), (from, to) -> {
      for (long i = from; i < to; i++) {
        work.accept(i);
      }
    });
    return chunks * CHUNK * 1e9 / (System.nanoTime() - start);
  }

  /** Which kernels this process runs: {@code vector kernels, 512 bits wide}. */
  public static String kernels() {
    return CpuKernels.get().describe();
  }

  /** The bytes of the largest cache, where the system tells. */
  public static OptionalLong largestCacheBytes() {
    try (Stream<Path> indices = Files.list(CACHES)) {
      return indices.map(index -> index.resolve("size")).filter(Files::isReadable).mapToLong(Machine::bytesIn).max();
    } catch (IOException _) {
      return OptionalLong.empty();
    }
  }

  private static long bytesIn(Path file) {
    try {
      return MemoryPool.parseBytes(Files.readString(file).strip());
    } catch (IOException | IllegalArgumentException _) {
      return 0;
    }
  }

  /** Makes a value needed, so that the compiler keeps what computes it. */
  private static void use(long value) {
    USED.lazySet(value);
  }
}
