// What both sources of attention share: how its tensors lie, what a query sees, and the products of rows that its gradient begins with.

struct Sizes {
  i64 heads, queries, keys, width;
};

// Of a tensor of 4 dimensions.
struct Steps {
  i64 batch, head, row, column;
};

// One head of such a tensor.
template <class T> struct Matrix {
  const T *at;
  i64 row, column;
  int rows;
};

template <class T> DEVICE Matrix<T> matrix(const T *tensor, const Steps &steps, i64 batch, i64 head, i64 rows) {
  Matrix<T> result = {tensor + batch * steps.batch + head * steps.head, steps.row, steps.column, (int) rows};
  return result;
}

enum Mask { MASK_NONE, MASK_BOOL, MASK_ADDED };

// Which keys the queries of a head see, and what is added to their scores.
template <class T> struct Sight {
  const void *mask;  // of this head
  i64 query, key;    // steps of the mask
  int kind;          // MASK_NONE, MASK_BOOL, MASK_ADDED
  int causal;
  int queries, keys;

  DEVICE bool sees(int t, int s) const {
    return t < queries && s < keys && (!causal || s <= t) && (kind != MASK_BOOL || ((const u8 *) mask)[t * query + s * key] != 0);
  }

  DEVICE T added(int t, int s) const {
    return ((const T *) mask)[t * query + s * key];
  }
};

template <class T>
DEVICE Sight<T> sight(const void *mask, int kind, const Steps &steps, i64 batch, i64 head, int causal, const Sizes &n) {
  i64 start = (batch * steps.batch + head * steps.head) * (kind == MASK_BOOL ? 1 : (i64) sizeof(T));
  Sight<T> result = {(const u8 *) mask + start, steps.row, steps.column, kind, causal, (int) n.queries, (int) n.keys};
  return result;
}

template <class T> DEVICE T minus_infinity() {
  return T(bits_to_float(0xff800000u));
}

// The bits that any thread of a block of whole warps has, for all of them.
DEVICE u64 block_or(u64 x) {
  __shared__ u64 parts[WARP];
  for (int step = WARP / 2; step > 0; step /= 2) {
    x |= __shfl_xor_sync(0xffffffffu, x, step);
  }
  __syncthreads();  // what was read of an earlier one has been
  if (threadIdx.x % WARP == 0) {
    parts[threadIdx.x / WARP] = x;
  }
  __syncthreads();
  u64 all = 0;
  for (int w = 0; w < (int) blockDim.x / WARP; w++) {
    all |= parts[w];
  }
  return all;
}

// delta = sum_d do_d o_d, a warp for each row.
template <class T>
DEVICE void row_products(const T *dout, const T *o, T *delta, i64 rows, const Sizes &n, const Steps &of_do, const Steps &of_o) {
  int warps = blockDim.x / WARP;
  for (i64 row = (i64) blockIdx.x * warps + threadIdx.x / WARP; row < rows; row += (i64) gridDim.x * warps) {
    i64 t = row % n.queries;
    i64 h = row / n.queries % n.heads;
    i64 b = row / n.queries / n.heads;
    Matrix<T> x = matrix(dout, of_do, b, h, n.queries);
    Matrix<T> y = matrix(o, of_o, b, h, n.queries);
    T sum = 0;
    for (i64 d = threadIdx.x % WARP; d < n.width; d += WARP) {
      sum = fma(x.at[t * x.row + d * x.column], y.at[t * y.row + d * y.column], sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) {
      delta[row] = sum;
    }
  }
}

#define ROW_PRODUCTS(T, suffix)                                                                                            \
  KERNEL(attention_delta_##suffix, (const T *dout, const T *o, T *delta, i64 rows, Sizes n, Steps of_do, Steps of_o)) {    \
    row_products(dout, o, delta, rows, n, of_do, of_o);                                                                    \
  }                                                                                                                       \
  EXPORT(attention_delta_##suffix)
