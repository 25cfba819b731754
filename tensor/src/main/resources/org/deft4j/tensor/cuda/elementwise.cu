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

// ------------------------------------------------------------------------------------------------- which function it is

// Loops are for the function F, or for any, which f then says.
const int ANY = -1;

template <int F> struct Function {
  static const int code = F;
};

// Functions have many branches, so that a loop for any has one copy of them for all N elements of a vector. That costs instructions, which
// hide behind the memory of wider elements. Of bf16 a thread has 8: for frequent functions there are loops without branches.
template <int... FREQUENT, class S, class Loop> DEVICE void with_function(const S *, int f, Loop loop) {
  if constexpr (sizeof(S) < 4) {
    bool done = ((f == FREQUENT && (loop(Function<FREQUENT>()), true)) || ...);
    if (done) {
      return;
    }
  }
  loop(Function<ANY>());
}

template <int F, int N> constexpr int COPIES = F == ANY ? 1 : N;

// -------------------------------------------------------------------------------------------- of count vectors of N elements

template <int F, int N, class S, class T> DEVICE void unary(int f, const S *x, S *y, i64 count, T p, T q) {
  FOR_EACH(i, count) {
    Vector<T, N> v = loaded<N>(x + i * N);
#pragma unroll (COPIES<F, N>)
    for (int k = 0; k < N; k++) {
      v.turn(apply(F == ANY ? f : F, v.part[0], p, q));
    }
    store(y + i * N, v);
  }
}

template <int N, class S, class T> DEVICE void unary_grad(int f, const S *dy, const S *x, S *dx, i64 count, T p, T q) {
  FOR_EACH(i, count) {
    Vector<T, N> v = loaded<N>(x + i * N);
    Vector<T, N> d = loaded<N>(dy + i * N);
#pragma unroll 1
    for (int k = 0; k < N; k++) {
      v.turn(slope(f, v.part[0], p, q));
    }
    for (int k = 0; k < N; k++) {
      v.part[k] *= d.part[k];
    }
    store(dx + i * N, v);
  }
}

template <int F, int N, class S> DEVICE void binary(int f, const S *a, const S *b, S *y, i64 count, const Walk &walk) {
  typedef Computed<S> T;
  FOR_EACH(i, count) {
    Offsets o = offsets(walk, i);
    Vector<T, N> u = taken<N>(a, walk, o, 0);
    Vector<T, N> v = taken<N>(b, walk, o, 1);
#pragma unroll (COPIES<F, N>)
    for (int k = 0; k < N; k++) {
      T first = v.part[0];
      u.turn(combine(F == ANY ? f : F, u.part[0], first));
      v.turn(first);
    }
    store(y + i * N, u);
  }
}

// width vectors are a row of y, twice as many one of x.
template <int F, int N, class S, class T> DEVICE void gated(int f, int gate_first, const S *x, S *y, i64 count, i64 width, T p, T q) {
  FOR_EACH(i, count) {
    i64 first = quotient(i, width) * width + i;
    Vector<T, N> value = loaded<N>(x + (gate_first ? first + width : first) * N);
    Vector<T, N> gate = loaded<N>(x + (gate_first ? first : first + width) * N);
#pragma unroll (COPIES<F, N>)
    for (int k = 0; k < N; k++) {
      gate.turn(apply(F == ANY ? f : F, gate.part[0], p, q));
    }
    for (int k = 0; k < N; k++) {
      value.part[k] *= gate.part[k];
    }
    store(y + i * N, value);
  }
}

// f(x) and f'(x), which share most of their work where f is what gates usually are.
template <class T> struct ValueAndSlope {
  T value;
  T slope;
};

template <class T> DEVICE ValueAndSlope<T> value_and_slope(int f, T x, T p, T q) {
  switch (f) {
    case UNARY_SILU: {
      T s = sigmoid(x);
      return {x * s, s * (T(1) + x * (T(1) - s))};
    }
    case UNARY_GELU: {
      T below = T(0.5) * (T(1) + erf(x * T(0.70710678118654752)));
      return {x * below, below + x * T(0.39894228040143268) * exp(T(-0.5) * x * x)};
    }
    default: return {apply(f, x, p, q), slope(f, x, p, q)};
  }
}

template <int F, int N, class S, class T>
DEVICE void gated_grad(int f, int gate_first, const S *dy, const S *x, S *dx, i64 count, i64 width, T p, T q) {
  FOR_EACH(i, count) {
    i64 first = quotient(i, width) * width + i;
    i64 value_at = (gate_first ? first + width : first) * N;
    i64 gate_at = (gate_first ? first : first + width) * N;
    Vector<T, N> value = loaded<N>(x + value_at);
    Vector<T, N> gate = loaded<N>(x + gate_at);
    Vector<T, N> d = loaded<N>(dy + i * N);
#pragma unroll (COPIES<F, N>)
    for (int k = 0; k < N; k++) {
      ValueAndSlope<T> of_gate = value_and_slope(F == ANY ? f : F, gate.part[0], p, q);
      T reaches = d.part[0];
      d.turn(reaches);
      gate.turn(reaches * value.part[0] * of_gate.slope);
      value.turn(reaches * of_gate.value);
    }
    store(dx + value_at, value);
    store(dx + gate_at, gate);
  }
}

