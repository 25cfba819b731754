// Copies that rearrange or convert. What only moves elements knows them by their size.

// 8 bytes in which the bits of an element are repeated, as so many bytes.
template <class T> DEVICE T repeated(u64 pattern) {
  return (T) pattern;
}

template <> DEVICE Wide repeated<Wide>(u64 pattern) {
  Wide result = {pattern, pattern};
  return result;
}

const int TILE = 32;

// Of each of outer matrices: to[p to_step + q] = from[p + q from_step]. Squares pass through shared memory, so that neighbouring
// threads read neighbours and write neighbours; a column more than needed spreads a square's columns over the memory's banks.
template <class T>
DEVICE void turn(const T *from, T *to, i64 size_p, i64 size_q, i64 from_step, i64 to_step, i64 outer, const Walk &walk) {
  __shared__ T square[TILE][TILE + 1];
  i64 across = (size_q + TILE - 1) / TILE;
  i64 down = (size_p + TILE - 1) / TILE;
  int lane = threadIdx.x % TILE;
  FOR_ROWS(block, outer * across * down) {
    i64 band = quotient(block, across);
    i64 matrix = quotient(band, down);
    i64 q0 = (block - band * across) * TILE;
    i64 p0 = (band - matrix * down) * TILE;
    Offsets start = offsets(walk, matrix);
    for (int k = threadIdx.x / TILE; k < TILE; k += blockDim.x / TILE) {
      if (p0 + lane < size_p && q0 + k < size_q) {
        square[k][lane] = from[start.at[0] + (q0 + k) * from_step + p0 + lane];
      }
    }
    __syncthreads();
    for (int k = threadIdx.x / TILE; k < TILE; k += blockDim.x / TILE) {
      if (q0 + lane < size_q && p0 + k < size_p) {
        to[start.at[1] + (p0 + k) * to_step + q0 + lane] = square[lane][k];
      }
    }
    __syncthreads();
  }
}

// ------------------------------------------------------------------------------------------------- numbers of any type

// OCP E4M3: bias 7, no infinity, NaN is all ones.
DEVICE float e4m3_to_float(u8 x) {
  u32 exponent = x >> 3 & 15;
  u32 mantissa = x & 7;
  float size = exponent == 0 ? mantissa * 0.001953125f : bits_to_float((exponent + 120) << 23 | mantissa << 20);
  if ((x & 0x7f) == 0x7f) {
    size = bits_to_float(0x7fc00000u);
  }
  return x & 0x80 ? -size : size;
}

// OCP E5M2: the upper half of a number of 16 bits.
DEVICE float e5m2_to_float(u8 x) {
  f16 wider = {(u16) (x << 8)};
  return to_float(wider);
}

// The size rounded to a grid: subnormals share the smallest exponent. Beyond largest it is overflow.
DEVICE u8 to_f8(float x, int mantissa_bits, int bias, u32 largest, u32 overflow) {
  u32 bits = float_to_bits(x);
  u8 negative = bits >> 24 & 0x80;
  u32 size_bits = bits & 0x7fffffffu;
  if (size_bits > 0x7f800000u) {
    return negative | 0x7f;
  }
  if (size_bits == 0x7f800000u) {
    return (u8) (negative | overflow);
  }
  int exponent = (int) (size_bits >> 23) - 127;
  if (exponent < 1 - bias) {
    exponent = 1 - bias;
  }
  // Times a power of two, hence exact.
  float steps = rint(bits_to_float(size_bits) * bits_to_float((u32) (127 + mantissa_bits - exponent) << 23));
  u32 code = (u32) steps + ((u32) (exponent + bias - 1) << mantissa_bits);
  return (u8) (negative | (code > largest ? overflow : code));
}

// A float that rounds to fewer bits as x itself does: cut off towards zero, the last bit set where something was lost.
DEVICE float narrowed(double x) {
  float near = (float) x;
  if (near == x || x != x) {
    return near;
  }
  u32 bits = float_to_bits(near);
  return bits_to_float((fabs((double) near) > fabs(x) ? bits - 1 : bits) | 1);
}

