// What the sources of attention share: how its tensors lie, and what a query sees.

struct Sizes {
  i64 heads, queries, keys, width;
};

// Of a tensor of 4 dimensions.
struct Steps {
  i64 batch, head, row, column;
};

// Such a tensor.
template <class T> struct Strided {
  const T *at;
  Steps steps;
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

template <class T> DEVICE Matrix<T> matrix(const Strided<T> &tensor, i64 batch, i64 head, i64 rows) {
  return matrix(tensor.at, tensor.steps, batch, head, rows);
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
