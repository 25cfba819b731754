#include "attention.cuh"

// Attention on the cores that multiply float32 and float64 (Dao et al. 2022 and 2023: the scores are never stored).
//
// A block of 128 threads owns a tile of 64 rows and streams over tiles of 64 columns: rows are queries and columns keys, or for dk and dv
// the other way round. Thread (group, lane) of 8 groups of 16 lanes has the scores of 8 rows, 8 group + i, and 4 columns, lane + 16 j; and
// of the result, which has the same rows, the columns lane + 16 c. What it multiplies passes through shared memory in slices, so that any
// head dimension fits; where results are wider than the COLUMNS that fit the registers, other blocks (blockIdx.y) own the rest and compute
// the same scores again. A score is one chain of fused multiply-adds over d ascending, as on the CPU.

const int THREADS = 128;
const int TILE = 64;    // rows of a tile, and columns
const int LANES = 16;   // threads that share rows
const int ROWS = 8;     // of a thread
const int COLUMNS = 4;  // of a thread
const int DEPTH = 32;   // columns of q and k that pass at a time
const int PITCH = 68;   // of shared memory: 8 lanes that step by it meet different banks, four neighbours lie at a multiple of 16 bytes

// The sum over the 16 lanes that share rows, for all of them.
template <class T> DEVICE T lanes_sum(T x) {
  for (int step = LANES / 2; step > 0; step /= 2) {
    x += __shfl_xor_sync(0xffffffffu, x, step);
  }
  return x;
}

// The largest; a NaN is none.
template <class T> DEVICE T lanes_max(T x) {
  for (int step = LANES / 2; step > 0; step /= 2) {
    T other = __shfl_xor_sync(0xffffffffu, x, step);
    x = x < other ? other : x;
  }
  return x;
}

// e^(score - shift); a shift of minus infinity, where nothing was seen, counts as 0, so that hidden scores give 0.
template <class T> DEVICE T shifted_exp(T score, T shift) {
  return exp(score - (shift == minus_infinity<T>() ? T(0) : shift));
}

// Which of its scores this thread sees: bit 4 i + j for row i and column j. Rows are queries, or keys where TURNED.
template <bool TURNED, class T> DEVICE u32 visible(const Sight<T> &sight, int row, int column) {
  u32 bits = 0;
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < COLUMNS; j++) {
      int r = row + i;
      int c = column + LANES * j;
      bits |= (u32) (TURNED ? sight.sees(c, r) : sight.sees(r, c)) << (COLUMNS * i + j);
    }
  }
  return bits;
}

// Which of the tile's columns any thread of the block sees in any row.
DEVICE u64 columns_seen(u32 bits, int lane) {
  u64 mine = 0;
  for (int j = 0; j < COLUMNS; j++) {
    mine |= (u64) ((bits >> j & 0x11111111u) != 0) << (lane + LANES * j);
  }
  return block_or(mine);
}

// 64 rows from `first` and 32 columns from `start` of scale m, zero beyond its borders, turned: to[column][row].
template <class T> DEVICE void load_turned(const Matrix<T> &m, int first, int start, int width, T scale, T *to) {
  // Eight threads read neighbouring columns, four such groups neighbouring rows: what is read fills sectors, what is written all banks.
  int column = threadIdx.x % 8;
  int row = threadIdx.x / 8;
  const T *from = m.at + (first + row) * m.row + (start + column) * m.column;
  i64 row_step = THREADS / 8 * m.row;
  i64 column_step = 8 * m.column;
  for (int d = 0; d < DEPTH / 8; d++) {
    for (int r = 0; r < TILE * 8 / THREADS; r++) {
      bool inside = first + row + THREADS / 8 * r < m.rows && start + column + 8 * d < width;
      to[(column + 8 * d) * PITCH + row + THREADS / 8 * r] = inside ? from[r * row_step + d * column_step] * scale : T(0);
    }
  }
}

