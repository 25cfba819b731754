package org.deft4j.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.deft4j.tensor.internal.BoxMuller;
import org.deft4j.tensor.internal.MersenneTwister;
import org.deft4j.tensor.internal.NearestF64;
import org.deft4j.tensor.internal.Parallel;

/**
 * The bits of PyTorch's generator on the CPU, as {@code torch.manual_seed(seed)} and the calls {@code randn}, {@code rand},
 * {@code randint}, {@code randperm}, {@code normal_} and {@code uniform_} on contiguous tensors give them on x86 processors
 * with AVX2. Builds without AVX2 differ in the last bits of long float32 {@code randn}; of long float64 {@code randn} about
 * one element in a thousand differs by a unit in the last place, where PyTorch's C library does not round to nearest.
 *
 * <p>Normal draws of fewer than 16 elements are computed one by one in float64, two at a time, and the second of a pair waits
 * in the generator for the next such call, whatever is drawn in between. From 16 elements on, blocks of 16 uniform
 * numbers become blocks of 16 normal ones, where a rest of fewer than 16 is covered by drawing the last 16 elements anew.
 */
public final class TorchRandom implements RandomSource {
  /** From this many elements on, normal numbers are made in blocks of as many. */
  private static final int BLOCK = 16;
  /** Blocks that make a piece of work worth a thread. */
  private static final long GRAIN = 512;

  private final MersenneTwister engine;
  private boolean hasCached;
  private double cached;

  /** The stream of {@code torch.manual_seed(seed)}; only the low 32 bits of the seed count. */
  public TorchRandom(long seed) {
    engine = new MersenneTwister((int) seed);
  }

  /** The engine's next 32 bits. */
  public int nextBits() {
    return engine.next();
  }

  private long nextLongBits() {
    long high = engine.next() & 0xFFFFFFFFL;
    return (high << 32) | (engine.next() & 0xFFFFFFFFL);
  }

  private float nextFloat() {
    return (engine.next() & 0xFFFFFF) * 0x1p-24f;
  }

  private double nextDouble() {
    return (nextLongBits() & ((1L << 53) - 1)) * 0x1p-53;
  }

  @Override
  public long between(long low, long high) {
    if (low >= high) {
      throw new IllegalArgumentException("between: no integer lies from " + low + " (inclusive) to " + high
          + " (exclusive)");
    }
    long range = high - low;
    long draw = Long.compareUnsigned(range, 1L << 32) >= 0 ? nextLongBits() : engine.next() & 0xFFFFFFFFL;
    return low + Long.remainderUnsigned(draw, range);
  }

  /** Swaps each element with one of those from it on: Fisher and Yates. */
  @Override
  public Tensor permutation(long n) {
    long[] order = new long[Math.toIntExact(n)];
    Arrays.setAll(order, i -> i);
    for (int i = 0; i < order.length - 1; i++) {
      int other = i + (int) ((engine.next() & 0xFFFFFFFFL) % (order.length - i));
      long kept = order[i];
      order[i] = order[other];
      order[other] = kept;
    }
    return Tensor.of(order, n);
  }

  @Override
  public void fillUniform(Tensor target, double low, double high) {
    requireFillable(target, "fill_uniform");
    target.write(memory -> fillUniform(target, memory, low, high));
  }

  private void fillUniform(Tensor target, MemorySegment memory, double low, double high) {
    if (target.dtype() == DType.F32) {
      float from = (float) low;
      float width = (float) high - from;
      fillFloats(memory, 0, target.elementCount());
      Parallel.forRange(target.elementCount(), GRAIN * BLOCK, (first, last) -> {
        for (long i = first; i < last; i++) {
          memory.setAtIndex(ValueLayout.JAVA_FLOAT, i,
              Math.fma(memory.getAtIndex(ValueLayout.JAVA_FLOAT, i), width, from));
        }
      });
    } else {
      for (long i = 0; i < target.elementCount(); i++) {
        memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, Math.fma(nextDouble(), high - low, low));
      }
    }
  }

  @Override
  public void fillNormal(Tensor target, double mean, double deviation) {
    requireFillable(target, "fill_normal");
    target.write(memory -> fillNormal(target, memory, mean, deviation));
  }

  private void fillNormal(Tensor target, MemorySegment memory, double mean, double deviation) {
    boolean isFloat = target.dtype() == DType.F32;
    long count = target.elementCount();
    if (count < BLOCK) {
      for (long i = 0; i < count; i++) {
        double value = Math.fma(nextNormal(), deviation, mean);
        if (isFloat) {
          memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) value);
        } else {
          memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, value);
        }
      }
      return;
    }
    fillUniform(isFloat, memory, 0, count);
    Parallel.forRange(count / BLOCK, GRAIN, (first, last) -> {
      for (long block = first; block < last; block++) {
        transform(isFloat, memory, block * BLOCK, mean, deviation);
      }
    });
    if (count % BLOCK != 0) {
      fillUniform(isFloat, memory, count - BLOCK, BLOCK);
      transform(isFloat, memory, count - BLOCK, mean, deviation);
    }
  }

  private static void requireFillable(Tensor target, String what) {
    if (!target.dtype().isComputable()) {
      throw new DTypeException(what + ": target: expected F32 or F64, found " + target
          + "; draw in F32 and cast");
    }
    if (!target.isContiguous()) {
      throw new ShapeException(what + ": target: expected a contiguous tensor, found " + target + " with strides "
          + Arrays.toString(target.strides()));
    }
  }

  private void fillUniform(boolean isFloat, MemorySegment memory, long start, long count) {
    if (isFloat) {
      fillFloats(memory, start, count);
      return;
    }
    for (long i = start; i < start + count; i++) {
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, i, nextDouble());
    }
  }

  private void fillFloats(MemorySegment memory, long start, long count) {
    for (long i = start; i < start + count; i++) {
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, i, nextFloat());
    }
  }

  private static void transform(boolean isFloat, MemorySegment memory, long start, double mean, double deviation) {
    if (isFloat) {
      BoxMuller.floats(memory, start, (float) mean, (float) deviation);
    } else {
      BoxMuller.doubles(memory, start, mean, deviation);
    }
  }

  /** Box and Muller's pair, of which the second waits. */
  private double nextNormal() {
    if (hasCached) {
      hasCached = false;
      return cached;
    }
    double turn = nextDouble();
    double size = nextDouble();
    double radius = Math.sqrt(-2 * StrictMath.log1p(-size));
    double theta = 2 * Math.PI * turn;
    cached = radius * NearestF64.sin(theta);
    hasCached = true;
    return radius * NearestF64.cos(theta);
  }

  @Override
  public long[] state() {
    long[] words = engine.state();
    long[] state = Arrays.copyOf(words, words.length + 2);
    state[words.length] = hasCached ? 1 : 0;
    state[words.length + 1] = Double.doubleToRawLongBits(cached);
    return state;
  }

  @Override
  public void restore(long[] state) {
    int words = MersenneTwister.STATE_LENGTH;
    if (state.length != words + 2 || (state[words] & ~1L) != 0) {
      throw new IllegalArgumentException("restore: expected the " + (words + 2) + " words of a TorchRandom's state, found "
          + state.length + " words of another kind");
    }
    engine.restore(Arrays.copyOf(state, words));
    hasCached = state[words] == 1;
    cached = Double.longBitsToDouble(state[words + 1]);
  }
}
