package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.DoubleBinaryOperator;
import java.util.function.DoubleUnaryOperator;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.DTypeException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Unary;

/** {@link Unary} and {@link Binary}, element after element. */
final class ScalarElementwise {
  /** Elements that a thread takes at a time. */
  static final long GRAIN = 1 << 14;

  private ScalarElementwise() {}

  /** A function of two float32. */
  @FunctionalInterface
  private interface FloatBinary {
    float apply(float a, float b);
  }

  static void run(Unary op, Tensor[] in, Tensor[] out) {
    if (out[0].dtype() == DType.F32) {
      FloatFunction f = FloatFunctions.of(op);
      Floats x = Floats.of(in[0]);
      Floats y = Floats.of(out[0]);
      Parallel.forRange(out[0].elementCount(), GRAIN, (from, to) -> {
        for (long i = from; i < to; i++) {
          y.set(i, f.apply(x.get(i)));
        }
      });
    } else {
      DoubleUnaryOperator f = DoubleFunctions.of(op);
      Doubles x = Doubles.of(in[0]);
      Doubles y = Doubles.of(out[0]);
      Parallel.forRange(out[0].elementCount(), GRAIN, (from, to) -> {
        for (long i = from; i < to; i++) {
          y.set(i, f.applyAsDouble(x.get(i)));
        }
      });
    }
  }

  static void run(Binary op, Tensor[] in, Tensor[] out) {
    Broadcast walk = Broadcast.of(in[0], in[1], out[0]);
    MemorySegment a = in[0].memory();
    MemorySegment b = in[1].memory();
    MemorySegment y = out[0].memory();
    Broadcast.Run run = switch (op) {
      case Binary.Equal() -> compare(op, walk, in, y);
      case Binary.Less() -> compare(op, walk, in, y);
      case Binary.LessEqual() -> compare(op, walk, in, y);
      default -> in[0].dtype() == DType.F32 ? floats(op, walk, a, b, y) : doubles(op, walk, a, b, y);
    };
    Parallel.forRange(out[0].elementCount(), GRAIN, (from, to) -> walk.forEach(from, to, run));
  }

  private static Broadcast.Run floats(Binary op, Broadcast walk, MemorySegment a, MemorySegment b, MemorySegment y) {
    FloatBinary f = floatFunction(op);
    return (fromA, fromB, out, length) -> {
      for (long i = 0; i < length; i++) {
        y.setAtIndex(ValueLayout.JAVA_FLOAT, out + i,
            f.apply(a.getAtIndex(ValueLayout.JAVA_FLOAT, fromA + i * walk.stepA),
                b.getAtIndex(ValueLayout.JAVA_FLOAT, fromB + i * walk.stepB)));
      }
    };
  }

  private static Broadcast.Run doubles(Binary op, Broadcast walk, MemorySegment a, MemorySegment b, MemorySegment y) {
    DoubleBinaryOperator f = doubleFunction(op);
    return (fromA, fromB, out, length) -> {
      for (long i = 0; i < length; i++) {
        y.setAtIndex(ValueLayout.JAVA_DOUBLE, out + i,
            f.applyAsDouble(a.getAtIndex(ValueLayout.JAVA_DOUBLE, fromA + i * walk.stepA),
                b.getAtIndex(ValueLayout.JAVA_DOUBLE, fromB + i * walk.stepB)));
      }
    };
  }

  private static FloatBinary floatFunction(Binary op) {
    return switch (op) {
      case Binary.Add() -> (a, b) -> a + b;
      case Binary.Sub() -> (a, b) -> a - b;
      case Binary.Mul() -> (a, b) -> a * b;
      case Binary.Div() -> (a, b) -> a / b;
      case Binary.Maximum() -> Math::max;
      case Binary.Minimum() -> Math::min;
      case Binary.Pow() -> MathF32::pow;
      default -> throw new IllegalStateException(op.label());
    };
  }

  private static DoubleBinaryOperator doubleFunction(Binary op) {
    return switch (op) {
      case Binary.Add() -> (a, b) -> a + b;
      case Binary.Sub() -> (a, b) -> a - b;
      case Binary.Mul() -> (a, b) -> a * b;
      case Binary.Div() -> (a, b) -> a / b;
      case Binary.Maximum() -> Math::max;
      case Binary.Minimum() -> Math::min;
      case Binary.Pow() -> StrictMath::pow;
      default -> throw new IllegalStateException(op.label());
    };
  }

  // -------------------------------------------------------------------------------------------------- comparisons

  /** Reads an element of a floating type. */
  @FunctionalInterface
  private interface DoubleReader {
    double read(MemorySegment memory, long index);
  }

  /** Reads an element of an integer type, such that the order of longs is the order of the type's values. */
  @FunctionalInterface
  private interface LongReader {
    long read(MemorySegment memory, long index);
  }