#define ELEMENTWISE(suffix, S)                                                                                            \
  KERNEL(unary_##suffix, (int f, const S *x, S *y, i64 count, Computed<S> p, Computed<S> q)) {                            \
    i64 wide = is_wide(x, y) ? count / WIDTH<S> : 0;                                                                      \
    i64 past = wide * WIDTH<S>;                                                                                           \
    with_function<UNARY_SILU, UNARY_GELU, UNARY_AFFINE>(x, f, [&](auto known) {                                           \
      unary<decltype(known)::code, WIDTH<S>>(f, x, y, wide, p, q);                                                        \
    });                                                                                                                   \
    unary<ANY, 1>(f, x + past, y + past, count - past, p, q);                                                             \
  }                                                                                                                       \
  EXPORT(unary_##suffix)                                                                                                  \
                                                                                                                          \
  /* dx = dy f'(x) */                                                                                                     \
  KERNEL(unary_grad_##suffix, (int f, const S *dy, const S *x, S *dx, i64 count, Computed<S> p, Computed<S> q)) {         \
    i64 wide = is_wide(dy, x, dx) ? count / WIDTH<S> : 0;                                                                 \
    i64 past = wide * WIDTH<S>;                                                                                           \
    unary_grad<WIDTH<S>>(f, dy, x, dx, wide, p, q);                                                                       \
    unary_grad<1>(f, dy + past, x + past, dx + past, count - past, p, q);                                                 \
  }                                                                                                                       \
  EXPORT(unary_grad_##suffix)                                                                                             \
                                                                                                                          \
  /* Of count vectors where the walk is one of these, else elements. */                                                   \
  KERNEL(binary_##suffix, (int f, int wide, const S *a, const S *b, S *y, i64 count, Walk walk)) {                        \
    if (wide) {                                                                                                           \
      with_function<BINARY_ADD, BINARY_SUB, BINARY_MUL>(a, f, [&](auto known) {                                           \
        binary<decltype(known)::code, WIDTH<S>>(f, a, b, y, count, walk);                                                 \
      });                                                                                                                 \
    } else {                                                                                                              \
      binary<ANY, 1>(f, a, b, y, count, walk);                                                                            \
    }                                                                                                                     \
  }                                                                                                                       \
  EXPORT(binary_##suffix)                                                                                                 \
                                                                                                                          \
  /* x [rows, 2 width], y [rows, width] = value f(gate), the gate in the first half of a row or in the second */          \
  KERNEL(gated_##suffix, (int f, int gate_first, const S *x, S *y, i64 count, i64 width, Computed<S> p, Computed<S> q)) { \
    if (width % WIDTH<S> == 0 && is_wide(x, y)) {                                                                         \
      with_function<UNARY_SILU, UNARY_GELU>(x, f, [&](auto known) {                                                       \
        gated<decltype(known)::code, WIDTH<S>>(f, gate_first, x, y, count / WIDTH<S>, width / WIDTH<S>, p, q);            \
      });                                                                                                                 \
    } else {                                                                                                              \
      gated<ANY, 1>(f, gate_first, x, y, count, width, p, q);                                                             \
    }                                                                                                                     \
  }                                                                                                                       \
  EXPORT(gated_##suffix)                                                                                                  \
                                                                                                                          \
  KERNEL(gated_grad_##suffix, (int f, int gate_first, const S *dy, const S *x, S *dx, i64 count, i64 width,               \
      Computed<S> p, Computed<S> q)) {                                                                                    \
    if (width % WIDTH<S> == 0 && is_wide(dy, x, dx)) {                                                                    \
      with_function<UNARY_SILU, UNARY_GELU>(x, f, [&](auto known) {                                                       \
        gated_grad<decltype(known)::code, WIDTH<S>>(f, gate_first, dy, x, dx, count / WIDTH<S>, width / WIDTH<S>, p, q);  \
      });                                                                                                                 \
    } else {                                                                                                              \
      gated_grad<ANY, 1>(f, gate_first, dy, x, dx, count, width, p, q);                                                   \
    }                                                                                                                     \
  }                                                                                                                       \
  EXPORT(gated_grad_##suffix)

ELEMENTWISE(f32, float)
ELEMENTWISE(f64, double)
ELEMENTWISE(bf16, bf16)

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
