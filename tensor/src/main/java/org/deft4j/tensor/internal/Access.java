package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Tensor;

/**
 * Reads and writes elements of any type as doubles: exact for every type but 64-bit integers beyond 2^53, which {@link
 * #getLong} and {@link #setLong} carry. Indices count elements from the tensor's first.
 */
interface Access {
  /** Element {@code index}. */
  double get(long index);

  /** Stores {@code value}, rounded to the type. */
  void set(long index, double value);

  /** Element {@code index} of an integer type; of a real one truncated towards zero. */
  default long getLong(long index) {
    return (long) get(index);
  }

  /** Stores an integer. */
  default void setLong(long index, long value) {
    set(index, (double) value);
  }

  /** The elements of {@code tensor}. */
  static Access of(Tensor tensor) {
    MemorySegment memory = tensor.memory();
    long offset = tensor.offset();
    return switch (tensor.dtype()) {
      case F64 -> new F64(memory, offset);
      case F32 -> new F32(memory, offset);
      case F16, BF16, F8_E4M3, F8_E5M2 -> new Small(memory, offset, SmallFloat.of(tensor.dtype()));
      case I64, I32, I16, I8, U64, U32, U16, U8, BOOL -> new Int(memory, offset, tensor.dtype());
    };
  }

  /** binary64. */
  record F64(MemorySegment memory, long offset) implements Access {
    @Override
    public double get(long index) {
      return memory.getAtIndex(ValueLayout.JAVA_DOUBLE, offset + index);
    }

    @Override
    public void set(long index, double value) {
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, offset + index, value);
    }
  }

  /** binary32. */
  record F32(MemorySegment memory, long offset) implements Access {
    @Override
    public double get(long index) {
      return memory.getAtIndex(ValueLayout.JAVA_FLOAT, offset + index);
    }

    @Override
    public void set(long index, double value) {
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, offset + index, (float) value);
    }
  }

  /** 16 and 8 bits. */
  record Small(MemorySegment memory, long offset, SmallFloat format) implements Access {
    @Override
    public double get(long index) {
      return format.bytes() == 2 ? format.decode(memory.getAtIndex(ValueLayout.JAVA_SHORT, offset + index))
          : format.decode(memory.get(ValueLayout.JAVA_BYTE, offset + index));
    }

    @Override
    public void set(long index, double value) {
      int bits = format.encode(SmallFloat.narrowed(value));
      if (format.bytes() == 2) {
        memory.setAtIndex(ValueLayout.JAVA_SHORT, offset + index, (short) bits);
      } else {
        memory.set(ValueLayout.JAVA_BYTE, offset + index, (byte) bits);
      }
    }
  }

  /** Integers and BOOL. */
  record Int(MemorySegment memory, long offset, DType dtype) implements Access {
    @Override
    public double get(long index) {
      return (double) getLong(index);
    }

    @Override
    public void set(long index, double value) {
      setLong(index, dtype == DType.BOOL ? (value != 0 ? 1 : 0) : (long) value);
    }

    @Override
    public long getLong(long index) {
      long i = offset + index;
      return switch (dtype) {
        case I64 -> memory.getAtIndex(ValueLayout.JAVA_LONG, i);
        case U64 -> belowSign(memory.getAtIndex(ValueLayout.JAVA_LONG, i));
        case I32 -> memory.getAtIndex(ValueLayout.JAVA_INT, i);
        case U32 -> memory.getAtIndex(ValueLayout.JAVA_INT, i) & 0xFFFFFFFFL;
        case I16 -> memory.getAtIndex(ValueLayout.JAVA_SHORT, i);
        case U16 -> memory.getAtIndex(ValueLayout.JAVA_SHORT, i) & 0xFFFFL;
        case I8 -> memory.get(ValueLayout.JAVA_BYTE, i);
        case U8, BOOL -> memory.get(ValueLayout.JAVA_BYTE, i) & 0xFFL;
        case F64, F32, F16, BF16, F8_E4M3, F8_E5M2 -> throw new IllegalStateException(dtype.name());
      };
    }

    private static long belowSign(long value) {
      if (value < 0) {
        throw new NumericException("cast: the U64 value " + Long.toUnsignedString(value) + " exceeds 2^63 - 1");
      }
      return value;
    }

    @Override
    public void setLong(long index, long value) {
      long i = offset + index;
      switch (dtype) {
        case I64, U64 -> memory.setAtIndex(ValueLayout.JAVA_LONG, i, value);
        case I32, U32 -> memory.setAtIndex(ValueLayout.JAVA_INT, i, (int) value);
        case I16, U16 -> memory.setAtIndex(ValueLayout.JAVA_SHORT, i, (short) value);
        case I8, U8 -> memory.set(ValueLayout.JAVA_BYTE, i, (byte) value);
        case BOOL -> memory.set(ValueLayout.JAVA_BYTE, i, (byte) (value != 0 ? 1 : 0));
        case F64, F32, F16, BF16, F8_E4M3, F8_E5M2 -> throw new IllegalStateException(dtype.name());
      }
    }
  }
}
