package org.deft4j.weights;

import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.deft4j.tensor.DType;

/**
 * The element types that a safetensors header can name, in the order of the reference implementation: its writer puts the
 * tensors of a later type first. Some can be read only by name: they are listed, and refused when loaded.
 */
public enum StoredType {
  /** One byte, 0 or 1. */
  BOOL(8, DType.BOOL),
  /** 4-bit float (OCP E2M1), two in a byte. */
  F4(4, null),
  /** 6-bit float, 2 exponent and 3 mantissa bits. */
  F6_E2M3(6, null),
  /** 6-bit float, 3 exponent and 2 mantissa bits. */
  F6_E3M2(6, null),
  /** Unsigned 8-bit integer. */
  U8(8, DType.U8),
  /** Signed 8-bit integer. */
  I8(8, DType.I8),
  /** 8-bit float, 5 exponent and 2 mantissa bits. */
  F8_E5M2(8, DType.F8_E5M2),
  /** 8-bit float, 4 exponent and 3 mantissa bits. */
  F8_E4M3(8, DType.F8_E4M3),
  /** 8-bit power of two, used as a scale. */
  F8_E8M0(8, null),
  /** 8-bit float, 4 exponent and 3 mantissa bits, no negative zero. */
  F8_E4M3FNUZ(8, null),
  /** 8-bit float, 5 exponent and 2 mantissa bits, no negative zero. */
  F8_E5M2FNUZ(8, null),
  /** Signed 16-bit integer. */
  I16(16, DType.I16),
  /** Unsigned 16-bit integer. */
  U16(16, DType.U16),
  /** IEEE 754 binary16. */
  F16(16, DType.F16),
  /** The upper half of binary32. */
  BF16(16, DType.BF16),
  /** Signed 32-bit integer. */
  I32(32, DType.I32),
  /** Unsigned 32-bit integer. */
  U32(32, DType.U32),
  /** IEEE 754 binary32. */
  F32(32, DType.F32),
  /** Complex number of two binary32. */
  C64(64, null),
  /** IEEE 754 binary64. */
  F64(64, DType.F64),
  /** Signed 64-bit integer. */
  I64(64, DType.I64),
  /** Unsigned 64-bit integer. */
  U64(64, DType.U64);

  private static final Map<String, StoredType> BY_NAME =
      Arrays.stream(values()).collect(Collectors.toMap(StoredType::name, Function.identity()));
  private static final Map<DType, StoredType> BY_DTYPE = Arrays.stream(values())
      .filter(type -> type.dtype != null).collect(Collectors.toMap(type -> type.dtype, Function.identity()));

  private final int bits;
  private final DType dtype;

  StoredType(int bits, DType dtype) {
    this.bits = bits;
    this.dtype = dtype;
  }

  /** Bits of one element. */
  public int bits() {
    return bits;
  }

  /** The tensor type that holds these elements; empty where there is none. */
  public Optional<DType> dtype() {
    return Optional.ofNullable(dtype);
  }

  /** The type that a tensor is stored as. */
  public static StoredType of(DType dtype) {
    return BY_DTYPE.get(dtype);
  }

  /** The type of that name, or null. */
  static StoredType named(String name) {
    return BY_NAME.get(name);
  }
}
