package org.deft4j.tensor;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.DoubleAdder;
import java.util.function.LongConsumer;
import java.util.stream.Stream;
import org.deft4j.tensor.internal.CpuKernels;
import org.deft4j.tensor.internal.Limits;
import org.deft4j.tensor.internal.Limits.MultiplyAdds;
import org.deft4j.tensor.internal.Parallel;
import org.deft4j.tensor.internal.cuda.Cuda;

/**
 * What this machine can do at most, measured now: the limits that a benchmark compares with. Each call is one short
 * measurement on {@link Threads#count} threads; on a machine shared with others two calls differ, so measure in turn with
 * what is compared.
 */
public final class Machine {
  /** How long one measurement of the arithmetic lasts, in nanoseconds. */
  private static final long SHORTEST = 5_000_000;
  /** Pieces of work for each thread, so that one that starts late does not make the others wait. */
  private static final int PIECES = 16;
  /** A rate that has not risen by more than {@link #RISE} for so many nanoseconds rises no more. */
  private static final long SETTLED = 500_000_000;
  private static final double RISE = 1.1;
  /** Some ten microseconds of vectors. */
  private static final int STEPS = 4000;
  private static final long CHUNK = 1L << 20;
  private static final Path CACHES = Path.of("/sys/devices/system/cpu/cpu0/cache");
  private static final AtomicLong USED = new AtomicLong();

  private Machine() {}

  /** The loops of multiply-adds, after the compiler has done its work, which on a busy machine takes it seconds. */
  private static final class Forms {
    static final List<MultiplyAdds> COMPILED = CpuKernels.get().limits().multiplyAdds();

    static {
      COMPILED.forEach(Forms::warmUp);
    }

    /** Runs until the rate has long stopped to rise. */
    private static void warmUp(MultiplyAdds form) {
      double best = 0;
      long risen = System.nanoTime();
      while (System.nanoTime() - risen < SETTLED) {
        double rate = rate(form);
        if (rate > RISE * best) {
          best = rate;
          risen = System.nanoTime();
        }
      }
    }
  }

  /**
   * Operations a second of independent fused multiply-adds in single precision; a multiply-add counts as two. The sum of what
   * the threads do, each in a time of its own that starts when all are there; of several loops the fastest. Of a card, where tensors are
   * made on one, a large product in its {@link Precision}.
   */
  public static double multiplyAddRate() {
    return onCard() ? CardRates.multiplyAdds() : Forms.COMPILED.stream().mapToDouble(Machine::rateOfAll).max().orElseThrow();
  }

  /** What {@link #multiplyAddRate} measures. */
  public static String arithmetic() {
    return onCard() ? CardRates.arithmetic() : "fused multiply-adds, single precision";
  }

  private static boolean onCard() {
    return Device.current() == Device.CUDA;
  }

  private static double rateOfAll(MultiplyAdds form) {
    int threads = Threads.count();
    CountDownLatch here = new CountDownLatch(threads);
    DoubleAdder sum = new DoubleAdder();
    Thread[] others = new Thread[threads - 1];
    for (int i = 0; i < others.length; i++) {
      others[i] = Thread.ofPlatform().daemon().start(() -> sum.add(rate(form, here)));
    }
    sum.add(rate(form, here));
    try {
      for (Thread other : others) {
        other.join();
      }
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    return sum.sum();
  }

  private static double rate(MultiplyAdds form, CountDownLatch here) {
    here.countDown();
    try {
      here.await();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
    return rate(form);
  }

  /** Operations a second of this thread. */
  private static double rate(MultiplyAdds form) {
    long steps = 0;
    long start = System.nanoTime();
    long nanos;
    do {
      use(Float.floatToIntBits(form.loop().run(STEPS)));
      steps += STEPS;
      nanos = System.nanoTime() - start;
    } while (nanos < SHORTEST);
    return form.flopPerStep() * steps / nanos * 1e9;
  }

  /** Bytes a second of reading {@code x}, which is contiguous. */
  public static double readRate(Tensor x) {
    if (x.device() == Device.CUDA) {
      return CardRates.read(x);
    }
    MemorySegment memory = x.bytes();
    Limits limits = CpuKernels.get().limits();
    return rate(memory.byteSize(), chunk -> use(limits.read(memory, chunk * CHUNK, (chunk + 1) * CHUNK)));
  }

  /** Bytes a second, read and written together, of copying {@code from} into {@code to}, both contiguous and of one size. */
  public static double copyRate(Tensor from, Tensor to) {
    if (from.device() == Device.CUDA) {
      return CardRates.copy(from, to);
    }
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
    return onCard() ? Cuda.kernels().describe() : CpuKernels.get().describe();
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
