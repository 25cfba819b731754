// Rotary position embedding in halves.

// y = [a cos - b sin, b cos + a sin] of x = [a, b] along the last dimension, each of half elements; products are rounded before
// they are added. The walk goes over the pairs, through a, cos and sin; b lies apart elements after a. y is dense.
#define ROTARY(suffix, T)                                                                                                   \
  KERNEL(rotary_##suffix, (int inverse, const T *x, const T *cosines, const T *sines, T *y, i64 pairs, i64 half, i64 apart, \
      Walk walk)) {                                                                                                         \
    FOR_EACH(i, pairs) {                                                                                                    \
      Offsets o = offsets(walk, i);                                                                                         \
      T a = x[o.at[0]];                                                                                                     \
      T b = x[o.at[0] + apart];                                                                                             \
      T c = cosines[o.at[1]];                                                                                               \
      T s = inverse ? -sines[o.at[2]] : sines[o.at[2]];                                                                     \
      i64 first = i + quotient(i, half) * half;                                                                             \
      y[first] = product(a, c) - product(b, s);                                                                             \
      y[first + half] = product(b, c) + product(a, s);                                                                      \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(rotary_##suffix)

ROTARY(f32, float)
ROTARY(f64, double)
