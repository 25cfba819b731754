package org.deft4j.weights.testing;

import java.lang.foreign.MemorySegment;
import java.util.stream.LongStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.TensorSpec;

/**
 * Weights for a model that nobody trained, such that a forward pass behaves as one of a trained model does: matrices and kernels
 * are spread evenly with variance 1 / fan-in, which keeps a signal's variance; norms' weights are 1; biases are small. Element i
 * is a hash of the seed, the tensor's name and i, so values depend neither on threads nor on the order of making.
 */
final class MadeUpTensor {
  private static final double BIAS_DEVIATION = 0.02;
  /** Elements that one task makes: its arrays stay in the cache. */
  private static final int CHUNK = 1 << 15;

  private final int key;
  private final float center;
  private final float reach;

  private MadeUpTensor(long seed, String name, Shape shape) {
    boolean isVector = shape.rank() < 2;
    boolean isNormWeight = isVector && name.endsWith(".weight");
    long mixed = (seed + 0x9E3779B97F4A7C15L) * 0xBF58476D1CE4E5B9L;
    for (int i = 0; i < name.length(); i++) {
      mixed = (mixed ^ name.charAt(i)) * 0x100000001B3L;
    }
    key = (int) (mixed ^ (mixed >>> 32));
    center = isNormWeight ? 1 : 0;
    double deviation = isNormWeight ? 0 : isVector ? BIAS_DEVIATION : Math.sqrt((double) shape.size(0) / shape.elementCount());
    reach = (float) (deviation * Math.sqrt(3));
  }

  /** The tensor of that name; {@code spec} is F32, F16 or BF16. Belongs to the innermost scope. */
  static Tensor of(long seed, String name, TensorSpec spec) {
    return filled(spec, new MadeUpTensor(seed, name, spec.shape())::fill);
  }

  /** Tells a stretch of a tensor's elements. */
  @FunctionalInterface
  interface Filler {
    /** Sets all of {@code target} to the elements from {@code start} on. */
    void fill(float[] target, long start);
  }

  /** A tensor of elements that {@code values} tells, by several threads at once. Belongs to the innermost scope. */
  static Tensor filled(TensorSpec spec, Filler values) {
    Tensor tensor = Tensor.empty(Device.CPU, spec.dtype(), spec.shape());
    MemorySegment memory = tensor.bytes();
    long count = spec.shape().elementCount();
    LongStream.range(0, (count + CHUNK - 1) / CHUNK).parallel().forEach(chunk -> {
      float[] floats = new float[(int) Math.min(CHUNK, count - chunk * CHUNK)];
      values.fill(floats, chunk * CHUNK);
      MemorySegment stored = stored(spec.dtype(), floats);
      MemorySegment.copy(stored, 0, memory, chunk * CHUNK * spec.dtype().bytes(), stored.byteSize());
    });
    return tensor;
  }

  /** A 32-bit finalizer of low bias (Wellons's lowbias32), its upper 24 bits spread over center - reach .. center + reach. */
  private void fill(float[] target, long start) {
    float step = reach * 0x1p-23f;
    for (int i = 0; i < target.length; i++) {
      int h = ((int) start + i) * 0x9E3779B9 + key;
      h = (h ^ (h >>> 16)) * 0x7FEB352D;
      h = (h ^ (h >>> 15)) * 0x846CA68B;
      h ^= h >>> 16;
      target[i] = center + (h >> 8) * step;
    }
  }

  private static MemorySegment stored(DType type, float[] floats) {
    if (type == DType.F32) {
      return MemorySegment.ofArray(floats);
    }
    short[] halves = new short[floats.length];
    switch (type) {
      case F16 -> {
        for (int i = 0; i < halves.length; i++) {
          halves[i] = Float.floatToFloat16(floats[i]);
        }
      }
      case BF16 -> {
        for (int i = 0; i < halves.length; i++) {
          int bits = Float.floatToRawIntBits(floats[i]);
          halves[i] = (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
        }
      }
      default -> throw new IllegalArgumentException("made-up weights are F32, F16 or BF16, not " + type);
    }
    return MemorySegment.ofArray(halves);
  }
}
