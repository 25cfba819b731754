// What all sources share. It is compiled by NVRTC, which has no headers of its own: everything is here.
//
// Conventions. Kernels are functions of C named kernel_type, one for each type they are for (KERNEL). A thread strides over its
// elements by the whole grid (FOR_EACH), a block over rows (FOR_ROWS), so that any grid computes the same. Indices are 64 bits. A type S
// is of numbers in memory, T of those in registers: they differ for bf16, which is computed with in float32 and rounded as it is stored.

#ifdef DEFT_HOST
// The tests run the same sources on the processor: their header defines what CUDA C adds to C++.
#else
#define DEVICE __device__ __forceinline__
#define DEVICE_FUNCTION __device__
#define KERNEL(name, parameters) extern "C" __global__ void name parameters
#define EXPORT(name)
#define DYNAMIC_SHARED(type, name) extern __shared__ __align__(16) unsigned char dynamic_shared[]; type *name = (type *) dynamic_shared
#endif

typedef long long i64;
typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

// 16 bytes, the most that a thread moves at once.
struct alignas(16) Wide {
  u64 low;
  u64 high;
};

// N elements that a thread moves at once, or 16 bytes at a time, and takes one by one.
template <class T, int N> struct alignas(N * sizeof(T) < sizeof(Wide) ? N * sizeof(T) : sizeof(Wide)) Vector {
  T part[N];

  // The first makes room for a result at the end: after N turns there are N results, in their order, of one copy of the code.
  DEVICE void turn(T result) {
#pragma unroll
    for (int k = 0; k + 1 < N; k++) {
      part[k] = part[k + 1];
    }
    part[N - 1] = result;
  }
};

// How many elements are 16 bytes.
template <class T> constexpr int WIDTH = 16 / (int) sizeof(T);

// Whether N elements may be moved at once from there on.
template <int N, class T> DEVICE bool is_aligned(const T *at) {
  return (u64) at % alignof(Vector<T, N>) == 0;
}

// Whether 16 bytes may be moved at once from there on.
template <class T> DEVICE bool is_wide(const T *at) {
  return is_aligned<WIDTH<T>>(at);
}

template <class T, class... More> DEVICE bool is_wide(const T *at, More... more) {
  return is_wide(at) && is_wide(more...);
}

#define FOR_EACH(i, count) \
  for (i64 i = (i64) blockIdx.x * blockDim.x + threadIdx.x; i < (count); i += (i64) gridDim.x * blockDim.x)
#define FOR_ROWS(row, count) for (i64 row = blockIdx.x; row < (count); row += gridDim.x)

// Where what a kernel cannot go on with is left (Faults.java): which kind, the number, and for an index its range.
struct Fault {
  u64 met;
  i64 number;
  i64 range;
};

const u64 FAULT_INDEX = 1;
const u64 FAULT_U64 = 2;

// Keeps the first.
DEVICE void leave_fault(Fault *fault, u64 kind, i64 number, i64 range) {
  if (atomicCAS(&fault->met, 0ull, kind) == 0ull) {
    fault->number = number;
    fault->range = range;
  }
}

// Whether index is in 0 .. range - 1; if not, it is left as a fault.
DEVICE bool in_range(i64 index, i64 range, Fault *fault) {
  bool inside = index >= 0 && index < range;
  if (!inside) {
    leave_fault(fault, FAULT_INDEX, index, range);
  }
  return inside;
}

// a / b of numbers that are not negative; 32 bits are divided several times as fast as 64.
DEVICE i64 quotient(i64 a, i64 b) {
  return ((a | b) >> 32) == 0 ? (i64) ((u32) a / (u32) b) : a / b;
}

// Up to three tensors walked in the row-major order of one shape (Walk.java).
const int MOST_DIMENSIONS = 8;

struct Walk {
  int rank;
  int padding;
  i64 size[MOST_DIMENSIONS];
  i64 stride[3][MOST_DIMENSIONS];
  // Of each size d numbers m and s with that i / d = (floor(i m / 2^32) + i) / 2^s, rounded down, for all i below 2^31.
  struct {
    u32 multiplier;
    u32 shift;
  } divisor[MOST_DIMENSIONS];
};

struct Offsets {
  i64 at[3];
};

