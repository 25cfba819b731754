// Rotary position embedding in halves.

// y = [a cos - b sin, b cos + a sin] of x = [a, b] along the last dimension, each of half vectors of N elements; products are rounded
// before they are added. The walk goes over the pairs, through a, cos and sin; b lies apart elements after a. y is dense.
template <class T, int N>
DEVICE void rotary(int inverse, const T *x, const T *cosines, const T *sines, T *y, i64 pairs, i64 half, i64 apart, const Walk &walk) {
  Vector<T, N> *ys = (Vector<T, N> *) y;
  FOR_EACH(i, pairs) {
    Offsets o = offsets(walk, i);
    Vector<T, N> a = taken<T, N>(x, walk, o, 0);
    Vector<T, N> b = taken<T, N>(x + apart, walk, o, 0);
    Vector<T, N> c = taken<T, N>(cosines, walk, o, 1);
    Vector<T, N> s = taken<T, N>(sines, walk, o, 2);
    Vector<T, N> turned_a;
    Vector<T, N> turned_b;
    for (int k = 0; k < N; k++) {
      T sine = inverse ? -s.part[k] : s.part[k];
      turned_a.part[k] = product(a.part[k], c.part[k]) - product(b.part[k], sine);
      turned_b.part[k] = product(b.part[k], c.part[k]) + product(a.part[k], sine);
    }
    i64 first = i + quotient(i, half) * half;
    ys[first] = turned_a;
    ys[first + half] = turned_b;
  }
}

/* pairs, half and the walk are in vectors where it says wide, else in elements. */
#define ROTARY(suffix, T)                                                                                                   \
  KERNEL(rotary_##suffix, (int inverse, int wide, const T *x, const T *cosines, const T *sines, T *y, i64 pairs, i64 half,  \
      i64 apart, Walk walk)) {                                                                                              \
    if (wide) {                                                                                                             \
      rotary<T, WIDTH<T>>(inverse, x, cosines, sines, y, pairs, half, apart, walk);                                         \
    } else {                                                                                                                \
      rotary<T, 1>(inverse, x, cosines, sines, y, pairs, half, apart, walk);                                                \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(rotary_##suffix)

ROTARY(f32, float)
ROTARY(f64, double)
