// What products need beside cuBLAS: factors in another type or without gaps, and biases.

// Read and written at once.
const int RUN = 4;

// y = x, both dense.
template <class F, class T> DEVICE void convert_dense(const F *x, T *y, i64 count) {
  i64 runs = is_aligned<RUN>(x) && is_aligned<RUN>(y) ? count / RUN : 0;
  FOR_EACH(i, runs) {
    Vector<F, RUN> from = ((const Vector<F, RUN> *) x)[i];
    Vector<T, RUN> to;
    for (int r = 0; r < RUN; r++) {
      to.part[r] = converted<T>(from.part[r]);
    }
    ((Vector<T, RUN> *) y)[i] = to;
  }
  FOR_EACH(i, count - runs * RUN) {
    y[runs * RUN + i] = converted<T>(x[runs * RUN + i]);
  }
}

// y [batch, major, minor] dense, from x with any strides.
#define CONVERT(name, F, T)                                                                                                    \
  KERNEL(name, (const F *x, T *y, i64 count, i64 major, i64 minor, i64 batch_stride, i64 major_stride, i64 minor_stride)) {   \
    FOR_EACH(i, count) {                                                                                                       \
      i64 row = quotient(i, minor);                                                                                            \
      i64 j = i - row * minor;                                                                                                 \
      i64 b = quotient(row, major);                                                                                            \
      y[i] = converted<T>(x[b * batch_stride + (row - b * major) * major_stride + j * minor_stride]);              \
    }                                                                                                                          \
  }                                                                                                                            \
  EXPORT(name)                                                                                                                 \
                                                                                                                               \
  KERNEL(name##_dense, (const F *x, T *y, i64 count)) {                                                                        \
    convert_dense(x, y, count);                                                                                                \
  }                                                                                                                            \
  EXPORT(name##_dense)

CONVERT(convert_f64_f64, double, double)
CONVERT(convert_f32_f32, float, float)
CONVERT(convert_f32_bf16, float, bf16)
CONVERT(convert_f32_f16, float, f16)
CONVERT(convert_bf16_f32, bf16, float)
CONVERT(convert_bf16_bf16, bf16, bf16)
CONVERT(convert_bf16_f16, bf16, f16)
CONVERT(convert_f16_f32, f16, float)
CONVERT(convert_f16_bf16, f16, bf16)
CONVERT(convert_f16_f16, f16, f16)

// y_i = b_(i / inner mod size): a bias in each row, or on each plane of a picture. A thread writes RUN numbers at once where they are of one
// row or plane.
template <class F, class T> DEVICE void spread(const F *bias, T *y, i64 count, i64 size, i64 inner, i64 stride) {
  bool rows = inner == 1 && size % RUN == 0;
  i64 runs = is_aligned<RUN>(y) && (rows || inner % RUN == 0) ? count / RUN : 0;
  FOR_EACH(i, runs) {
    i64 e = i * RUN;
    i64 plane = inner == 1 ? e : quotient(e, inner);
    i64 at = plane - quotient(plane, size) * size;
    Vector<T, RUN> run;
    for (int r = 0; r < RUN; r++) {
      run.part[r] = converted<T>(bias[(rows ? at + r : at) * stride]);
    }
    ((Vector<T, RUN> *) y)[i] = run;
  }
  FOR_EACH(i, count - runs * RUN) {
    i64 plane = quotient(runs * RUN + i, inner);
    y[runs * RUN + i] = converted<T>(bias[(plane - quotient(plane, size) * size) * stride]);
  }
}

#define SPREAD(name, F, T)                                                                     \
  KERNEL(name, (const F *bias, T *y, i64 count, i64 size, i64 inner, i64 stride)) {            \
    spread(bias, y, count, size, inner, stride);                                               \
  }                                                                                            \
  EXPORT(name)

SPREAD(spread_f32, float, float)
SPREAD(spread_f64, double, double)
SPREAD(spread_bf16, float, bf16)
