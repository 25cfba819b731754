// Element by element: functions of one and of two numbers, comparisons, gated activations, and their gradients.

template <class T> DEVICE T combine(int f, T a, T b) {
  switch (f) {
    case BINARY_ADD: return a + b;
    case BINARY_SUB: return a - b;
    case BINARY_MUL: return a * b;
    case BINARY_DIV: return a / b;
    case BINARY_MAXIMUM: return nan_max(a, b);
    case BINARY_MINIMUM: return nan_min(a, b);
    default: return nan_pow(a, b);
  }
}

#define ELEMENTWISE(suffix, T)                                                                                            \
  KERNEL(unary_##suffix, (int f, const T *x, T *y, i64 count, T p, T q)) {                                                \
    FOR_EACH(i, count) {                                                                                                  \
      y[i] = apply(f, x[i], p, q);                                                                                        \
    }                                                                                                                     \
  }                                                                                                                       \
  EXPORT(unary_##suffix)                                                                                                  \
                                                                                                                          \
  /* dx = dy f'(x) */                                                                                                     \
  KERNEL(unary_grad_##suffix, (int f, const T *dy, const T *x, T *dx, i64 count, T p, T q)) {                             \
    FOR_EACH(i, count) {                                                                                                  \
      dx[i] = dy[i] * slope(f, x[i], p, q);                                                                               \
    }                                                                                                                     \
  }                                                                                                                       \
  EXPORT(unary_grad_##suffix)                                                                                             \
                                                                                                                          \
  KERNEL(binary_##suffix, (int f, const T *a, const T *b, T *y, i64 count, Walk walk)) {                                  \
    FOR_EACH(i, count) {                                                                                                  \
      Offsets o = offsets(walk, i);                                                                                       \
      y[i] = combine(f, a[o.at[0]], b[o.at[1]]);                                                                          \
    }                                                                                                                     \
  }                                                                                                                       \
  EXPORT(binary_##suffix)                                                                                                 \
                                                                                                                          \
  /* x [rows, 2 width], y [rows, width] = value f(gate), the gate in the first half of a row or in the second */          \
  KERNEL(gated_##suffix, (int f, int gate_first, const T *x, T *y, i64 count, i64 width, T p, T q)) {                     \
    FOR_EACH(i, count) {                                                                                                  \
      i64 first = i / width * width + i;                                                                                  \
      i64 second = first + width;                                                                                         \
      y[i] = x[gate_first ? second : first] * apply(f, x[gate_first ? first : second], p, q);                             \
    }                                                                                                                     \
  }                                                                                                                       \
  EXPORT(gated_##suffix)                                                                                                  \
                                                                                                                          \
  KERNEL(gated_grad_##suffix, (int f, int gate_first, const T *dy, const T *x, T *dx, i64 count, i64 width, T p, T q)) {  \
    FOR_EACH(i, count) {                                                                                                  \
      i64 first = i / width * width + i;                                                                                  \
      i64 value = gate_first ? first + width : first;                                                                     \
      i64 gate = gate_first ? first : first + width;                                                                      \
      T g = x[gate];                                                                                                      \
      dx[value] = dy[i] * apply(f, g, p, q);                                                                              \
      dx[gate] = dy[i] * x[value] * slope(f, g, p, q);                                                                    \
    }                                                                                                                     \
  }                                                                                                                       \
  EXPORT(gated_grad_##suffix)

ELEMENTWISE(f32, float)
ELEMENTWISE(f64, double)

// --------------------------------------------------------------------------------------------------------- comparisons

template <class T> DEVICE bool holds(int f, T a, T b) {
  switch (f) {
    case BINARY_EQUAL: return a == b;
    case BINARY_LESS: return a < b;
    default: return a <= b;
  }
}

template <class T> DEVICE bool holds(int f, const void *a, i64 at, const void *b, i64 bt) {
  return holds(f, ((const T *) a)[at], ((const T *) b)[bt]);
}

KERNEL(compare, (int f, int type, const void *a, const void *b, u8 *y, i64 count, Walk walk)) {
  FOR_EACH(i, count) {
    Offsets o = offsets(walk, i);
    i64 at = o.at[0];
    i64 bt = o.at[1];
    bool result;
    switch (type) {
      case TYPE_F64: result = holds<double>(f, a, at, b, bt); break;
      case TYPE_F32: result = holds<float>(f, a, at, b, bt); break;
      case TYPE_F16: result = holds(f, to_float(((const f16 *) a)[at]), to_float(((const f16 *) b)[bt])); break;
      case TYPE_BF16: result = holds(f, to_float(((const bf16 *) a)[at]), to_float(((const bf16 *) b)[bt])); break;
      case TYPE_I64: result = holds<i64>(f, a, at, b, bt); break;
      case TYPE_U64: result = holds<u64>(f, a, at, b, bt); break;
      case TYPE_I32: result = holds<int>(f, a, at, b, bt); break;
      case TYPE_U32: result = holds<u32>(f, a, at, b, bt); break;
      case TYPE_I16: result = holds<short>(f, a, at, b, bt); break;
      case TYPE_U16: result = holds<u16>(f, a, at, b, bt); break;
      case TYPE_I8: result = holds<signed char>(f, a, at, b, bt); break;
      default: result = holds<u8>(f, a, at, b, bt);
    }
    y[i] = result;
  }
}
EXPORT(compare)
