package org.deft4j.tensor.internal;

import org.deft4j.tensor.DType;

/** Floating-point formats of 16 and 8 bits: to float exactly, from float to nearest, ties to even. */
enum SmallFloat {
  /** IEEE binary16. */
  F16(2) {
    @Override
    float decode(int bits) {
      return Float.float16ToFloat((short) bits);
    }

    @Override
    int encode(float value) {
      return Float.floatToFloat16(value) & 0xFFFF;
    }
  },
  /** The upper half of binary32. */
  BF16(2) {
    @Override
    float decode(int bits) {
      return Float.intBitsToFloat(bits << 16);
    }

    @Override
    int encode(float value) {
      return bfloat16(value);
    }
  },
  /** OCP E4M3: bias 7, no infinity, NaN is all ones; overflow gives NaN as in PyTorch's float8_e4m3fn. */
  F8_E4M3(1) {
    @Override
    float decode(int bits) {
      return (bits & 0x7F) == 0x7F ? Float.NaN : small(bits, 4, 3, 7);
    }

    @Override
    int encode(float value) {
      return round(value, 3, 7, 0x7E, 0x7F);
    }
  },
  /** OCP E5M2: bias 15, with infinities and NaN. */
  F8_E5M2(1) {
    @Override
    float decode(int bits) {
      return Float.float16ToFloat((short) (bits << 8));
    }

    @Override
    int encode(float value) {
      return Float.isNaN(value) ? 0x7F : round(value, 2, 15, 0x7B, 0x7C);
    }
  };

  private final int bytes;

  SmallFloat(int bytes) {
    this.bytes = bytes;
  }

  abstract float decode(int bits);

  abstract int encode(float value);

  int bytes() {
    return bytes;
  }

  static SmallFloat of(DType dtype) {
    return switch (dtype) {
      case F16 -> F16;
      case BF16 -> BF16;
      case F8_E4M3 -> F8_E4M3;
      case F8_E5M2 -> F8_E5M2;
      case F64, F32, I64, I32, I16, I8, U64, U32, U16, U8, BOOL -> throw new IllegalArgumentException(dtype.name());
    };
  }

  /** Adds just under half a unit of the last kept bit, one more where that bit is odd; NaN stays NaN. */
  static int bfloat16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (bits >>> 16) | 0x40;
    }
    return (bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16;
  }

  /**
   * {@code value} as a float that rounds to fewer bits as {@code value} itself does: cut off towards zero, with the last bit set
   * where something was lost ("rounding to odd"), so that a second rounding sees on which side of a tie it was.
   */
  static float narrowed(double value) {
    float near = (float) value;
    if (near == value || Double.isNaN(value)) {
      return near;
    }
    int bits = Float.floatToRawIntBits(near);
    int towardsZero = Math.abs((double) near) > Math.abs(value) ? bits - 1 : bits;
    return Float.intBitsToFloat(towardsZero | 1);
  }

  private static float small(int bits, int exponentBits, int mantissaBits, int bias) {
    int exponent = (bits >> mantissaBits) & ((1 << exponentBits) - 1);
    int mantissa = bits & ((1 << mantissaBits) - 1);
    float magnitude = exponent == 0 ? Math.scalb((float) mantissa, 1 - bias - mantissaBits)
        : Math.scalb((float) (mantissa | (1 << mantissaBits)), exponent - bias - mantissaBits);
    return (bits & 0x80) == 0 ? magnitude : -magnitude;
  }

  /** Rounds the magnitude to a grid: subnormals share the smallest exponent. */
  private static int round(float value, int mantissaBits, int bias, int largest, int overflow) {
    int sign = (Float.floatToRawIntBits(value) >>> 24) & 0x80;
    if (Float.isNaN(value)) {
      return sign | 0x7F;
    }
    double magnitude = Math.abs((double) value);
    int exponent = Math.max(1 - bias, magnitude == 0 ? 1 - bias : Math.getExponent(magnitude));
    double steps = Math.rint(Math.scalb(magnitude, mantissaBits - exponent));
    long code = (long) steps + ((long) (exponent + bias - 1) << mantissaBits);
    return sign | (int) (code > largest || Double.isInfinite(magnitude) ? overflow : code);
  }
}
