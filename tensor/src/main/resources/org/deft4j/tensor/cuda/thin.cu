// Products of which one dimension is at most 16, the rank of an adapter: bound by memory, and read where they lie. Sums are in float32.

const int THREADS = 256;

// A number that is read, in float32.
template <class T> DEVICE float at(const T *x, i64 index) {
  return to_float(x[index]);
}

// alpha sum + beta of what is there.
template <class T> DEVICE void put(T *to, float alpha, float sum, float beta) {
  *to = from_float<T>(beta == 0 ? alpha * sum : fma(beta, to_float(*to), alpha * sum));
}

// C[i, j] = alpha sum_k A[i, k] B[k, j] + beta C[i, j], j < n <= N, the k of A side by side. A block has ROWS rows i; thread t takes V
// neighbouring k of every V THREADS from V t on, for all rows and columns at once; then the threads' sums are added over warps and over the
// block. V is what 4 bytes hold, or 1 where A cannot be read so.
template <int N, int ROWS, int V, class A, class B, class C>
DEVICE void thin_rows(const A *a, i64 a_row, const B *b, i64 b_k, i64 b_column, C *c, i64 c_row, i64 c_column, i64 m, i64 k, int n,
    float alpha, float beta) {
  __shared__ float parts[THREADS / WARP][ROWS * N];
  FOR_ROWS(block, (m + ROWS - 1) / ROWS) {
    i64 first = block * ROWS;
    float sums[ROWS][N] = {};
    for (i64 l = threadIdx.x * V; l < k; l += THREADS * V) {
      float right[V][N];
      for (int v = 0; v < V; v++) {
        for (int j = 0; j < N; j++) {
          right[v][j] = j < n ? at(b, (l + v) * b_k + j * b_column) : 0.0f;
        }
      }
      for (int i = 0; i < ROWS; i++) {
        Vector<A, V> left = {};
        if (first + i < m) {
          left = *(const Vector<A, V> *) (a + (first + i) * a_row + l);
        }
        for (int v = 0; v < V; v++) {
          for (int j = 0; j < N; j++) {
            sums[i][j] = fma(to_float(left.part[v]), right[v][j], sums[i][j]);
          }
        }
      }
    }
    for (int i = 0; i < ROWS; i++) {
      for (int j = 0; j < N; j++) {
        float sum = warp_sum(sums[i][j]);
        if (threadIdx.x % WARP == 0) {
          parts[threadIdx.x / WARP][i * N + j] = sum;
        }
      }
    }
    __syncthreads();
    int i = threadIdx.x / N;
    int j = threadIdx.x % N;
    if (i < ROWS && first + i < m && j < n) {
      float sum = 0;
      for (int w = 0; w < THREADS / WARP; w++) {
        sum += parts[w][i * N + j];
      }
      put(c + (first + i) * c_row + j * c_column, alpha, sum, beta);
    }
    __syncthreads();
  }
}

template <int N, int ROWS, class A, class B, class C>
DEVICE void thin_rows(const A *a, i64 a_row, const B *b, i64 b_k, i64 b_column, C *c, i64 c_row, i64 c_column, i64 m, i64 k, int n,
    float alpha, float beta) {
  constexpr int V = 4 / (int) sizeof(A);
  if (V == 1 || (is_aligned<V>(a) && a_row % V == 0 && k % V == 0)) {
    thin_rows<N, ROWS, V>(a, a_row, b, b_k, b_column, c, c_row, c_column, m, k, n, alpha, beta);
  } else {
    thin_rows<N, ROWS, 1>(a, a_row, b, b_k, b_column, c, c_row, c_column, m, k, n, alpha, beta);
  }
}

// parts[p, j, i] = sum over the p-th piece of k of A[i, k] B[k, j], the i of A side by side: thread i reads what its neighbours read beside.
template <int N, class A, class B>
DEVICE void thin_columns(const A *a, i64 a_k, const B *b, i64 b_k, i64 b_column, float *parts, i64 m, i64 k, int n, i64 piece) {
  i64 i = (i64) blockIdx.x * THREADS + threadIdx.x;
  if (i >= m) {
    return;
  }
  i64 last = (blockIdx.y + 1) * piece < k ? (blockIdx.y + 1) * piece : k;
  float sums[N] = {};
  for (i64 l = blockIdx.y * piece; l < last; l++) {
    float left = at(a, l * a_k + i);
    for (int j = 0; j < N; j++) {
      sums[j] = j < n ? fma(left, at(b, l * b_k + j * b_column), sums[j]) : 0.0f;
    }
  }
  for (int j = 0; j < n; j++) {
    parts[((i64) blockIdx.y * n + j) * m + i] = sums[j];
  }
}

// C[i, j] = alpha sum_p parts[p, j, i] + beta C[i, j], p ascending.
template <class C>
DEVICE void thin_columns_sum(const float *parts, C *c, i64 c_row, i64 c_column, i64 m, int n, i64 pieces, float alpha, float beta) {
  FOR_EACH(e, m * n) {
    i64 j = e / m;
    i64 i = e - j * m;
    float sum = 0;
    for (i64 p = 0; p < pieces; p++) {
      sum += parts[p * m * n + e];
    }
    put(c + i * c_row + j * c_column, alpha, sum, beta);
  }
}

