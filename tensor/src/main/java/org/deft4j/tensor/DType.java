package org.deft4j.tensor;

/**
 * Element types. Arithmetic runs in {@link #F32} and {@link #F64}. Operations on {@link #BF16} compute in F32, from numbers that this
 * holds exactly, and round each number of the result once; sums that a later operation goes on with (the statistics of a norm, attention's
 * log-sum-exp, gradients of weights) stay F32, as do biases and the weights of norms beside BF16 inputs. {@link #F16} is stored, converted
 * and, like BF16, accepted as the weight of a product; {@link #I64}, {@link #I32}, {@link #U8} and {@link #BOOL} hold indices, pixels
 * and masks. The rest is known so that files holding it can be read, and converted with {@code cast}.
 */
public enum DType {
  /** IEEE 754 binary64. */
  F64(8, Kind.FLOAT),
  /** IEEE 754 binary32. */
  F32(4, Kind.FLOAT),
  /** IEEE 754 binary16: 5 exponent bits, 10 mantissa bits, largest finite value 65,504. */
  F16(2, Kind.FLOAT),
  /** The upper half of binary32: 8 exponent bits, 7 mantissa bits. */
  BF16(2, Kind.FLOAT),
  /** Signed 64-bit integer. */
  I64(8, Kind.INTEGER),
  /** Signed 32-bit integer. */
  I32(4, Kind.INTEGER),
  /** Signed 16-bit integer; for reading. */
  I16(2, Kind.INTEGER),
  /** Signed 8-bit integer; for reading. */
  I8(1, Kind.INTEGER),
  /** Unsigned 64-bit integer; for reading, values above 2^63 - 1 are refused by conversions. */
  U64(8, Kind.INTEGER),
  /** Unsigned 32-bit integer; for reading. */
  U32(4, Kind.INTEGER),
  /** Unsigned 16-bit integer; for reading. */
  U16(2, Kind.INTEGER),
  /** Unsigned 8-bit integer. */
  U8(1, Kind.INTEGER),
  /** One byte, 0 or 1. */
  BOOL(1, Kind.BOOLEAN),
  /** 8-bit float, 4 exponent and 3 mantissa bits, no infinity (OCP E4M3); for reading. */
  F8_E4M3(1, Kind.FLOAT),
  /** 8-bit float, 5 exponent and 2 mantissa bits (OCP E5M2); for reading. */
  F8_E5M2(1, Kind.FLOAT);

  private enum Kind {
    FLOAT,
    INTEGER,
    BOOLEAN
  }

  private final int bytes;
  private final Kind kind;

  DType(int bytes, Kind kind) {
    this.bytes = bytes;
    this.kind = kind;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** Whether the type holds real numbers. */
  public boolean isFloating() {
    return kind == Kind.FLOAT;
  }

  /** Whether the type holds integers (BOOL does not count). */
  public boolean isInteger() {
    return kind == Kind.INTEGER;
  }

  /** Whether arithmetic runs in this type: F32 or F64. */
  public boolean isComputable() {
    return this == F32 || this == F64;
  }

  /** Whether operations take it: F32, F64 and BF16. */
  public boolean isOperand() {
    return isComputable() || this == BF16;
  }

  /** What arithmetic on numbers of this type runs in: F64 for F64, else F32. */
  public DType wide() {
    return this == F64 ? F64 : F32;
  }
}
