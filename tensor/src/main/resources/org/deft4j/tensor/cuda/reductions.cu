#include "teams.cuh"
// Along one dimension of x [outer, n, inner]: sums and extremes, the index of an extreme, products and sums so far, softmax and its kin.
// A result r = o inner + c has its n elements from (o n) inner + c, inner apart.

// Where the elements of a result begin.
DEVICE i64 start_of(i64 result, i64 n, i64 inner) {
  i64 o = result / inner;
  return o * n * inner + (result - o * inner);
}

// ------------------------------------------------------------------------------------------------ sums and extremes

template <class T> struct Sum : Added {
  static DEVICE T none() {
    return T(0);
  }
};

template <class T> struct Largest {
  static DEVICE T none() {
    return -infinity<T>();
  }
  static DEVICE T join(T a, T b) {
    return nan_max(a, b);
  }
};

template <class T> struct Smallest {
  static DEVICE T none() {
    return infinity<T>();
  }
  static DEVICE T join(T a, T b) {
    return nan_min(a, b);
  }
};

// y [outer, parts, inner]: of each part of so many of the n elements, the last perhaps of fewer. Of narrower elements more are on their
// way at once.
template <template <class> class Reduction, class X, class Y>
DEVICE void reduce(const X *x, Y *y, i64 results, i64 n, i64 part, i64 parts, i64 inner, int lanes, int across) {
  typedef Computed<X> T;
  typedef Reduction<T> F;
  Team team = team_of(lanes, across);
  FOR_TEAMS(result, team, results) {
    i64 row = result / inner;
    i64 o = row / parts;
    i64 from = (row - o * parts) * part;
    i64 to = result < results ? (from + part < n ? from + part : n) : 0;
    const X *xs = x + (o * n * inner + (result - row * inner));
    T found = F::none();
#pragma unroll (sizeof(X) < 4 ? 8 : 4)
    for (i64 i = from + team.lane; i < to; i += lanes) {
      found = F::join(found, computed(xs[i * inner]));
    }
    found = team_join<F>(team, found);
    if (team.lane == 0 && result < results) {
      y[result] = stored<Y>(found);
    }
  }
}

#define REDUCE(name, F, X, Y)                                                                                      \
  KERNEL(name, (const X *x, Y *y, i64 results, i64 n, i64 part, i64 parts, i64 inner, int lanes, int across)) {    \
    reduce<F>(x, y, results, n, part, parts, inner, lanes, across);                                                \
  }                                                                                                                \
  EXPORT(name)

REDUCE(sum_f32, Sum, float, float)
REDUCE(sum_f64, Sum, double, double)
REDUCE(max_f32, Largest, float, float)
REDUCE(max_f64, Largest, double, double)
REDUCE(min_f32, Smallest, float, float)
REDUCE(min_f64, Smallest, double, double)
// Where sums are sums of sums, those between are not rounded.
REDUCE(sum_bf16, Sum, bf16, bf16)
REDUCE(sum_bf16_f32, Sum, bf16, float)
REDUCE(sum_f32_bf16, Sum, float, bf16)

// -------------------------------------------------------------------------------------------------- index of an extreme

// An element and its index; an index of -1 is of none.
template <class T> struct Choice {
  T value;
  i64 index;
};

template <class T> DEVICE Choice<T> shuffled(Choice<T> x, int step) {
  Choice<T> other = {shuffled(x.value, step), shuffled(x.index, step)};
  return other;
}

// The larger; of equal ones the first; a NaN is larger than all others.
struct First {
  template <class T> static DEVICE Choice<T> join(Choice<T> a, Choice<T> b) {
    if (a.index < 0 || b.index < 0) {
      return a.index < 0 ? b : a;
    }
    bool a_nan = a.value != a.value;
    bool b_nan = b.value != b.value;
    bool alike = a_nan ? b_nan : a.value == b.value;
    if (alike) {
      return a.index < b.index ? a : b;
    }
    return a_nan || (!b_nan && a.value > b.value) ? a : b;
  }
};

// The first index of the largest sign x.
template <class T> DEVICE void choose(T sign, const T *x, i64 *y, i64 results, i64 n, i64 inner, int lanes, int across) {
  Team team = team_of(lanes, across);
  FOR_TEAMS(result, team, results) {
    i64 to = result < results ? n : 0;
    const T *xs = x + start_of(result, n, inner);
    Choice<T> best = {T(0), -1};
    for (i64 i = team.lane; i < to; i += lanes) {
      Choice<T> here = {sign * xs[i * inner], i};
      best = First::join(best, here);
    }
    best = team_join<First>(team, best);
    if (team.lane == 0 && result < results) {
      y[result] = best.index;
    }
  }
}

// ----------------------------------------------------------------------------------------------------------- in order

// p_i = p_(i-1) x_i and s_i = s_(i-1) + x_i, one after the other as on the CPU: in another order partial results might overflow that here
// do not. Along rows a warp reads 32 elements at a time, the next while it works on these, and each of its lanes follows them all.
struct Times {
  template <class T> static DEVICE T join(T a, T b) {
    return a * b;
  }
};

template <class F, class T> DEVICE void chain_along(T none, const T *x, T *y, i64 results, i64 n, bool all) {
  int lane = threadIdx.x % WARP;
  int warps = blockDim.x / WARP;
  for (i64 result = (i64) blockIdx.x * warps + threadIdx.x / WARP; result < results; result += (i64) gridDim.x * warps) {
    const T *xs = x + result * n;
    T total = none;
    T next = lane < n ? xs[lane] : none;
    for (i64 first = 0; first < n; first += WARP) {
      T here = next;
      T mine = none;
      i64 ahead = first + WARP + lane;
      next = ahead < n ? xs[ahead] : none;
      for (int k = 0; k < WARP; k++) {
        total = F::join(total, __shfl_sync(0xffffffffu, here, k));
        mine = lane == k ? total : mine;
      }
      if (all && first + lane < n) {
        y[result * n + first + lane] = mine;
      }
    }
    if (!all && lane == 0) {
      y[result] = total;
    }
  }
}

