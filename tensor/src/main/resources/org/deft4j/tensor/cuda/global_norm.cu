// The norm of many tensors together, and their scaling by it: a launch goes over as many of them as its arguments hold (TensorBatch.java).

const int MOST_TENSORS = 150;
// Elements of a tensor that a thread, and so a block takes.
const int EACH = 16;

// One of count elements is the work of the blocks from first on, up to the next one's.
struct Tensors {
  i64 count;
  struct {
    i64 first;
    i64 count;
    void *x;
  } at[MOST_TENSORS];
};

// The tensor of this block.
DEVICE int own(const Tensors &tensors) {
  int t = 0;
  int beyond = (int) tensors.count;
  while (beyond - t > 1) {
    int middle = (t + beyond) / 2;
    if (tensors.at[middle].first <= blockIdx.x) {
      t = middle;
    } else {
      beyond = middle;
    }
  }
  return t;
}

// sums[block] = the sum of its elements' squares
template <class T> DEVICE void squares(const Tensors &tensors, double *sums) {
  int t = own(tensors);
  i64 count = tensors.at[t].count;
  const T *x = (const T *) tensors.at[t].x;
  i64 start = (blockIdx.x - tensors.at[t].first) * EACH * blockDim.x + threadIdx.x;
  double sum = 0;
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    i64 i = start + k * blockDim.x;
    double element = i < count ? (double) x[i] : 0.0;
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
template <class T> DEVICE void clip(const Tensors &tensors, const double *norm, double most) {
  double factor = most / (*norm + 1e-6);
  if (!(*norm - *norm == 0) || !(factor < 1)) {
    return;
  }
  int t = own(tensors);
  i64 count = tensors.at[t].count;
  T *x = (T *) tensors.at[t].x;
  i64 start = (blockIdx.x - tensors.at[t].first) * EACH * blockDim.x + threadIdx.x;
#pragma unroll
  for (int k = 0; k < EACH; k++) {
    i64 i = start + k * blockDim.x;
    if (i < count) {
      x[i] *= (T) factor;
    }
  }
}

#define GLOBAL_NORM(suffix, T)                                                          \
  KERNEL(squares_##suffix, (Tensors tensors, double *sums)) {                           \
    squares<T>(tensors, sums);                                                          \
  }                                                                                     \
  EXPORT(squares_##suffix)                                                              \
                                                                                        \
  KERNEL(clip_##suffix, (Tensors tensors, const double *norm, double most)) {           \
    clip<T>(tensors, norm, most);                                                       \
  }                                                                                     \
  EXPORT(clip_##suffix)

GLOBAL_NORM(f32, float)
GLOBAL_NORM(f64, double)
