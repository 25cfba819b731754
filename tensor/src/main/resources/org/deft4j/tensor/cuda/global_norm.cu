#include "tables.cuh"
// The norm of many tensors together, and their scaling by it.

// Elements of a tensor that a thread takes.
const int EACH = 16;

struct Row {
  i64 first;
  i64 count;
  void *x;
};

// sums[block] = the sum of its elements' squares
template <class T> DEVICE void squares(const Row *rows, i64 tensors, double *sums) {
  const Row &row = own(rows, tensors);
  const T *x = (const T *) row.x;
  i64 start = (blockIdx.x - row.first) * EACH * blockDim.x + threadIdx.x;
  double sum = 0;
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    i64 i = start + k * blockDim.x;
    double element = i < row.count ? (double) x[i] : 0.0;
    sum = fma(element, element, sum);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    sums[blockIdx.x] = sum;
  }
}

// norm = the root of the sum of count numbers, by one block
KERNEL(root, (const double *sums, i64 count, double *norm)) {
  double sum = 0;
  for (i64 i = threadIdx.x; i < count; i += blockDim.x) {
    sum += sums[i];
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) {
    *norm = sqrt(sum);
  }
}
EXPORT(root)

// x *= min(1, most / (norm + 1e-6)), or nothing where the norm is not finite
template <class T> DEVICE void clip(const Row *rows, i64 tensors, const double *norm, double most) {
  double factor = most / (*norm + 1e-6);
  if (!(*norm - *norm == 0) || !(factor < 1)) {
    return;
  }
  const Row &row = own(rows, tensors);
  T *x = (T *) row.x;
  i64 start = (blockIdx.x - row.first) * EACH * blockDim.x + threadIdx.x;
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    i64 i = start + k * blockDim.x;
    if (i < row.count) {
      x[i] *= (T) factor;
    }
  }
}

#define GLOBAL_NORM(suffix, T)                                                                  \
  KERNEL(squares_##suffix, (const Row *rows, i64 tensors, double *sums)) {                      \
    squares<T>(rows, tensors, sums);                                                            \
  }                                                                                             \
  EXPORT(squares_##suffix)                                                                      \
                                                                                                \
  KERNEL(clip_##suffix, (const Row *rows, i64 tensors, const double *norm, double most)) {      \
    clip<T>(rows, tensors, norm, most);                                                         \
  }                                                                                             \
  EXPORT(clip_##suffix)

GLOBAL_NORM(f32, float)
GLOBAL_NORM(f64, double)
