package org.deft4j.deft.bench;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.DoubleSupplier;
import java.util.stream.DoubleStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Machine;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

/**
 * The machine's limits, the best of several measurements each.
 *
 * @param threads all threads
 * @param arrayBytes of the arrays that were read and copied, larger than the last cache where memory allows
 * @param one with one thread; of a card the same as all
 * @param all with all threads
 */
record Peak(int threads, long arrayBytes, Rates one, Rates all) {
  private static final long SMALLEST_ARRAY = 256L << 20;

  /** Operations, and bytes read, and bytes read and written, a second. */
  record Rates(double multiplyAdd, double read, double copy) {
    private static Rates measure(int trials, Tensor from, Tensor to) {
      return new Rates(best(4 * trials, Machine::multiplyAddRate), best(trials, () -> Machine.readRate(from)),
          best(trials, () -> Machine.copyRate(from, to)));
    }

    private static double best(int trials, DoubleSupplier rate) {
      return DoubleStream.generate(rate).limit(trials).max().orElseThrow();
    }

    private Map<String, Object> document() {
      Map<String, Object> map = new LinkedHashMap<>();
      map.put("multiply_add_gflops", multiplyAdd / 1e9);
      map.put("read_gb_per_s", read / 1e9);
      map.put("copy_gb_per_s", copy / 1e9);
      return map;
    }
  }

  /** The best of {@code trials}, with one thread and with all. */
  static Peak measure(int trials) {
    int threads = Threads.count();
    long bytes = largeArray();
    try (Scope _ = Scope.open()) {
      Tensor from = Tensor.zeros(DType.F32, bytes / Float.BYTES);
      Tensor to = Tensor.zeros(DType.F32, bytes / Float.BYTES);
      Rates all = Rates.measure(trials, from, to);
      if (Device.current() == Device.CUDA) {
        return new Peak(1, bytes, all, all);
      }
      Threads.set(1);
      return new Peak(threads, bytes, Rates.measure(trials, from, to), all);
    } finally {
      Threads.set(threads);
      MemoryPool.current().trim();
    }
  }

  /** A quarter more than the last cache, but not more than an eighth of the memory for each of the two. */
  private static long largeArray() {
    long cache = Machine.largestCacheBytes().orElse(0);
    return Math.min(Math.max(SMALLEST_ARRAY, cache / 4 * 5), MemoryPool.current().budget() / 8) & -(1L << 20);
  }

  /** For JSON. */
  Map<String, Object> document() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("array_bytes", arrayBytes);
    map.put("one_thread", one.document());
    map.put("all_threads", all.document());
    return map;
  }
}
