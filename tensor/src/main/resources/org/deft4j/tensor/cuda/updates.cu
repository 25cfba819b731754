#include "tables.cuh"
// Changes in place that compute: scaled addition, and the optimizers' steps.

// Elements of a tensor that a thread changes.
const int EACH = 4;

struct AdamRow {
  i64 first;
  i64 count;
  void *p;
  const void *g;
  void *m;
  void *v;
};

// p = keep p; g += gradient_decay p; m = beta1 m + rest1 g; v = beta2 v + rest2 g^2; p -= rate m / (sqrt(v) / correction + eps)
template <class T>
DEVICE void adam(const AdamRow *rows, i64 tensors, T keep, T gradient_decay, T beta1, T rest1, T beta2, T rest2, T rate, T correction, T eps) {
  const AdamRow &row = own(rows, tensors);
  i64 count = row.count;
  T *ps = (T *) row.p;
  const T *gs = (const T *) row.g;
  T *ms = (T *) row.m;
  T *vs = (T *) row.v;
  i64 start = (blockIdx.x - row.first) * EACH * blockDim.x + threadIdx.x;
  // All is read before anything is written, so that the reads need not wait for each other.
  T p[EACH];
  T g[EACH];
  T m[EACH];
  T v[EACH];
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    i64 i = start + k * blockDim.x;
    if (i < count) {
      p[k] = ps[i];
      g[k] = gs[i];
      m[k] = ms[i];
      v[k] = vs[i];
    }
  }
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    i64 i = start + k * blockDim.x;
    if (i < count) {
      T kept = p[k] * keep;
      T slope = gradient_decay == 0 ? g[k] : fma(gradient_decay, kept, g[k]);
      T first = fma(rest1, slope, m[k] * beta1);
      T second = fma(rest2 * slope, slope, v[k] * beta2);
      ms[i] = first;
      vs[i] = second;
      ps[i] = fma(-rate, first / (sqrt(second) / correction + eps), kept);
    }
  }
}

// g += decay p; with a buffer buffer = momentum buffer + g, or g at first, and g = nesterov ? g + momentum buffer : buffer; p -= lr g
template <class T>
DEVICE void sgd(T *ps, const T *gs, T *buffers, i64 count, T lr, T momentum, T decay, int nesterov, int first) {
  FOR_EACH(i, count) {
    T p = ps[i];
    T g = decay == 0 ? gs[i] : fma(decay, p, gs[i]);
    if (buffers != nullptr) {
      T buffer = first ? g : fma(momentum, buffers[i], g);
      buffers[i] = buffer;
      g = nesterov ? fma(momentum, buffer, g) : buffer;
    }
    ps[i] = fma(-lr, g, p);
  }
}

// target = fma(alpha, x, target), of count vectors of N elements. All elements of target have places of their own.
template <int N, class S, class T> DEVICE void add_scaled(S *target, const S *x, i64 count, const Walk &walk, T alpha) {
  FOR_EACH(i, count) {
    Offsets o = offsets(walk, i);
    Vector<T, N> sum = loaded<N>(target + o.at[0]);
    Vector<T, N> added = taken<N>(x, walk, o, 1);
    for (int k = 0; k < N; k++) {
      sum.part[k] = fma(alpha, added.part[k], sum.part[k]);
    }
    store(target + o.at[0], sum);
  }
}

#define ADD_SCALED(suffix, S)                                                                                             \
  KERNEL(add_scaled_##suffix, (int wide, S *target, const S *x, i64 count, Walk walk, Computed<S> alpha)) {               \
    if (wide) {                                                                                                           \
      add_scaled<WIDTH<S>>(target, x, count, walk, alpha);                                                                \
    } else {                                                                                                              \
      add_scaled<1>(target, x, count, walk, alpha);                                                                       \
    }                                                                                                                     \
  }                                                                                                                       \
  EXPORT(add_scaled_##suffix)

ADD_SCALED(f32, float)
ADD_SCALED(f64, double)
ADD_SCALED(bf16, bf16)

#define UPDATES(suffix, T)                                                                                                \
  KERNEL(scale_##suffix, (T *target, i64 count, T factor)) {                                                              \
    FOR_EACH(i, count) {                                                                                                  \
      target[i] *= factor;                                                                                                \
    }                                                                                                                     \
  }                                                                                                                       \
  EXPORT(scale_##suffix)                                                                                                  \
                                                                                                                          \
  KERNEL(adam_##suffix, (const AdamRow *rows, i64 tensors, T keep, T gradient_decay, T beta1, T rest1, T beta2, T rest2,  \
                         T rate, T correction, T eps)) {                                                                  \
    adam(rows, tensors, keep, gradient_decay, beta1, rest1, beta2, rest2, rate, correction, eps);                         \
  }                                                                                                                       \
  EXPORT(adam_##suffix)                                                                                                   \
                                                                                                                          \
  KERNEL(sgd_##suffix, (T *p, const T *g, T *buffer, i64 count, T lr, T momentum, T decay, int nesterov, int first)) {    \
    sgd(p, g, buffer, count, lr, momentum, decay, nesterov, first);                                                       \
  }                                                                                                                       \
  EXPORT(sgd_##suffix)

UPDATES(f32, float)
UPDATES(f64, double)
