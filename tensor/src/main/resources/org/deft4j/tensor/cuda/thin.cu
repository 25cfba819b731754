// Products of which one dimension is at most 16, the rank of an adapter: bound by memory, and read where they lie, in float32.

const int THREADS = 256;

// C[i, j] = alpha sum_k A[i, k] B[k, j] + beta C[i, j], j < n <= N, the k of A side by side. A block has ROWS rows i; thread t takes every
// THREADS-th k from t on, for all rows and columns at once; then the threads' sums are added over warps and over the block.
template <int N, int ROWS>
DEVICE void thin_rows(const float *a, i64 a_row, const float *b, i64 b_k, i64 b_column, float *c, i64 c_row, i64 c_column, i64 m, i64 k, int n,
    float alpha, float beta) {
  __shared__ float parts[THREADS / WARP][ROWS * N];
  FOR_ROWS(block, (m + ROWS - 1) / ROWS) {
    i64 first = block * ROWS;
    float sums[ROWS][N] = {};
    for (i64 l = threadIdx.x; l < k; l += THREADS) {
      float right[N];
      for (int j = 0; j < N; j++) {
        right[j] = j < n ? b[l * b_k + j * b_column] : 0.0f;
      }
      for (int i = 0; i < ROWS; i++) {
        float left = first + i < m ? a[(first + i) * a_row + l] : 0.0f;
        for (int j = 0; j < N; j++) {
          sums[i][j] = fma(left, right[j], sums[i][j]);
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
      float *to = c + (first + i) * c_row + j * c_column;
      *to = beta == 0 ? alpha * sum : fma(beta, *to, alpha * sum);
    }
    __syncthreads();
  }
}

// parts[p, j, i] = sum over the p-th piece of k of A[i, k] B[k, j], the i of A side by side: thread i reads what its neighbours read beside.
template <int N>
DEVICE void thin_columns(const float *a, i64 a_k, const float *b, i64 b_k, i64 b_column, float *parts, i64 m, i64 k, int n, i64 piece) {
  i64 i = (i64) blockIdx.x * THREADS + threadIdx.x;
  if (i >= m) {
    return;
  }
  i64 last = (blockIdx.y + 1) * piece < k ? (blockIdx.y + 1) * piece : k;
  float sums[N] = {};
  for (i64 l = blockIdx.y * piece; l < last; l++) {
    float left = a[l * a_k + i];
    for (int j = 0; j < N; j++) {
      sums[j] = j < n ? fma(left, b[l * b_k + j * b_column], sums[j]) : 0.0f;
    }
  }
  for (int j = 0; j < n; j++) {
    parts[((i64) blockIdx.y * n + j) * m + i] = sums[j];
  }
}

// C[i, j] = alpha sum_p parts[p, j, i] + beta C[i, j], p ascending.
KERNEL(thin_columns_sum, (const float *parts, float *c, i64 c_row, i64 c_column, i64 m, int n, i64 pieces, float alpha, float beta)) {
  FOR_EACH(e, m * n) {
    i64 j = e / m;
    i64 i = e - j * m;
    float sum = 0;
    for (i64 p = 0; p < pieces; p++) {
      sum += parts[p * m * n + e];
    }
    float *to = c + i * c_row + j * c_column;
    *to = beta == 0 ? alpha * sum : fma(beta, *to, alpha * sum);
  }
}
EXPORT(thin_columns_sum)

// Y[i, j] = X[i, j] + alpha sum_{l < k <= K} A[i, l] B[l, j], X left out where it is null; Y and X dense. A thread keeps column j of B and
// goes down some rows.
template <int K>
DEVICE void thin_outer(const float *a, i64 a_row, i64 a_k, const float *b, i64 b_k, i64 b_column, const float *x, float *y, i64 m, i64 n, int k,
    float alpha, i64 rows) {
  i64 j = (i64) blockIdx.x * THREADS + threadIdx.x;
  if (j >= n) {
    return;
  }
  float right[K];
  for (int l = 0; l < K; l++) {
    right[l] = l < k ? alpha * b[l * b_k + j * b_column] : 0.0f;
  }
  i64 last = (blockIdx.y + 1) * rows < m ? (blockIdx.y + 1) * rows : m;
  for (i64 i = blockIdx.y * rows; i < last; i++) {
    float sum = 0;
    for (int l = 0; l < K; l++) {
      sum = l < k ? fma(a[i * a_row + l * a_k], right[l], sum) : sum;
    }
    y[i * n + j] = x ? x[i * n + j] + sum : sum;
  }
}

#define THIN(N, ROWS)                                                                                                              \
  KERNEL(thin_rows_##N, (const float *a, i64 a_row, const float *b, i64 b_k, i64 b_column, float *c, i64 c_row, i64 c_column, i64 m, \
      i64 k, int n, float alpha, float beta)) {                                                                                    \
    thin_rows<N, ROWS>(a, a_row, b, b_k, b_column, c, c_row, c_column, m, k, n, alpha, beta);                                      \
  }                                                                                                                                \
  EXPORT(thin_rows_##N)                                                                                                            \
                                                                                                                                   \
  KERNEL(thin_columns_##N, (const float *a, i64 a_k, const float *b, i64 b_k, i64 b_column, float *parts, i64 m, i64 k, int n,     \
      i64 piece)) {                                                                                                                \
    thin_columns<N>(a, a_k, b, b_k, b_column, parts, m, k, n, piece);                                                              \
  }                                                                                                                                \
  EXPORT(thin_columns_##N)                                                                                                         \
                                                                                                                                   \
  KERNEL(thin_outer_##N, (const float *a, i64 a_row, i64 a_k, const float *b, i64 b_k, i64 b_column, const float *x, float *y, i64 m, \
      i64 n, int k, float alpha, i64 rows)) {                                                                                      \
    thin_outer<N>(a, a_row, a_k, b, b_k, b_column, x, y, m, n, k, alpha, rows);                                                    \
  }                                                                                                                                \
  EXPORT(thin_outer_##N)

THIN(4, 8)
THIN(8, 4)
THIN(16, 2)