// Where the element of row-major index i is in each of the tensors. The loop of 32 bits is unrolled for all dimensions there may be, so
// that what is known of each is an operand and need not be loaded first.
DEVICE Offsets offsets(const Walk &walk, i64 i) {
  Offsets result = {{0, 0, 0}};
  if (walk.rank == 1) {
    for (int t = 0; t < 3; t++) {
      result.at[t] = i * walk.stride[t][0];
    }
    return result;
  }
  if (i >> 31 == 0) {
    u32 left = (u32) i;
#pragma unroll
    for (int d = MOST_DIMENSIONS - 1; d >= 0; d--) {
      if (d < walk.rank) {
        u32 rest = d == 0 ? 0 : (__umulhi(left, walk.divisor[d].multiplier) + left) >> walk.divisor[d].shift;
        u32 here = left - rest * (u32) walk.size[d];
        left = rest;
        for (int t = 0; t < 3; t++) {
          result.at[t] += here * walk.stride[t][d];
        }
      }
    }
    return result;
  }
  for (int d = walk.rank - 1; d >= 0; d--) {
    i64 rest = i / walk.size[d];
    i64 here = i - rest * walk.size[d];
    i = rest;
    for (int t = 0; t < 3; t++) {
      result.at[t] += here * walk.stride[t][d];
    }
  }
  return result;
}

// ---------------------------------------------------------------------------------------------------- numbers of 16 bits

DEVICE float bits_to_float(u32 bits) {
  return __uint_as_float(bits);
}

DEVICE u32 float_to_bits(float x) {
  return __float_as_uint(x);
}

// BF16 is the upper half of float32.
struct bf16 {
  u16 bits;
};

struct f16 {
  u16 bits;
};

DEVICE float to_float(bf16 x) {
  return bits_to_float((u32) x.bits << 16);
}

#ifdef DEFT_HOST
DEVICE bf16 to_bf16(float x) {
  u32 bits = float_to_bits(x);
  bf16 result;
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    result.bits = (u16) (bits >> 16 | 0x40);  // a NaN stays one
  } else {
    result.bits = (u16) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // to nearest, ties to even
  }
  return result;
}

DEVICE float to_float(f16 x) {
  return host_f16_to_float(x.bits);
}

DEVICE f16 to_f16(float x) {
  f16 result;
  result.bits = host_float_to_f16(x);
  return result;
}
#else
// One instruction, where the arithmetic above would take a kernel that only moves numbers longer than memory does.
DEVICE bf16 to_bf16(float x) {
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
  return result;
}

DEVICE float to_float(f16 x) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(x.bits));
  return result;
}

DEVICE f16 to_f16(float x) {
  f16 result;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(x));
  return result;
}
#endif

DEVICE float to_float(float x) {
  return x;
}

template <class T> DEVICE T from_float(float x);

template <> DEVICE float from_float<float>(float x) {
  return x;
}

template <> DEVICE bf16 from_float<bf16>(float x) {
  return to_bf16(x);
}

template <> DEVICE f16 from_float<f16>(float x) {
  return to_f16(x);
}

// A number of one type in another; of those of up to 32 bits by float32.
template <class T, class F> struct Converter {
  static DEVICE T of(F x) {
    return from_float<T>(to_float(x));
  }
};

template <> struct Converter<double, double> {
  static DEVICE double of(double x) {
    return x;
  }
};

template <class T, class F> DEVICE T converted(F x) {
  return Converter<T, F>::of(x);
}

// Two numbers of 16 bits, the first in the lower half: in one instruction, where there is one.
template <class H> DEVICE u32 pack(float low, float high) {
  return from_float<H>(low).bits | (u32) from_float<H>(high).bits << 16;
}

#if !defined(DEFT_HOST) && __CUDA_ARCH__ >= 800
template <> DEVICE u32 pack<bf16>(float low, float high) {
  u32 result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}

template <> DEVICE u32 pack<f16>(float low, float high) {
  u32 result;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}
#endif

// -------------------------------------------------------------------------------------- as stored, and as computed with

// What arithmetic on numbers stored as S runs in: float32 for bf16, else S.
template <class S> struct Arithmetic {
  typedef S type;
};

template <> struct Arithmetic<bf16> {
  typedef float type;
};

template <class S> using Computed = typename Arithmetic<S>::type;

template <class S> DEVICE S computed(S x) {
  return x;
}

DEVICE float computed(bf16 x) {
  return to_float(x);
}

// The other way, rounded.
template <class S> DEVICE S stored(Computed<S> x) {
  if constexpr (sizeof(S) < sizeof(x)) {
    return from_float<S>(x);
  } else {
    return x;
  }
}

// N numbers that lie side by side.
template <int N, class S> DEVICE Vector<Computed<S>, N> loaded(const S *from) {
  if constexpr (sizeof(S) == sizeof(Computed<S>)) {
    return *(const Vector<S, N> *) from;
  } else if constexpr (N == 1) {
    return {computed(*from)};
  } else {
    Vector<u32, N / 2> pairs = *(const Vector<u32, N / 2> *) from;
    Vector<Computed<S>, N> result;
#pragma unroll
    for (int k = 0; k < N; k += 2) {
      result.part[k] = computed(S{(u16) pairs.part[k / 2]});
      result.part[k + 1] = computed(S{(u16) (pairs.part[k / 2] >> 16)});
    }
    return result;
  }
}

