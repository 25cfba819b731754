// What products need beside cuBLAS: factors in another type or without gaps, and biases.

template <class F, class T> struct Converter {
  static DEVICE T convert(F x) {
    return from_float<T>(to_float(x));
  }
};

template <> struct Converter<double, double> {
  static DEVICE double convert(double x) {
    return x;
  }
};

// y [batch, major, minor] dense, from x with any strides.
#define CONVERT(name, F, T)                                                                                                    \
  KERNEL(name, (const F *x, T *y, i64 count, i64 major, i64 minor, i64 batch_stride, i64 major_stride, i64 minor_stride)) {   \
    FOR_EACH(i, count) {                                                                                                       \
      i64 row = i / minor;                                                                                                     \
      i64 j = i - row * minor;                                                                                                 \
      i64 b = row / major;                                                                                                     \
      y[i] = Converter<F, T>::convert(x[b * batch_stride + (row - b * major) * major_stride + j * minor_stride]);              \
    }                                                                                                                          \
  }                                                                                                                            \
  EXPORT(name)

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

// y_i = b_(i / inner mod size): a bias in each row, or on each plane of a picture.
#define SPREAD(name, T)                                                                        \
  KERNEL(name, (const T *bias, T *y, i64 count, i64 size, i64 inner, i64 stride)) {            \
    FOR_EACH(i, count) {                                                                       \
      y[i] = bias[i / inner % size * stride];                                                  \
    }                                                                                          \
  }                                                                                            \
  EXPORT(name)

SPREAD(spread_f32, float)
SPREAD(spread_f64, double)