// Towards zero; beyond the range its end, 0 for NaN.
DEVICE i64 truncated(double x) {
  if (x != x) {
    return 0;
  }
  if (x >= 9223372036854775808.0) {
    return 0x7fffffffffffffffll;
  }
  return x <= -9223372036854775808.0 ? -0x7fffffffffffffffll - 1 : (i64) x;
}

DEVICE bool is_real(int type) {
  return type == TYPE_F64 || type == TYPE_F32 || type == TYPE_F16 || type == TYPE_BF16 || type == TYPE_F8_E4M3
      || type == TYPE_F8_E5M2;
}

// An integer; one of U64 that I64 has not is left as a fault.
DEVICE i64 whole(int type, const void *x, i64 at, Fault *fault) {
  switch (type) {
    case TYPE_I64: return ((const i64 *) x)[at];
    case TYPE_U64: {
      i64 value = ((const i64 *) x)[at];
      if (value < 0) {
        leave_fault(fault, FAULT_U64, value, 0);
      }
      return value;
    }
    case TYPE_I32: return ((const int *) x)[at];
    case TYPE_U32: return ((const u32 *) x)[at];
    case TYPE_I16: return ((const short *) x)[at];
    case TYPE_U16: return ((const u16 *) x)[at];
    case TYPE_I8: return ((const signed char *) x)[at];
    default: return ((const u8 *) x)[at];
  }
}

DEVICE double number(int type, const void *x, i64 at, Fault *fault) {
  switch (type) {
    case TYPE_F64: return ((const double *) x)[at];
    case TYPE_F32: return ((const float *) x)[at];
    case TYPE_F16: return to_float(((const f16 *) x)[at]);
    case TYPE_BF16: return to_float(((const bf16 *) x)[at]);
    case TYPE_F8_E4M3: return e4m3_to_float(((const u8 *) x)[at]);
    case TYPE_F8_E5M2: return e5m2_to_float(((const u8 *) x)[at]);
    default: return (double) whole(type, x, at, fault);
  }
}

// The bits of x as an element; of integers with fewer bits the lowest.
DEVICE u64 bits_of(int type, double x) {
  switch (type) {
    case TYPE_F64: return (u64) __double_as_longlong(x);
    case TYPE_F32: return float_to_bits((float) x);
    case TYPE_F16: return to_f16(narrowed(x)).bits;
    case TYPE_BF16: return to_bf16(narrowed(x)).bits;
    case TYPE_F8_E4M3: return to_f8(narrowed(x), 3, 7, 0x7e, 0x7f);
    case TYPE_F8_E5M2: return x != x ? 0x7f : to_f8(narrowed(x), 2, 15, 0x7b, 0x7c);
    case TYPE_BOOL: return x != 0;
    default: return (u64) truncated(x);
  }
}

DEVICE int bytes_of(int type) {
  switch (type) {
    case TYPE_F64:
    case TYPE_I64:
    case TYPE_U64: return 8;
    case TYPE_F32:
    case TYPE_I32:
    case TYPE_U32: return 4;
    case TYPE_F16:
    case TYPE_BF16:
    case TYPE_I16:
    case TYPE_U16: return 2;
    default: return 1;
  }
}

// y = x as another type, wherever the elements lie.
KERNEL(cast, (int type_x, int type_y, const void *x, void *y, i64 count, Walk walk, Fault *fault)) {
  int bytes = bytes_of(type_y);
  bool real = is_real(type_x) || is_real(type_y);
  FOR_EACH(i, count) {
    Offsets o = offsets(walk, i);
    u64 bits;
    if (real) {
      bits = bits_of(type_y, number(type_x, x, o.at[0], fault));
    } else {
      i64 value = whole(type_x, x, o.at[0], fault);
      bits = type_y == TYPE_BOOL ? value != 0 : (u64) value;
    }
    switch (bytes) {
      case 8: ((u64 *) y)[o.at[1]] = bits; break;
      case 4: ((u32 *) y)[o.at[1]] = (u32) bits; break;
      case 2: ((u16 *) y)[o.at[1]] = (u16) bits; break;
      default: ((u8 *) y)[o.at[1]] = (u8) bits;
    }
  }
}
EXPORT(cast)

// ------------------------------------------------------------------------------------- the conversions that are frequent

