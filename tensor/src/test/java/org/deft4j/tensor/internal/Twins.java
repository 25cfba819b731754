package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.zip.CRC32;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;
import org.deft4j.tensor.op.Op;

import static org.junit.jupiter.api.Assertions.fail;

/** Runs an operation on the plain and on the vector kernels and compares every bit. */
final class Twins {
  private static final Kernels PLAIN = new ScalarKernels();

  private Twins() {}

  /** A vector kernel. */
  @FunctionalInterface
  interface Kernel {
    /** Fills {@code out}. */
    void run(Tensor[] in, Tensor[] out);
  }

  /** Compares on one and on two threads; outputs have the given shapes. Returns a checksum of the bits. */
  static long same(String what, Op op, Kernel kernel, List<Shape> shapes, Tensor... in) {
    try (Scope _ = Scope.open()) {
      DType type = in[0].dtype() == DType.F64 ? DType.F64 : DType.F32;
      Tensor[] expected = outputs(type, shapes);
      PLAIN.run(op, in, expected);
      int threads = Threads.count();
      try {
        for (int count = 1; count <= 2; count++) {
          Threads.set(count);
          Tensor[] actual = outputs(type, shapes);
          kernel.run(in, actual);
          for (int i = 0; i < actual.length; i++) {
            compare(what + ", " + count + " threads, output " + i, expected[i], actual[i]);
          }
        }
      } finally {
        Threads.set(threads);
      }
      CRC32 sum = new CRC32();
      Arrays.stream(expected).forEach(tensor -> sum.update(tensor.bytes().asByteBuffer()));
      return sum.getValue();
    }
  }

  private static Tensor[] outputs(DType type, List<Shape> shapes) {
    Tensor[] out = new Tensor[shapes.size()];
    for (int i = 0; i < out.length; i++) {
      out[i] = Tensor.empty(Device.CPU, type, shapes.get(i));
      out[i].memory().fill((byte) 0x7f);
    }
    return out;
  }

  private static void compare(String what, Tensor expected, Tensor actual) {
    MemorySegment e = expected.bytes();
    MemorySegment a = actual.bytes();
    long at = e.mismatch(a);
    if (at >= 0) {
      int i = (int) (at / expected.dtype().bytes());
      fail(what + " " + expected.shape() + ": element " + i + " is " + actual.toDoubles()[i] + ", expected " + expected.toDoubles()[i]);
    }
  }

  /** Numbers of both signs, some of them zero, small or large. */
  static Tensor random(Random random, long... sizes) {
    float[] values = new float[(int) Shape.of(sizes).elementCount()];
    for (int i = 0; i < values.length; i++) {
      float value = (float) random.nextGaussian();
      values[i] = switch (random.nextInt(32)) {
        case 0 -> 0f;
        case 1 -> -0f;
        case 2 -> value * 1e-20f;
        case 3 -> value * 1e4f;
        default -> value;
      };
    }
    return Tensor.of(values, sizes);
  }

  /** The same as F16 or BF16. */
  static Tensor half(Random random, DType type, long... sizes) {
    Tensor tensor = Tensor.empty(Device.CPU, type, Shape.of(sizes));
    for (long i = 0; i < tensor.elementCount(); i++) {
      float value = (float) random.nextGaussian() * (random.nextInt(16) == 0 ? 1e-6f : 1f);
      tensor.memory().setAtIndex(ValueLayout.JAVA_SHORT, i,
          type == DType.F16 ? Float.floatToFloat16(value) : (short) (Float.floatToRawIntBits(value) >>> 16));
    }
    return tensor;
  }
}