template <class S, int N, class T> DEVICE void store(S *to, const Vector<T, N> &v) {
  if constexpr (sizeof(S) == sizeof(T)) {
    *(Vector<T, N> *) to = v;
  } else if constexpr (N == 1) {
    *to = stored<S>(v.part[0]);
  } else {
    Vector<u32, N / 2> pairs;
#pragma unroll
    for (int k = 0; k < N; k += 2) {
      pairs.part[k / 2] = pack<S>(v.part[k], v.part[k + 1]);
    }
    *(Vector<u32, N / 2> *) to = pairs;
  }
}

// N numbers of tensor t of a walk in units of N, along whose last dimension a tensor has them side by side or one for all of them.
template <int N, class S> DEVICE Vector<Computed<S>, N> taken(const S *x, const Walk &walk, const Offsets &o, int t) {
  const S *at = x + o.at[t];
  if constexpr (N > 1) {
    if (walk.stride[t][walk.rank - 1] == 0) {
      Vector<Computed<S>, N> same;
      for (int k = 0; k < N; k++) {
        same.part[k] = computed(*at);
      }
      return same;
    }
  }
  return loaded<N>(at);
}

// ---------------------------------------------------------------------------------------------------- sums over a block

const int WARP = 32;

template <class T> DEVICE T warp_sum(T x) {
  for (int step = WARP / 2; step > 0; step /= 2) {
    x += __shfl_xor_sync(0xffffffffu, x, step);
  }
  return x;
}

template <class T> DEVICE T warp_max(T x) {
  for (int step = WARP / 2; step > 0; step /= 2) {
    T other = __shfl_xor_sync(0xffffffffu, x, step);
    x = other > x || other != other ? other : x;
  }
  return x;
}

// The sum of x over the threads of a block of whole warps, for all of them, in an order that does not change.
template <class T> DEVICE T block_sum(T x) {
  __shared__ T parts[WARP];
  int warps = blockDim.x / WARP;
  x = warp_sum(x);
  __syncthreads();  // what was read of an earlier sum has been
  if (threadIdx.x % WARP == 0) {
    parts[threadIdx.x / WARP] = x;
  }
  __syncthreads();
  T sum = 0;
  for (int w = 0; w < warps; w++) {
    sum += parts[w];
  }
  return sum;
}

// The largest x over the threads of a block of whole warps, NaN if any is, for all of them.
template <class T> DEVICE T block_max(T x) {
  __shared__ T parts[WARP];
  int warps = blockDim.x / WARP;
  x = warp_max(x);
  __syncthreads();
  if (threadIdx.x % WARP == 0) {
    parts[threadIdx.x / WARP] = x;
  }
  __syncthreads();
  T most = parts[0];
  for (int w = 1; w < warps; w++) {
    most = parts[w] > most || parts[w] != parts[w] ? parts[w] : most;
  }
  return most;
}

// a b rounded, though it is added to something: where a sum of products is to be the CPU's, bit by bit.
DEVICE float product(float a, float b) {
  return __fmul_rn(a, b);
}

DEVICE double product(double a, double b) {
  return __dmul_rn(a, b);
}

// ------------------------------------------------------------------------------------------- functions of one number

template <class T> DEVICE T sigmoid(T x) {
  T e = exp(-fabs(x));
  return (x >= 0 ? T(1) : e) / (T(1) + e);
}

template <class T> DEVICE T nan_max(T a, T b) {
  return a > b || a != a ? a : b;
}

template <class T> DEVICE T nan_min(T a, T b) {
  return a < b || a != a ? a : b;
}

template <class T> DEVICE T sign(T x) {
  return x > 0 ? T(1) : x < 0 ? T(-1) : x;
}

// x^y as Java has it: NaN where y is, and where 1 or -1 has an infinite exponent.
template <class T> DEVICE T nan_pow(T x, T y) {
  return y - y != 0 && (y != y || fabs(x) == 1) ? y - y : pow(x, y);
}

// x^y, a few of them as what they are; roots in float32 only, as on the CPU.
template <class T> DEVICE T power(T x, T y) {
  if (y == 0) return T(1);
  if (y == 1) return x;
  if (y == 2) return x * x;
  if (y == 3) return x * x * x;
  if (y == -1) return T(1) / x;
  if (sizeof(T) == 4 && y == T(0.5)) return sqrt(x);
  if (sizeof(T) == 4 && y == T(-0.5)) return T(1) / sqrt(x);
  return nan_pow(x, y);
}