// s = (scale_a a) (scale_b b)^T of the tiles that start at rows first_a and first_b.
template <class T>
DEVICE void dots(T (&s)[ROWS][COLUMNS], const Matrix<T> &a, int first_a, T scale_a, const Matrix<T> &b, int first_b, T scale_b, int width,
    T *shared) {
  int lane = threadIdx.x % LANES;
  int row = threadIdx.x / LANES * ROWS;
  T *tile_a = shared;
  T *tile_b = shared + DEPTH * PITCH;
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < COLUMNS; j++) {
      s[i][j] = 0;
    }
  }
  for (int start = 0; start < width; start += DEPTH) {
    __syncthreads();  // what was in shared memory has been used
    load_turned(a, first_a, start, width, scale_a, tile_a);
    load_turned(b, first_b, start, width, scale_b, tile_b);
    __syncthreads();
    int depth = width - start < DEPTH ? width - start : DEPTH;
    #pragma unroll 4
    for (int d = 0; d < depth; d++) {
      Four<T> low = *(const Four<T> *) (tile_a + d * PITCH + row);
      Four<T> high = *(const Four<T> *) (tile_a + d * PITCH + row + 4);
      for (int j = 0; j < COLUMNS; j++) {
        T y = tile_b[d * PITCH + lane + LANES * j];
        for (int i = 0; i < 4; i++) {
          s[i][j] = fma(low.x[i], y, s[i][j]);
          s[4 + i][j] = fma(high.x[i], y, s[4 + i][j]);
        }
      }
    }
  }
}

// sum += p (scale m), p being the tile's scores of all threads and m the rows from `first`, of which those that nobody sees count as zero.
template <class T, int C>
DEVICE void accumulate(T (&sum)[ROWS][C], const T (&p)[ROWS][COLUMNS], const Matrix<T> &m, int first, u64 seen, T scale, int start,
    int width, T *shared, T *slice) {
  const int STEP = 128 / sizeof(T);
  int lane = threadIdx.x % LANES;
  int row = threadIdx.x / LANES * ROWS;
  __syncthreads();  // what was in shared memory has been used
  for (int j = 0; j < COLUMNS; j++) {
    Four<T> low, high;
    for (int i = 0; i < 4; i++) {
      low.x[i] = p[i][j];
      high.x[i] = p[4 + i][j];
    }
    *(Four<T> *) (shared + (lane + LANES * j) * PITCH + row) = low;
    *(Four<T> *) (shared + (lane + LANES * j) * PITCH + row + 4) = high;
  }
  for (int k = 0; k < TILE; k += STEP) {
    if (k > 0) {
      __syncthreads();
    }
    #pragma unroll 4
    for (int i = threadIdx.x; i < STEP * LANES * C; i += THREADS) {
      int r = i / (LANES * C);
      int d = start + i % (LANES * C);
      slice[i] = (seen >> (k + r) & 1) && d < width ? m.at[(first + k + r) * m.row + d * m.column] * scale : T(0);
    }
    __syncthreads();
    #pragma unroll 4
    for (int r = 0; r < STEP; r++) {
      Four<T> low = *(const Four<T> *) (shared + (k + r) * PITCH + row);
      Four<T> high = *(const Four<T> *) (shared + (k + r) * PITCH + row + 4);
      for (int c = 0; c < C; c++) {
        T y = slice[r * LANES * C + lane + LANES * c];
        for (int i = 0; i < 4; i++) {
          sum[i][c] = fma(low.x[i], y, sum[i][c]);
          sum[4 + i][c] = fma(high.x[i], y, sum[4 + i][c]);
        }
      }
    }
  }
}

// The thread's part of a result [.., rows, width] at the head's start, times `scale`.
template <class T, int C> DEVICE void store(const T (&sum)[ROWS][C], T scale, T *to, int first, int rows, int start, int width) {
  for (int i = 0; i < ROWS; i++) {
    int row = first + (int) threadIdx.x / LANES * ROWS + i;
    for (int c = 0; c < C; c++) {
      int d = start + (int) threadIdx.x % LANES + LANES * c;
      if (row < rows && d < width) {
        to[(i64) row * width + d] = sum[i][c] * scale;
      }
    }
  }
}

