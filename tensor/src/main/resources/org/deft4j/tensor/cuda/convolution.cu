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

template <class T> struct alignas(RUN * sizeof(T)) Run {
  T x[RUN];
};

template <class T> struct Narrowed {
  static DEVICE T of(float x) {
    return from_float<T>(x);
  }
};

template <> struct Narrowed<double> {
  static DEVICE double of(double x) {
    return x;
  }
};

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
        Run<T> run;
        for (int r = 0; r < RUN; r++) {
          int row = top[r] + i * (int) g.dilation_h;
          int column = left[r] + j * (int) g.dilation_w;
          bool inside = row >= 0 && row < height && column >= 0 && column < width;
          run.x[r] = Narrowed<T>::of(inside ? plane[row * width + column] : F(0));
        }
        if (together) {
          *(Run<T> *) to = run;
        } else {
          for (int r = 0; r < RUN && p + r < pixels; r++) {
            to[r] = run.x[r];
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
PATCHES(patches_f64_f64, double, double)

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
template <class T> DEVICE void gather_of(const T *patches, T *dx, i64 count, const Geometry &g) {
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
    dx[e] = sum;
  }
}

#define GATHER(name, T)                                                    \
  KERNEL(name, (const T *patches, T *dx, i64 count, Geometry g)) {         \
    gather_of(patches, dx, count, g);                                      \
  }                                                                        \
  EXPORT(name)

GATHER(gather_f32, float)
GATHER(gather_f64, double)