// Y[i, j] = X[i, j] + alpha sum_{l < k <= K} A[i, l] B[l, j], X left out where it is null; Y and X dense. A thread keeps V neighbouring
// columns j of B and goes down some rows.
template <int K, int V, class A, class B, class C>
DEVICE void thin_outer(const A *a, i64 a_row, i64 a_k, const B *b, i64 b_k, i64 b_column, const C *x, C *y, i64 m, i64 n, int k, float alpha,
    i64 rows) {
  i64 last = (blockIdx.y + 1) * rows < m ? (blockIdx.y + 1) * rows : m;
  for (i64 j = ((i64) blockIdx.x * THREADS + threadIdx.x) * V; j < n; j += (i64) gridDim.x * THREADS * V) {
    float right[K][V];
    for (int l = 0; l < K; l++) {
      for (int v = 0; v < V; v++) {
        right[l][v] = l < k ? alpha * at(b, l * b_k + (j + v) * b_column) : 0.0f;
      }
    }
    for (i64 i = blockIdx.y * rows; i < last; i++) {
      float sums[V] = {};
      for (int l = 0; l < K; l++) {
        float left = l < k ? at(a, i * a_row + l * a_k) : 0.0f;
        for (int v = 0; v < V; v++) {
          sums[v] = l < k ? fma(left, right[l][v], sums[v]) : sums[v];
        }
      }
      Vector<C, V> given = {};
      if (x != nullptr) {
        given = *(const Vector<C, V> *) (x + i * n + j);
      }
      for (int v = 0; v < V; v++) {
        given.part[v] = from_float<C>(x != nullptr ? to_float(given.part[v]) + sums[v] : sums[v]);
      }
      *(Vector<C, V> *) (y + i * n + j) = given;
    }
  }
}

// Columns that a thread of thin_outer keeps, if they can be moved at once.
const int COLUMNS = 4;

template <int K, class A, class B, class C>
DEVICE void thin_outer(const A *a, i64 a_row, i64 a_k, const B *b, i64 b_k, i64 b_column, const C *x, C *y, i64 m, i64 n, int k, float alpha,
    i64 rows) {
  if (n % COLUMNS == 0 && is_aligned<COLUMNS>(x) && is_aligned<COLUMNS>(y)) {
    thin_outer<K, COLUMNS>(a, a_row, a_k, b, b_k, b_column, x, y, m, n, k, alpha, rows);
  } else {
    thin_outer<K, 1>(a, a_row, a_k, b, b_k, b_column, x, y, m, n, k, alpha, rows);
  }
}

#define THIN(N, ROWS, types, A, B, C)                                                                                               \
  KERNEL(thin_rows_##N##_##types, (const A *a, i64 a_row, const B *b, i64 b_k, i64 b_column, C *c, i64 c_row, i64 c_column, i64 m,    \
      i64 k, int n, float alpha, float beta)) {                                                                                    \
    thin_rows<N, ROWS>(a, a_row, b, b_k, b_column, c, c_row, c_column, m, k, n, alpha, beta);                                      \
  }                                                                                                                                \
  EXPORT(thin_rows_##N##_##types)                                                                                                  \
                                                                                                                                   \
  KERNEL(thin_columns_##N##_##types, (const A *a, i64 a_k, const B *b, i64 b_k, i64 b_column, float *parts, i64 m, i64 k, int n,    \
      i64 piece)) {                                                                                                                \
    thin_columns<N>(a, a_k, b, b_k, b_column, parts, m, k, n, piece);                                                              \
  }                                                                                                                                \
  EXPORT(thin_columns_##N##_##types)                                                                                               \
                                                                                                                                   \
  KERNEL(thin_outer_##N##_##types, (const A *a, i64 a_row, i64 a_k, const B *b, i64 b_k, i64 b_column, const C *x, C *y, i64 m,     \
      i64 n, int k, float alpha, i64 rows)) {                                                                                      \
    thin_outer<N>(a, a_row, a_k, b, b_k, b_column, x, y, m, n, k, alpha, rows);                                                    \
  }                                                                                                                                \
  EXPORT(thin_outer_##N##_##types)

// The large side (of an outer product the left one) has the type of the result; the other one that, or float32.
#define THIN_TYPES(N, ROWS)                        \
  THIN(N, ROWS, f32_f32, float, float, float)      \
  THIN(N, ROWS, bf16_f32, bf16, float, bf16)       \
  THIN(N, ROWS, bf16_bf16, bf16, bf16, bf16)

THIN_TYPES(4, 8)
THIN_TYPES(8, 4)
THIN_TYPES(16, 2)

#define THIN_SUM(name, C)                                                                                                          \
  KERNEL(name, (const float *parts, C *c, i64 c_row, i64 c_column, i64 m, int n, i64 pieces, float alpha, float beta)) {           \
    thin_columns_sum(parts, c, c_row, c_column, m, n, pieces, alpha, beta);                                                        \
  }                                                                                                                                \
  EXPORT(name)

THIN_SUM(thin_columns_sum_f32, float)
THIN_SUM(thin_columns_sum_bf16, bf16)