template <class F, class T> DEVICE void chain_across(T none, const T *x, T *y, i64 results, i64 n, i64 inner, bool all) {
  FOR_EACH(result, results) {
    i64 start = start_of(result, n, inner);
    T total = none;
    for (i64 i = 0; i < n; i++) {
      total = F::join(total, x[start + i * inner]);
      if (all) {
        y[start + i * inner] = total;
      }
    }
    if (!all) {
      y[result] = total;
    }
  }
}

// ------------------------------------------------------------------------------------------------- softmax and its kin

// With m = max x and s = sum e^(x - m): e^(x_i - m) / s, or (x_i - m) - log s, or m + log s.
enum SoftmaxKind { SOFTMAX, LOG_SOFTMAX, LOG_SUM_EXP };

template <class T>
DEVICE void softmax(int kind, const T *x, T *y, i64 results, i64 n, i64 inner, int lanes, int across) {
  Team team = team_of(lanes, across);
  FOR_TEAMS(result, team, results) {
    i64 to = result < results ? n : 0;
    i64 start = start_of(result, n, inner);
    const T *xs = x + start;
    T most = Largest<T>::none();
#pragma unroll 4
    for (i64 i = team.lane; i < to; i += lanes) {
      most = nan_max(most, xs[i * inner]);
    }
    most = team_join<Largest<T>>(team, most);
    if (kind == LOG_SUM_EXP && fabs(most) == infinity<T>()) {
      most = T(0);  // inf - inf would be NaN: with nothing taken out, infinities come out right by themselves
    }
    T total = T(0);
#pragma unroll 4
    for (i64 i = team.lane; i < to; i += lanes) {
      total += exp(xs[i * inner] - most);
    }
    total = team_sum(team, total);
    if (kind == LOG_SUM_EXP) {
      if (team.lane == 0 && result < results) {
        y[result] = most + log(total);
      }
      continue;
    }
    T scale = kind == SOFTMAX ? T(1) / total : log(total);
    for (i64 i = team.lane; i < to; i += lanes) {
      T shifted = xs[i * inner] - most;
      y[start + i * inner] = kind == SOFTMAX ? exp(shifted) * scale : shifted - scale;
    }
  }
}

// dx = y (dy - sum dy y)
template <class T>
DEVICE void softmax_grad(const T *dy, const T *y, T *dx, i64 results, i64 n, i64 inner, int lanes, int across) {
  Team team = team_of(lanes, across);
  FOR_TEAMS(result, team, results) {
    i64 to = result < results ? n : 0;
    i64 start = start_of(result, n, inner);
    T sum = T(0);
#pragma unroll 4
    for (i64 i = team.lane; i < to; i += lanes) {
      sum = fma(dy[start + i * inner], y[start + i * inner], sum);
    }
    sum = team_sum(team, sum);
    for (i64 i = team.lane; i < to; i += lanes) {
      dx[start + i * inner] = y[start + i * inner] * (dy[start + i * inner] - sum);
    }
  }
}

#define ALONG(suffix, T)                                                                                                  \
  KERNEL(choose_##suffix, (T sign, const T *x, i64 *y, i64 results, i64 n, i64 inner, int lanes, int across)) {           \
    choose(sign, x, y, results, n, inner, lanes, across);                                                                 \
  }                                                                                                                       \
  EXPORT(choose_##suffix)                                                                                                 \
                                                                                                                          \
  KERNEL(prod_along_##suffix, (const T *x, T *y, i64 results, i64 n)) {                                                   \
    chain_along<Times>(T(1), x, y, results, n, false);                                                                    \
  }                                                                                                                       \
  EXPORT(prod_along_##suffix)                                                                                             \
                                                                                                                          \
  KERNEL(prod_across_##suffix, (const T *x, T *y, i64 results, i64 n, i64 inner)) {                                       \
    chain_across<Times>(T(1), x, y, results, n, inner, false);                                                            \
  }                                                                                                                       \
  EXPORT(prod_across_##suffix)                                                                                            \
                                                                                                                          \
  KERNEL(cum_sum_along_##suffix, (const T *x, T *y, i64 results, i64 n)) {                                                \
    chain_along<Added>(T(0), x, y, results, n, true);                                                                     \
  }                                                                                                                       \
  EXPORT(cum_sum_along_##suffix)                                                                                          \
                                                                                                                          \
  KERNEL(cum_sum_across_##suffix, (const T *x, T *y, i64 results, i64 n, i64 inner)) {                                    \
    chain_across<Added>(T(0), x, y, results, n, inner, true);                                                             \
  }                                                                                                                       \
  EXPORT(cum_sum_across_##suffix)                                                                                         \
                                                                                                                          \
  KERNEL(softmax_##suffix, (int kind, const T *x, T *y, i64 results, i64 n, i64 inner, int lanes, int across)) {          \
    softmax(kind, x, y, results, n, inner, lanes, across);                                                                \
  }                                                                                                                       \
  EXPORT(softmax_##suffix)                                                                                                \
                                                                                                                          \
  KERNEL(softmax_grad_##suffix, (const T *dy, const T *y, T *dx, i64 results, i64 n, i64 inner, int lanes, int across)) { \
    softmax_grad(dy, y, dx, results, n, inner, lanes, across);                                                            \
  }                                                                                                                       \
  EXPORT(softmax_grad_##suffix)

ALONG(f32, float)
ALONG(f64, double)
