// Rotary position embedding in halves.

// y = [a cos - b sin, b cos + a sin] of x = [a, b] along the last dimension, each of half vectors of N elements; products are rounded
// before they are added. The walk goes over the pairs, through a, cos and sin; b lies apart elements after a. y is dense.
template <int N, class S, class T>
DEVICE void rotary(int inverse, const S *x, const T *cosines, const T *sines, S *y, i64 pairs, i64 half, i64 apart, const Walk &walk) {
  FOR_EACH(i, pairs) {
    Offsets o = offsets(walk, i);
    Vector<T, N> a = taken<N>(x, walk, o, 0);
    Vector<T, N> b = taken<N>(x + apart, walk, o, 0);
    Vector<T, N> c = taken<N>(cosines, walk, o, 1);
    Vector<T, N> s = taken<N>(sines, walk, o, 2);
    Vector<T, N> turned_a;
    Vector<T, N> turned_b;
    for (int k = 0; k < N; k++) {
      T sine = inverse ? -s.part[k] : s.part[k];
      turned_a.part[k] = product(a.part[k], c.part[k]) - product(b.part[k], sine);
      turned_b.part[k] = product(b.part[k], c.part[k]) + product(a.part[k], sine);
    }
    i64 first = i + quotient(i, half) * half;
    store(y + first * N, turned_a);
    store(y + (first + half) * N, turned_b);
  }
}

/* pairs, half and the walk are in vectors where it says wide, else in elements. */
#define ROTARY(suffix, S)                                                                                                   \
  KERNEL(rotary_##suffix, (int inverse, int wide, const S *x, const Computed<S> *cosines, const Computed<S> *sines, S *y,   \
      i64 pairs, i64 half, i64 apart, Walk walk)) {                                                                         \
    if (wide) {                                                                                                             \
      rotary<WIDTH<S>>(inverse, x, cosines, sines, y, pairs, half, apart, walk);                                            \
    } else {                                                                                                                \
      rotary<1>(inverse, x, cosines, sines, y, pairs, half, apart, walk);                                                   \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(rotary_##suffix)

ROTARY(f32, float)
ROTARY(f64, double)
ROTARY(bf16, bf16)
