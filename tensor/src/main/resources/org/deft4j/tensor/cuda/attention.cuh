// What both sources of attention share: how its tensors lie, what a query sees, and the products of rows that its gradient begins with.

struct Sizes {
  i64 heads, queries, keys, width;
};

// Of a tensor of 4 dimensions.
struct Steps {
  i64 batch, head, row, column;
};

// Read and written at once.
template <class T> struct alignas(16) Four {
  T x[4];
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

// The tile of a block, the last ones of a causal head first: they have most to do.
struct Place {
  i64 batch, head, index;
  int first;
};

template <int TILE> DEVICE Place place(i64 heads, i64 rows) {
  i64 tiles = (rows + TILE - 1) / TILE;
  Place result;
  result.index = blockIdx.x / tiles;
  result.batch = result.index / heads;
  result.head = result.index % heads;
  result.first = (int) (tiles - 1 - blockIdx.x % tiles) * TILE;
  return result;
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

// What p and ds of a tile are computed from.
template <class T> struct Given {
  Matrix<T> query, key, value, dout;
  const T *lse;  // of this head, its step, and delta [queries]
  i64 lse_step;
  const T *delta;
  Sight<T> look;
  T scale;
  int width;
};

#define GIVEN(T, rows)                                                                                                     \
  Place at = place<TILE>(n.heads, rows);                                                                                   \
  Given<T> given = {matrix(q, of_q, at.batch, at.head, n.queries), matrix(k, of_k, at.batch, at.head, n.keys),             \
      matrix(v, of_v, at.batch, at.head, n.keys), matrix(dout, of_do, at.batch, at.head, n.queries),                       \
      lse + at.batch * of_lse.batch + at.head * of_lse.head, of_lse.row, delta + at.index * n.queries,                     \
      sight<T>(mask, kind, of_mask, at.batch, at.head, causal, n), scale, (int) n.width}

#define GRADIENT_INPUTS(T)                                                                                                 \
  const T *dout, const T *q, const T *k, const T *v, const T *lse, const T *delta, const void *mask, Sizes n, Steps of_do, \
      Steps of_q, Steps of_k, Steps of_v, Steps of_lse, Steps of_mask, int kind, int causal, T scale

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