DEVICE float to_float(double x) {
  return (float) x;
}

DEVICE float to_float(u8 x) {
  return x;
}

template <> DEVICE double from_float<double>(float x) {
  return x;
}

// Both dense, four at a time, then what is left. Of both types one at least is exact in float32.
#define CAST(from, to, F, T)                                                                                                \
  KERNEL(cast_##from##_##to, (const F *x, T *y, i64 count)) {                                                               \
    FOR_EACH(i, count / 4) {                                                                                                \
      Vector<F, 4> four = ((const Vector<F, 4> *) x)[i];                                                                    \
      Vector<T, 4> result;                                                                                                  \
      for (int k = 0; k < 4; k++) {                                                                                         \
        result.part[k] = from_float<T>(to_float(four.part[k]));                                                             \
      }                                                                                                                     \
      ((Vector<T, 4> *) y)[i] = result;                                                                                     \
    }                                                                                                                       \
    FOR_EACH(i, count % 4) {                                                                                                \
      i64 at = count - 1 - i;                                                                                               \
      y[at] = from_float<T>(to_float(x[at]));                                                                               \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(cast_##from##_##to)

CAST(f32, bf16, float, bf16)
CAST(f32, f16, float, f16)
CAST(f32, f64, float, double)
CAST(bf16, f32, bf16, float)
CAST(f16, f32, f16, float)
CAST(f64, f32, double, float)
CAST(u8, f32, u8, float)
CAST(bf16, f16, bf16, f16)
CAST(f16, bf16, f16, bf16)

// ------------------------------------------------------------------------------------------------ by size of an element

#define MOVES(bytes, T)                                                                                                     \
  KERNEL(copy_##bytes, (const T *from, T *to, i64 count, Walk walk)) {                                                      \
    FOR_EACH(i, count) {                                                                                                    \
      Offsets o = offsets(walk, i);                                                                                         \
      to[o.at[1]] = from[o.at[0]];                                                                                          \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(copy_##bytes)                                                                                                      \
                                                                                                                            \
  /* Every element is value as the type has it; one of so many bytes may be several of the type. */                         \
  KERNEL(fill_##bytes, (int type, double value, T *to, i64 count, Walk walk)) {                                             \
    u64 pattern = bits_of(type, value);                                                                                     \
    for (int width = 8 * bytes_of(type); width < 64; width *= 2) {                                                          \
      pattern = (pattern & ((1ull << width) - 1)) | pattern << width;                                                       \
    }                                                                                                                       \
    FOR_EACH(i, count) {                                                                                                    \
      to[offsets(walk, i).at[0]] = repeated<T>(pattern);                                                                    \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(fill_##bytes)

#define MOVES_OF_ELEMENTS(bytes, T)                                                                                         \
  MOVES(bytes, T)                                                                                                           \
                                                                                                                            \
  KERNEL(turn_##bytes, (const T *from, T *to, i64 size_p, i64 size_q, i64 from_step, i64 to_step, i64 outer, Walk walk)) {  \
    turn(from, to, size_p, size_q, from_step, to_step, outer, walk);                                                        \
  }                                                                                                                         \
  EXPORT(turn_##bytes)                                                                                                      \
                                                                                                                            \
  /* y [..., rows, columns] = x where column - row >= diagonal (upper) or <= diagonal, else 0 */                            \
  KERNEL(triangle_##bytes, (int upper, i64 diagonal, const T *x, T *y, i64 count, i64 rows, i64 columns, Walk walk)) {      \
    FOR_EACH(i, count) {                                                                                                    \
      i64 line = quotient(i, columns);                                                                                      \
      i64 apart = i - line * columns - (line - quotient(line, rows) * rows);                                                \
      bool kept = upper ? apart >= diagonal : apart <= diagonal;                                                            \
      y[i] = kept ? x[offsets(walk, i).at[0]] : T(0);                                                                       \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(triangle_##bytes)

MOVES(16, Wide)
MOVES_OF_ELEMENTS(8, u64)
MOVES_OF_ELEMENTS(4, u32)
MOVES_OF_ELEMENTS(2, u16)
MOVES_OF_ELEMENTS(1, u8)