  private static Broadcast.Run compare(Binary op, Broadcast walk, Tensor[] in, MemorySegment y) {
    DType dtype = in[0].dtype();
    MemorySegment a = in[0].memory();
    MemorySegment b = in[1].memory();
    if (dtype == DType.F32) {
      return (fromA, fromB, out, length) -> compare(op, walk, a, fromA, b, fromB, y, out, length);
    }
    if (dtype.isFloating()) {
      DoubleReader reader = doubles(op, dtype);
      return (fromA, fromB, out, length) -> {
        for (long i = 0; i < length; i++) {
          boolean holds = holds(op, reader.read(a, fromA + i * walk.stepA), reader.read(b, fromB + i * walk.stepB));
          y.set(ValueLayout.JAVA_BYTE, out + i, (byte) (holds ? 1 : 0));
        }
      };
    }
    LongReader reader = longs(dtype);
    return (fromA, fromB, out, length) -> {
      for (long i = 0; i < length; i++) {
        boolean holds = holds(op, reader.read(a, fromA + i * walk.stepA), reader.read(b, fromB + i * walk.stepB));
        y.set(ValueLayout.JAVA_BYTE, out + i, (byte) (holds ? 1 : 0));
      }
    };
  }

  /** In float32, a loop for each comparison. */
  private static void compare(Binary op, Broadcast walk, MemorySegment a, long fromA, MemorySegment b, long fromB,
      MemorySegment y, long out, long length) {
    switch (op) {
      case Binary.Equal() -> {
        for (long i = 0; i < length; i++) {
          float left = a.getAtIndex(ValueLayout.JAVA_FLOAT, fromA + i * walk.stepA);
          float right = b.getAtIndex(ValueLayout.JAVA_FLOAT, fromB + i * walk.stepB);
          y.set(ValueLayout.JAVA_BYTE, out + i, (byte) (left == right ? 1 : 0));
        }
      }
      case Binary.Less() -> {
        for (long i = 0; i < length; i++) {
          float left = a.getAtIndex(ValueLayout.JAVA_FLOAT, fromA + i * walk.stepA);
          float right = b.getAtIndex(ValueLayout.JAVA_FLOAT, fromB + i * walk.stepB);
          y.set(ValueLayout.JAVA_BYTE, out + i, (byte) (left < right ? 1 : 0));
        }
      }
      default -> {
        for (long i = 0; i < length; i++) {
          float left = a.getAtIndex(ValueLayout.JAVA_FLOAT, fromA + i * walk.stepA);
          float right = b.getAtIndex(ValueLayout.JAVA_FLOAT, fromB + i * walk.stepB);
          y.set(ValueLayout.JAVA_BYTE, out + i, (byte) (left <= right ? 1 : 0));
        }
      }
    }
  }

  private static boolean holds(Binary op, double a, double b) {
    return op instanceof Binary.Equal ? a == b : op instanceof Binary.Less ? a < b : a <= b;
  }

  private static boolean holds(Binary op, long a, long b) {
    return op instanceof Binary.Equal ? a == b : op instanceof Binary.Less ? a < b : a <= b;
  }

  private static DoubleReader doubles(Binary op, DType dtype) {
    return switch (dtype) {
      case F64 -> (memory, i) -> memory.getAtIndex(ValueLayout.JAVA_DOUBLE, i);
      case F32 -> (memory, i) -> memory.getAtIndex(ValueLayout.JAVA_FLOAT, i);
      case F16 -> (memory, i) -> Float.float16ToFloat(memory.getAtIndex(ValueLayout.JAVA_SHORT, i));
      case BF16 -> (memory, i) -> Float.intBitsToFloat(memory.getAtIndex(ValueLayout.JAVA_SHORT, i) << 16);
      default -> throw new DTypeException(op.label() + ": a: " + dtype + " cannot be compared; cast both sides to F32 first");
    };
  }

  private static LongReader longs(DType dtype) {
    return switch (dtype) {
      case I64 -> (memory, i) -> memory.getAtIndex(ValueLayout.JAVA_LONG, i);
      case I32 -> (memory, i) -> memory.getAtIndex(ValueLayout.JAVA_INT, i);
      case I16 -> (memory, i) -> memory.getAtIndex(ValueLayout.JAVA_SHORT, i);
      case U64 -> (memory, i) -> memory.getAtIndex(ValueLayout.JAVA_LONG, i) ^ Long.MIN_VALUE;
      case U32 -> (memory, i) -> Integer.toUnsignedLong(memory.getAtIndex(ValueLayout.JAVA_INT, i));
      case U16 -> (memory, i) -> Short.toUnsignedLong(memory.getAtIndex(ValueLayout.JAVA_SHORT, i));
      case U8, BOOL -> (memory, i) -> Byte.toUnsignedLong(memory.get(ValueLayout.JAVA_BYTE, i));
      case I8 -> (memory, i) -> memory.get(ValueLayout.JAVA_BYTE, i);
      case F64, F32, F16, BF16, F8_E4M3, F8_E5M2 -> throw new IllegalStateException(dtype + " is floating");
    };
  }
}