// o = softmax(scale q k^T + mask) v and lse = log sum_s e^score, with the online softmax: a maximum m and a sum l of each row so far.
template <class T, int C>
DEVICE void attention(const T *q, const T *k, const T *v, const void *mask, T *o, T *lse, const Sizes &n, const Steps &of_q,
    const Steps &of_k, const Steps &of_v, const Steps &of_mask, int kind, int causal, T scale) {
  alignas(16) __shared__ T shared[TILE * PITCH];
  __shared__ T slice[128 / sizeof(T) * LANES * C];
  Place at = place<TILE>(n.heads, n.queries);
  Matrix<T> query = matrix(q, of_q, at.batch, at.head, n.queries);
  Matrix<T> key = matrix(k, of_k, at.batch, at.head, n.keys);
  Matrix<T> value = matrix(v, of_v, at.batch, at.head, n.keys);
  Sight<T> look = sight<T>(mask, kind, of_mask, at.batch, at.head, causal, n);
  int width = (int) n.width;
  int start = blockIdx.y * LANES * C;
  int lane = threadIdx.x % LANES;
  int row = at.first + (int) threadIdx.x / LANES * ROWS;
  T m[ROWS], l[ROWS], sum[ROWS][C];
  for (int i = 0; i < ROWS; i++) {
    m[i] = minus_infinity<T>();
    l[i] = 0;
    for (int c = 0; c < C; c++) {
      sum[i][c] = 0;
    }
  }
  int end = causal && at.first + TILE < n.keys ? at.first + TILE : (int) n.keys;
  for (int first = 0; first < end; first += TILE) {
    u32 bits = visible<false>(look, row, first + lane);
    u64 seen = columns_seen(bits, lane);
    if (seen == 0) {
      continue;
    }
    T s[ROWS][COLUMNS];
    dots(s, query, at.first, scale, key, first, T(1), width, shared);
    for (int i = 0; i < ROWS; i++) {
      T most = m[i];
      for (int j = 0; j < COLUMNS; j++) {
        bool sees = bits >> (COLUMNS * i + j) & 1;
        T score = sees && kind == MASK_ADDED ? s[i][j] + look.added(row + i, first + lane + LANES * j) : s[i][j];
        s[i][j] = sees ? score : minus_infinity<T>();
        most = most < s[i][j] ? s[i][j] : most;
      }
      most = lanes_max(most);
      T correction = shifted_exp(m[i], most);
      T part = 0;
      for (int j = 0; j < COLUMNS; j++) {
        s[i][j] = shifted_exp(s[i][j], most);
        part += s[i][j];
      }
      l[i] = fma(l[i], correction, lanes_sum(part));
      m[i] = most;
      for (int c = 0; c < C; c++) {
        sum[i][c] *= correction;
      }
    }
    accumulate(sum, s, value, first, seen, T(1), start, width, shared, slice);
  }
  for (int i = 0; i < ROWS; i++) {
    T inverse = l[i] == 0 ? T(0) : T(1) / l[i];
    for (int c = 0; c < C; c++) {
      sum[i][c] *= inverse;
    }
    if (blockIdx.y == 0 && lane == 0 && row + i < n.queries) {
      lse[at.index * n.queries + row + i] = l[i] == 0 ? minus_infinity<T>() : m[i] + log(l[i]);
    }
  }
  store(sum, T(1), o + at.index * n.queries * width, at.first, (int) n.queries, start, width);
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

// p = e^(score - lse) and ds = p (do v^T - delta) of a tile, rows being queries or, TURNED, keys; zero where nothing is seen.
template <bool TURNED, class T>
DEVICE void slopes(T (&p)[ROWS][COLUMNS], T (&ds)[ROWS][COLUMNS], const Given<T> &x, u32 bits, int first, int other, T *shared) {
  int lane = threadIdx.x % LANES;
  int row = first + (int) threadIdx.x / LANES * ROWS;
  dots(p, TURNED ? x.key : x.query, first, TURNED ? T(1) : x.scale, TURNED ? x.query : x.key, other, TURNED ? x.scale : T(1), x.width,
      shared);
  dots(ds, TURNED ? x.value : x.dout, first, T(1), TURNED ? x.dout : x.value, other, T(1), x.width, shared);
  if (x.look.kind == MASK_ADDED) {
    for (int i = 0; i < ROWS; i++) {
      for (int j = 0; j < COLUMNS; j++) {
        int c = other + lane + LANES * j;
        p[i][j] += bits >> (COLUMNS * i + j) & 1 ? x.look.added(TURNED ? c : row + i, TURNED ? row + i : c) : T(0);
      }
    }
  }
  const int QUERIES = TURNED ? COLUMNS : ROWS;
  T lse[QUERIES], delta[QUERIES];
  for (int i = 0; i < QUERIES; i++) {
    int t = TURNED ? other + lane + LANES * i : row + i;
    lse[i] = t < x.look.queries ? x.lse[t * x.lse_step] : T(0);
    delta[i] = t < x.look.queries ? x.delta[t] : T(0);
  }
  for (int i = 0; i < ROWS; i++) {
    for (int j = 0; j < COLUMNS; j++) {
      bool sees = bits >> (COLUMNS * i + j) & 1;
      p[i][j] = sees ? shifted_exp(p[i][j], lse[TURNED ? j : i]) : T(0);
      ds[i][j] = sees ? p[i][j] * (ds[i][j] - delta[TURNED ? j : i]) : T(0);
    }
  }
}

// dq = scale (ds k): a block for a tile of queries.
template <class T, int C> DEVICE void query_grad(const Given<T> &x, const Place &at, T *dq) {
  alignas(16) __shared__ T shared[TILE * PITCH];
  __shared__ T slice[128 / sizeof(T) * LANES * C];
  int start = blockIdx.y * LANES * C;
  int lane = threadIdx.x % LANES;
  T sum[ROWS][C] = {};
  int end = x.look.causal && at.first + TILE < x.look.keys ? at.first + TILE : x.look.keys;
  for (int first = 0; first < end; first += TILE) {
    u32 bits = visible<false>(x.look, at.first + (int) threadIdx.x / LANES * ROWS, first + lane);
    u64 seen = columns_seen(bits, lane);
    if (seen == 0) {
      continue;
    }
    T p[ROWS][COLUMNS], ds[ROWS][COLUMNS];
    slopes<false>(p, ds, x, bits, at.first, first, shared);
    accumulate(sum, ds, x.key, first, seen, T(1), start, x.width, shared, slice);
  }
  store(sum, x.scale, dq, at.first, x.look.queries, start, x.width);
}

// dk = ds^T (scale q) and dv = p^T do: a block for a tile of keys, queries ascending.
template <class T, int C> DEVICE void key_grads(const Given<T> &x, const Place &at, T *dk, T *dv) {
  alignas(16) __shared__ T shared[TILE * PITCH];
  __shared__ T slice[128 / sizeof(T) * LANES * C];
  int start = blockIdx.y * LANES * C;
  int lane = threadIdx.x % LANES;
  T sum_k[ROWS][C] = {};
  T sum_v[ROWS][C] = {};
  for (int first = x.look.causal ? at.first : 0; first < x.look.queries; first += TILE) {
    u32 bits = visible<true>(x.look, at.first + (int) threadIdx.x / LANES * ROWS, first + lane);
    u64 seen = columns_seen(bits, lane);
    if (seen == 0) {
      continue;
    }
    T p[ROWS][COLUMNS], ds[ROWS][COLUMNS];
    slopes<true>(p, ds, x, bits, at.first, first, shared);
    accumulate(sum_v, p, x.dout, first, seen, T(1), start, x.width, shared, slice);
    accumulate(sum_k, ds, x.query, first, seen, x.scale, start, x.width, shared, slice);
  }
  store(sum_k, T(1), dk, at.first, x.look.keys, start, x.width);
  store(sum_v, T(1), dv, at.first, x.look.keys, start, x.width);
}

#define GIVEN(T, rows)                                                                                                     \
  Place at = place<TILE>(n.heads, rows);                                                                                   \
  Given<T> given = {matrix(q, of_q, at.batch, at.head, n.queries), matrix(k, of_k, at.batch, at.head, n.keys),             \
      matrix(v, of_v, at.batch, at.head, n.keys), matrix(dout, of_do, at.batch, at.head, n.queries),                       \
      lse + at.batch * of_lse.batch + at.head * of_lse.head, of_lse.row, delta + at.index * n.queries,                     \
      sight<T>(mask, kind, of_mask, at.batch, at.head, causal, n), scale, (int) n.width}

#define GRADIENT_INPUTS(T)                                                                                                 \
  const T *dout, const T *q, const T *k, const T *v, const T *lse, const T *delta, const void *mask, Sizes n, Steps of_do, \
      Steps of_q, Steps of_k, Steps of_v, Steps of_lse, Steps of_mask, int kind, int causal, T scale

#define ROW_PRODUCTS(T, suffix)                                                                                            \
  KERNEL(attention_delta_##suffix, (const T *dout, const T *o, T *delta, i64 rows, Sizes n, Steps of_do, Steps of_o)) {    \
    row_products(dout, o, delta, rows, n, of_do, of_o);                                                                    \
  }                                                                                                                       \
  EXPORT(attention_delta_##suffix)

#define ATTENTION(T, suffix, columns, C)                                                                                   \
  KERNEL(__launch_bounds__(THREADS, 3) attention_##columns##_##suffix,                                                     \
      (const T *q, const T *k, const T *v, const void *mask, T *o, T *lse, Sizes n, Steps of_q, Steps of_k, Steps of_v,    \
          Steps of_mask, int kind, int causal, T scale)) {                                                                 \
    attention<T, C>(q, k, v, mask, o, lse, n, of_q, of_k, of_v, of_mask, kind, causal, scale);                             \
  }                                                                                                                       \
  EXPORT(attention_##columns##_##suffix)

#define ATTENTION_GRAD(T, suffix, columns, C)                                                                              \
  KERNEL(__launch_bounds__(THREADS) attention_dq_##columns##_##suffix, (GRADIENT_INPUTS(T), T *dq)) {                      \
    GIVEN(T, n.queries);                                                                                                   \
    query_grad<T, C>(given, at, dq + at.index * n.queries * n.width);                                                      \
  }                                                                                                                       \
  EXPORT(attention_dq_##columns##_##suffix)                                                                                \
                                                                                                                          \
  KERNEL(__launch_bounds__(THREADS) attention_dk_dv_##columns##_##suffix, (GRADIENT_INPUTS(T), T *dk, T *dv)) {            \
    GIVEN(T, n.keys);                                                                                                      \
    i64 start = at.index * n.keys * n.width;                                                                               \
    key_grads<T, C>(given, at, dk + start, dv + start);                                                                    \
  }                                                                                                                       \
  EXPORT(attention_dk_dv_##columns##_##suffix)

ROW_PRODUCTS(float, f32)
ROW_PRODUCTS(double, f64)
ATTENTION(float, f32, 48, 3)
ATTENTION(float, f32, 64, 4)
ATTENTION(float, f32, 80, 5)
ATTENTION(float, f32, 96, 6)
ATTENTION(float, f32, 128, 8)
ATTENTION(double, f64, 64, 4)
ATTENTION_GRAD(float, f32, 48, 3)
ATTENTION_GRAD(float, f32, 64, 4)
ATTENTION_GRAD(float, f32, 80, 5)
ATTENTION_GRAD(float, f32, 96, 6)
ATTENTION_GRAD(float, f32, 128, 8)
ATTENTION_GRAD(double, f64, 64, 4)
