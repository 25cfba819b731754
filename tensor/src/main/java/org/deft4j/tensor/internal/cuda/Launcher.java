package org.deft4j.tensor.internal.cuda;

import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/** Launches kernels in the usual forms. */
final class Launcher {
  /** Threads of a block, if a kernel has no reason for others. */
  static final int THREADS = 256;
  /** Blocks for each multiprocessor of a kernel that strides over elements: several times those that run at once, so that none idles. */
  private static final int BLOCKS = 32;
  /** Of each type's kernels. */
  private static final Map<DType, String> SUFFIXES = suffixes();
  private static final long MOST_BLOCKS = (1L << 31) - 1;

  private final Card card;

  Launcher(Card card) {
    this.card = card;
  }

  private static Map<DType, String> suffixes() {
    Map<DType, String> suffixes = new EnumMap<>(DType.class);
    for (DType type : DType.values()) {
      suffixes.put(type, "_" + type.name().toLowerCase(Locale.ROOT));
    }
    return suffixes;
  }

  Card card() {
    return card;
  }

  /** The name of a kernel's variant for a type: {@code softmax_f32}. */
  static String variant(String kernel, DType dtype) {
    return kernel + SUFFIXES.get(dtype);
  }

  /** The threads that dense elements are work for, 16 bytes of them each; where they cannot be moved so, threads take several. */
  static long vectors(Tensor x) {
    int unit = Walk.WIDE / x.dtype().bytes();
    return (x.elementCount() + unit - 1) / unit;
  }

  /** A kernel whose threads stride over {@code count} elements; it is not launched for none. */
  void each(long count, String source, String kernel, Object... arguments) {
    if (count > 0) {
      long blocks = Math.min((count + THREADS - 1) / THREADS, (long) BLOCKS * card.multiprocessors());
      card.launch(source, kernel, new long[] {blocks, 1, 1}, THREADS, 0, Arguments.of(arguments));
    }
  }

  /** A kernel with a block for each of {@code rows}, striding over them where they are very many. */
  void rows(long rows, int threads, String source, String kernel, Object... arguments) {
    if (rows > 0) {
      card.launch(source, kernel, new long[] {Math.min(rows, MOST_BLOCKS), 1, 1}, threads, 0, Arguments.of(arguments));
    }
  }

  /** A kernel in a grid of its own. */
  void grid(long x, long y, long z, int threads, int shared, String source, String kernel, Object... arguments) {
    if (x > 0 && y > 0 && z > 0) {
      card.launch(source, kernel, new long[] {x, y, z}, threads, shared, Arguments.of(arguments));
    }
  }
}