// f(x), p and q being its two numbers where it has any: scale and shift, low and high, slope, exponent.
template <class T> DEVICE T apply(int f, T x, T p, T q) {
  switch (f) {
    case UNARY_NEG: return -x;
    case UNARY_ABS: return fabs(x);
    case UNARY_EXP: return exp(x);
    case UNARY_LOG: return log(x);
    case UNARY_SQRT: return sqrt(x);
    case UNARY_RSQRT: return T(1) / sqrt(x);
    case UNARY_RECIPROCAL: return T(1) / x;
    case UNARY_SQUARE: return x * x;
    case UNARY_SIN: return sin(x);
    case UNARY_COS: return cos(x);
    case UNARY_TANH: return tanh(x);
    case UNARY_ERF: return erf(x);
    case UNARY_SIGMOID: return sigmoid(x);
    case UNARY_SILU: return x * sigmoid(x);
    case UNARY_GELU: return T(0.5) * x * (T(1) + erf(x * T(0.70710678118654752)));
    case UNARY_GELU_TANH: return T(0.5) * x * (T(1) + tanh(T(0.79788456080286536) * x * (T(1) + T(0.044715) * x * x)));
    case UNARY_QUICK_GELU: return x * sigmoid(T(1.702) * x);
    case UNARY_RELU: return nan_max(x, T(0));
    case UNARY_LEAKY_RELU: return x > 0 ? x : p * x;
    case UNARY_SOFTPLUS: return nan_max(x, T(0)) + log1p(exp(-fabs(x)));
    case UNARY_SIGN: return sign(x);
    case UNARY_AFFINE: return q == 0 ? x * p : fma(x, p, q);
    case UNARY_CLAMP: return nan_min(nan_max(x, p), q);
    default: return power(x, p);
  }
}

// s (1 + v (1 - s)), s = sigmoid v: the slope of x sigmoid(a x) at v = a x.
template <class T> DEVICE T swish_slope(T v) {
  T s = sigmoid(v);
  return s * (T(1) + v * (T(1) - s));
}

// f'(x); at a kink one of its two sides.
template <class T> DEVICE_FUNCTION T slope(int f, T x, T p, T q) {
  switch (f) {
    case UNARY_NEG: return T(-1);
    case UNARY_ABS: return sign(x);
    case UNARY_EXP: return exp(x);
    case UNARY_LOG: return T(1) / x;
    case UNARY_SQRT: return T(0.5) / sqrt(x);
    case UNARY_RSQRT: return T(-0.5) / (x * sqrt(x));
    case UNARY_RECIPROCAL: return T(-1) / (x * x);
    case UNARY_SQUARE: return T(2) * x;
    case UNARY_SIN: return cos(x);
    case UNARY_COS: return -sin(x);
    case UNARY_TANH: {
      T t = tanh(x);
      return fma(-t, t, T(1));
    }
    case UNARY_ERF: return T(1.1283791670955126) * exp(-(x * x));
    case UNARY_SIGMOID: {
      T e = exp(-fabs(x));
      T r = T(1) / (T(1) + e);
      return e * r * r;
    }
    case UNARY_SILU: return swish_slope(x);
    case UNARY_GELU:
      return T(0.5) * (T(1) + erf(x * T(0.70710678118654752))) + x * T(0.39894228040143268) * exp(T(-0.5) * x * x);
    case UNARY_GELU_TANH: {
      T k = T(0.79788456080286536);
      T t = tanh(k * x * (T(1) + T(0.044715) * x * x));
      return T(0.5) * (T(1) + t) + T(0.5) * x * fma(-t, t, T(1)) * k * (T(1) + T(0.134145) * x * x);
    }
    case UNARY_QUICK_GELU: return swish_slope(T(1.702) * x);
    case UNARY_RELU: return x > 0 ? T(1) : T(0);
    case UNARY_LEAKY_RELU: return x > 0 ? T(1) : p;
    case UNARY_SOFTPLUS: return sigmoid(x);
    case UNARY_SIGN: return T(0);
    case UNARY_AFFINE: return p;
    case UNARY_CLAMP: return p <= x && x <= q ? T(1) : T(0);
    default:
      if (sizeof(T) == 4 && p == T(0.5)) return slope(UNARY_SQRT, x, p, q);
      if (sizeof(T) == 4 && p == T(-0.5)) return slope(UNARY_RSQRT, x, p, q);
      if (sizeof(T) == 4 && p == -1) return slope(UNARY_RECIPROCAL, x, p, q);
      return p == 0 ? T(0) : p * power(x, p - T(1));
  }
}
