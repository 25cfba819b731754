// Convolutions as products: patches of pictures, and what a pixel gathers back from them. See CudaConvolution.java.

struct Geometry {
  i64 height, width, kh, kw, oh, ow;
  i64 stride_h, stride_w, top, left, dilation_h, dilation_w;
  i64 first_pixel, pixels;
};

// P [pictures, C KH KW, pixels]: P[n, (c, i, j), (p, q)] = x[n, c, p stride + i dilation - top, q stride + j dilation - left], 0 outside.
//
// A thread keeps RUN neighbouring pixels, whose places it finds once, and strides over the channels; of each it writes all taps, RUN numbers
// at once. Neighbouring threads write, and mostly read, neighbouring numbers; what a tap reads, its neighbours have in the cache.
const int RUN = 4;

template <class F, class T> DEVICE void patches_of(const F *x, T *patches, i64 depth, i64 picture_stride, const Geometry &g) {
  int p = (blockIdx.x * blockDim.x + threadIdx.x) * RUN;
  if (p >= g.pixels) {
    return;
  }
  int height = (int) g.height;
  int width = (int) g.width;
  int kh = (int) g.kh;
  int kw = (int) g.kw;
  int pixels = (int) g.pixels;
  int top[RUN];
  int left[RUN];
  for (int r = 0; r < RUN; r++) {
    int pixel = (int) g.first_pixel + p + r;
    top[r] = pixel / (int) g.ow * (int) g.stride_h - (int) g.top;
    left[r] = pixel % (int) g.ow * (int) g.stride_w - (int) g.left;
  }
  bool together = p + RUN <= pixels && pixels % RUN == 0;
  int channels = (int) depth / (kh * kw);
  const F *picture = x + blockIdx.z * picture_stride;
  for (int c = blockIdx.y; c < channels; c += gridDim.y) {
    const F *plane = picture + (i64) c * height * width;
    T *to = patches + ((i64) blockIdx.z * depth + (i64) c * kh * kw) * pixels + p;
    for (int i = 0; i < kh; i++) {
      for (int j = 0; j < kw; j++) {
        Vector<T, RUN> run;
        for (int r = 0; r < RUN; r++) {
          int row = top[r] + i * (int) g.dilation_h;
          int column = left[r] + j * (int) g.dilation_w;
          bool inside = row >= 0 && row < height && column >= 0 && column < width;
          run.part[r] = inside ? converted<T>(plane[row * width + column]) : T{};
        }
        if (together) {
          *(Vector<T, RUN> *) to = run;
        } else {
          for (int r = 0; r < RUN && p + r < pixels; r++) {
            to[r] = run.part[r];
          }
        }
        to += pixels;
      }
    }
  }
}

#define PATCHES(name, F, T)                                                                           \
  KERNEL(name, (const F *x, T *patches, i64 depth, i64 picture_stride, Geometry g)) {                 \
    patches_of(x, patches, depth, picture_stride, g);                                                 \
  }                                                                                                   \
  EXPORT(name)

PATCHES(patches_f32_f32, float, float)
PATCHES(patches_f32_bf16, float, bf16)
PATCHES(patches_f32_f16, float, f16)
PATCHES(patches_bf16_f32, bf16, float)
PATCHES(patches_bf16_bf16, bf16, bf16)
PATCHES(patches_bf16_f16, bf16, f16)
PATCHES(patches_f64_f64, double, double)

// The same of kernels that are THREE wide, step by one, and see one pixel beyond each end of rows whose width is a multiple of 8: a thread reads
// 16 bytes' worth of patches of each row that its pixels see, and the pixel on either side, and writes them three times, each time one further.
const int THREE = 3;

template <class F, class T> DEVICE void patches_of_three(const F *x, T *patches, i64 depth, i64 picture_stride, const Geometry &g) {
  constexpr int N = WIDTH<T>;
  int p = (blockIdx.x * blockDim.x + threadIdx.x) * N;
  if (p >= g.pixels) {
    return;
  }
  int height = (int) g.height;
  int width = (int) g.width;
  int kh = (int) g.kh;
  i64 pixels = g.pixels;
  int pixel = (int) g.first_pixel + p;
  int top = pixel / width * (int) g.stride_h - (int) g.top;
  int left = pixel % width;
  int channels = (int) depth / (kh * THREE);
  const F *picture = x + blockIdx.z * picture_stride;
  for (int c = blockIdx.y; c < channels; c += gridDim.y) {
    const F *plane = picture + (i64) c * height * width + left;
    T *to = patches + ((i64) blockIdx.z * depth + (i64) c * kh * THREE) * pixels + p;
    for (int i = 0; i < kh; i++) {
      int row = top + i * (int) g.dilation_h;
      bool inside = row >= 0 && row < height;
      const F *line = plane + row * width;
      Vector<F, N> middle = {};
      if (inside) {
        middle = *(const Vector<F, N> *) line;
      }
      T seen[N + THREE - 1];
      seen[0] = inside && left > 0 ? converted<T>(line[-1]) : T{};
      for (int k = 0; k < N; k++) {
        seen[k + 1] = converted<T>(middle.part[k]);
      }
      seen[N + 1] = inside && left + N < width ? converted<T>(line[N]) : T{};
      for (int j = 0; j < THREE; j++) {
        Vector<T, N> run;
        for (int k = 0; k < N; k++) {
          run.part[k] = seen[j + k];
        }
        *(Vector<T, N> *) to = run;
        to += pixels;
      }
    }
  }
}

#define PATCHES_OF_THREE(name, F, T)                                                                  \
  KERNEL(name, (const F *x, T *patches, i64 depth, i64 picture_stride, Geometry g)) {                 \
    patches_of_three(x, patches, depth, picture_stride, g);                                           \
  }                                                                                                   \
  EXPORT(name)

PATCHES_OF_THREE(patches_of_three_f32_f32, float, float)
PATCHES_OF_THREE(patches_of_three_f32_bf16, float, bf16)
PATCHES_OF_THREE(patches_of_three_f32_f16, float, f16)
PATCHES_OF_THREE(patches_of_three_bf16_bf16, bf16, bf16)

// turned[g, c, o, t] = w[g, o, c, taps - 1 - t]: with these filters, a convolution that steps by one is the gradient by another's input.
template <class T> DEVICE void turned_of(const T *w, T *turned, i64 count, i64 o, i64 c, i64 taps) {
  FOR_EACH(e, count) {
    i64 filter = quotient(e, taps);
    i64 tap = e - filter * taps;
    i64 channel = quotient(filter, o);  // of all groups
    i64 group = quotient(channel, c);
    i64 from = ((group * o + filter - channel * o) * c + channel - group * c) * taps;
    turned[e] = w[from + taps - 1 - tap];
  }
}

#define TURNED(name, T)                                                            \
  KERNEL(name, (const T *w, T *turned, i64 count, i64 o, i64 c, i64 taps)) {       \
    turned_of(w, turned, count, o, c, taps);                                       \
  }                                                                                \
  EXPORT(name)

TURNED(turned_2, u16)
TURNED(turned_4, u32)
TURNED(turned_8, u64)

// Whether step divides a number that is not negative, and how often.
DEVICE bool divided(int number, int step, int *times) {
  if (step == 1) {
    *times = number;
    return true;
  }
  *times = number / step;
  return *times * step == number;
}

// dx[c, h, w] = sum_{i, j} P[(c, i, j), (p, q)] over the positions (p, q) that saw the pixel through tap (i, j); i and j ascend.
template <class T, class S> DEVICE void gather_of(const T *patches, S *dx, i64 count, const Geometry &g) {
  int width = (int) g.width;
  int area = (int) g.height * width;
  int taps = (int) (g.kh * g.kw);
  FOR_EACH(e, count) {
    int c = (int) quotient(e, area);
    int at = (int) (e - (i64) c * area);
    int h = at / width;
    int w = at - h * width;
    const T *plane = patches + (i64) c * taps * g.pixels;
    T sum = 0;
    for (int i = 0; i < (int) g.kh; i++) {
      int row = h + (int) g.top - i * (int) g.dilation_h;
      int p;
      if (row < 0 || !divided(row, (int) g.stride_h, &p) || p >= (int) g.oh) {
        continue;
      }
      for (int j = 0; j < (int) g.kw; j++) {
        int column = w + (int) g.left - j * (int) g.dilation_w;
        int q;
        if (column >= 0 && divided(column, (int) g.stride_w, &q) && q < (int) g.ow) {
          sum += plane[(i64) (i * (int) g.kw + j) * g.pixels + p * (int) g.ow + q];
        }
      }
    }
    dx[e] = converted<S>(sum);
  }
}

#define GATHER(name, T, S)                                                 \
  KERNEL(name, (const T *patches, S *dx, i64 count, Geometry g)) {         \
    gather_of(patches, dx, count, g);                                      \
  }                                                                        \
  EXPORT(name)

GATHER(gather_f32, float, float)
GATHER(gather_bf16, float, bf16)
GATHER(gather_f64, double, double)
