// The gradients of attention on tensor cores, and the kernels of both.

// Of a query: its log-sum-exp, 0 where it sees nothing, and delta = sum_d do_d o_d.
struct alignas(8) Row {
  float lse, delta;
};

// The rows of all heads, a warp for each.
template <class I>
DEVICE void summarize(const Strided<I> &dout, const Strided<I> &o, const Strided<float> &lse, Row *rows, i64 count, const Sizes &n) {
  int warps = blockDim.x / WARP;
  for (i64 row = (i64) blockIdx.x * warps + threadIdx.x / WARP; row < count; row += (i64) gridDim.x * warps) {
    i64 index = quotient(row, n.queries);
    i64 t = row - index * n.queries;
    i64 b = quotient(index, n.heads);
    i64 h = index - b * n.heads;
    Matrix<I> x = matrix(dout, b, h, n.queries);
    Matrix<I> y = matrix(o, b, h, n.queries);
    float sum = 0;
    for (i64 d = threadIdx.x % WARP; d < n.width; d += WARP) {
      sum = fma(to_float(x.at[t * x.row + d * x.column]), to_float(y.at[t * y.row + d * y.column]), sum);
    }
    sum = warp_sum(sum);
    if (threadIdx.x % WARP == 0) {
      Matrix<float> of = matrix(lse, b, h, n.queries);
      float seen = of.at[t * of.row];
      rows[row] = {seen == minus_infinity<float>() ? 0 : seen, sum};
    }
  }
}

// What the gradients of one head are computed from.
struct Given {
  Factors query, key, value, dout;
  const Row *rows;
  View look;
  float scale;
  int width;
};

// p = e^(score - lse) and ds = p (do v^T - delta), from p = q k^T and ds = do v^T at columns 16 h of a step; zero where nothing is seen.
// Of a lane's rows these are `row` and the eighth after it, those of strip m. The queries are given, those of these rows, or where TURNED
// of its columns 8 j + {0, 1}.
template <bool TURNED, int M, int COUNT> DEVICE void slopes(float (&p)[2][4], float (&ds)[2][4], const Given &x, const Step &step,
    const Glance<M> &seen, int m, int row, int h, const Row (&queries)[COUNT]) {
  if (x.look.kind == MASK_ADDED) {
    #pragma unroll
    for (int i = 0; i < 8; i++) {
      int j = i / 4, e = i % 4;
      int r = row + e / 2 * 8;
      int c = step.first + 16 * h + 8 * j + threadIdx.x % 4 * 2 + e % 2;
      int t = TURNED ? c : r;
      int s = TURNED ? r : c;
      float score = p[j][e] * x.scale + (t < x.look.queries && s < x.look.keys ? x.look.added(t, s) : 0);
      p[j][e] = power_of_2((score - queries[TURNED ? 2 * j + e % 2 : e / 2].lse) * LOG2_E);
    }
  } else {
    float exponent = x.scale * LOG2_E;
    #pragma unroll
    for (int i = 0; i < 8; i++) {
      int j = i / 4, e = i % 4;
      p[j][e] = power_of_2(fma(p[j][e], exponent, -queries[TURNED ? 2 * j + e % 2 : e / 2].lse * LOG2_E));
    }
  }
  #pragma unroll
  for (int i = 0; i < 8; i++) {
    int j = i / 4, e = i % 4;
    ds[j][e] = p[j][e] * (ds[j][e] - queries[TURNED ? 2 * j + e % 2 : e / 2].delta);
  }
  if (!step.whole) {
    #pragma unroll
    for (int i = 0; i < 8; i++) {
      int j = i / 4, e = i % 4;
      bool sees = seen.sees(m, h, j, e);
      p[j][e] = sees ? p[j][e] : 0;
      ds[j][e] = sees ? ds[j][e] : 0;
    }
  }
}

// dq = scale (ds k): a block for a tile of queries.
template <class H, class I, int K, int M> DEVICE void query_grad(const Given &x, const Place &at, I *dq) {
  int row = lane_row<M>(at.first);
  u32 query[M][K][4], dout[M][K][4];
  load_rows(query, x.query, row);
  load_rows(dout, x.dout, row);
  Row of_rows[M][2];
  #pragma unroll
  for (int i = 0; i < 2 * M; i++) {
    of_rows[i / 2][i % 2] = row + 8 * i < x.look.queries ? x.rows[row + 8 * i] : Row{0, 0};
  }
  float sum[M][2 * K][4] = {};
  int end = x.look.causal && at.first + TILE < x.look.keys ? at.first + TILE : x.look.keys;
  stream<K, M, false>(x.look, x.key, x.value, at.first, 0, end,
      [&](const Step &step, const Glance<M> &seen, const u16 *key, const u16 *value) {
    #pragma unroll
    for (int h = 0; h < 2; h++) {
      float p[M][2][4], ds[M][2][4];
      dots<H>(p, query, key, 16 * h);
      dots<H>(ds, dout, value, 16 * h);
      #pragma unroll
      for (int m = 0; m < M; m++) {
        slopes<false>(p[m], ds[m], x, step, seen, m, row + 16 * m, h, of_rows[m]);
      }
      accumulate<H, K, K>(sum, ds, key, 16 * h, 0);
    }
  });
  float scale[2] = {x.scale, x.scale};
  I *head = dq + at.index * x.look.queries * x.width;
  #pragma unroll
  for (int m = 0; m < M; m++) {
    store<I, K>(sum[m], scale, head, row + 16 * m, x.look.queries, 0, x.width);
  }
}

// dk = scale (ds^T q) and dv = p^T do: a block for a tile of keys, queries ascending of those from blockIdx.z times `share`, a whole number
// of tiles, and 16 N columns of the results, which are float32 where they are parts.
template <class H, class I, int K, int N> DEVICE void key_grads(const Given &x, const Place &at, int share, void *dk, void *dv) {
  int row = lane_row<1>(at.first);
  int start = blockIdx.y * 16 * N;
  u32 key[1][K][4], value[1][K][4];
  load_rows(key, x.key, row);
  load_rows(value, x.value, row);
  float sum_k[1][2 * N][4] = {};
  float sum_v[1][2 * N][4] = {};
  int first = (int) blockIdx.z * share;
  int end = x.look.queries - first > share ? first + share : x.look.queries;
  stream<K, 1, true>(x.look, x.query, x.dout, at.first, x.look.causal && first < at.first ? at.first : first, end,
      [&](const Step &step, const Glance<1> &seen, const u16 *query, const u16 *dout) {
    #pragma unroll
    for (int h = 0; h < 2; h++) {
      Row of_columns[4];
      #pragma unroll
      for (int i = 0; i < 4; i++) {
        int t = step.first + 16 * h + i / 2 * 8 + threadIdx.x % 4 * 2 + i % 2;
        of_columns[i] = t < x.look.queries ? x.rows[t] : Row{0, 0};
      }
      float p[1][2][4], ds[1][2][4];
      dots<H>(p, key, query, 16 * h);
      dots<H>(ds, value, dout, 16 * h);
      slopes<true>(p[0], ds[0], x, step, seen, 0, row, h, of_columns);
      accumulate<H, K, N>(sum_v, p, dout, 16 * h, start);
      accumulate<H, K, N>(sum_k, ds, query, 16 * h, start);
    }
  });
  float scale_k[2] = {x.scale, x.scale};
  float scale_v[2] = {1, 1};
  i64 head = (i64) x.look.keys * x.width;
  if (sizeof(I) == sizeof(float) || gridDim.z > 1) {
    i64 heads = gridDim.x / ((x.look.keys + TILE - 1) / TILE);
    i64 skipped = (blockIdx.z * heads + at.index) * head;
    store<float, N>(sum_k[0], scale_k, (float *) dk + skipped, row, x.look.keys, start, x.width);
    store<float, N>(sum_v[0], scale_v, (float *) dv + skipped, row, x.look.keys, start, x.width);
  } else {
    store<I, N>(sum_k[0], scale_k, (I *) dk + at.index * head, row, x.look.keys, start, x.width);
    store<I, N>(sum_v[0], scale_v, (I *) dv + at.index * head, row, x.look.keys, start, x.width);
  }
}

// The sums over parts [parts, count] of both results, ascending.
template <class I> DEVICE void add_parts(const float *parts_of_dk, const float *parts_of_dv, I *dk, I *dv, i64 count, int parts) {
  FOR_EACH(i, 2 * count) {
    i64 at = i < count ? i : i - count;
    const float *from = (i < count ? parts_of_dk : parts_of_dv) + at;
    float sum = *from;
    for (int p = 1; p < parts; p++) {
      sum += from[p * count];
    }
    (i < count ? dk : dv)[at] = from_float<I>(sum);
  }
}

template <bool TURNED, class H>
DEVICE Given given(const Place &at, const Strided<H> &dout, const Strided<H> &q, const Strided<H> &k, const Strided<H> &v, const Row *rows,
    const void *mask, const Sizes &n, const Steps &of_mask, const Pictures &pictures, int kind, int causal, float scale) {
  return {factors(q, at, n.queries, n.width), factors(k, at, n.keys, n.width), factors(v, at, n.keys, n.width),
      factors(dout, at, n.queries, n.width), rows + at.index * n.queries,
      view<TURNED>(sight<float>(mask, kind, of_mask, at.batch, at.head, causal, n), pictures, at), scale, (int) n.width};
}

#define GRADIENT_INPUTS(H)                                                                                                 \
  Strided<H> dout, Strided<H> q, Strided<H> k, Strided<H> v, const Row *rows, const void *mask, Sizes n, Steps of_mask,    \
      Pictures pictures, int kind, int causal, float scale

// Kernels for head dimensions up to `columns` = 16 K: warps of forward own 16 M rows, of dq 16 G, blocks of dk and dv 16 N columns. BLOCKS
// of forward and GRAD_BLOCKS of dq fit a multiprocessor.
#define ATTENTION_MMA(variant, H, I, columns, K, M, G, N, BLOCKS, GRAD_BLOCKS)                                             \
  KERNEL(__launch_bounds__(THREADS / M, BLOCKS) attention_##columns##_##variant,                                           \
      (Strided<I> q, Strided<H> k, Strided<H> v, const void *mask, I *o, float *lse, Sizes n, Steps of_mask,               \
          Pictures pictures, int kind, int causal, float scale)) {                                                         \
    Place at = place<TILE>(n.heads, n.queries);                                                                            \
    attention<H, I, K, M>(q, factors(k, at, n.keys, n.width), factors(v, at, n.keys, n.width),                             \
        view<false>(sight<float>(mask, kind, of_mask, at.batch, at.head, causal, n), pictures, at), at, n, o, lse, scale); \
  }                                                                                                                        \
  EXPORT(attention_##columns##_##variant)                                                                                  \
                                                                                                                           \
  KERNEL(__launch_bounds__(THREADS / G, GRAD_BLOCKS) attention_dq_##columns##_##variant, (GRADIENT_INPUTS(H), I *dq)) {    \
    Place at = place<TILE>(n.heads, n.queries);                                                                            \
    query_grad<H, I, K, G>(given<false>(at, dout, q, k, v, rows, mask, n, of_mask, pictures, kind, causal, scale), at,     \
        dq);                                                                                                               \
  }                                                                                                                        \
  EXPORT(attention_dq_##columns##_##variant)                                                                               \
                                                                                                                           \
  KERNEL(__launch_bounds__(THREADS) attention_dk_dv_##columns##_##variant,                                                 \
      (GRADIENT_INPUTS(H), int share, void *dk, void *dv)) {                                                               \
    Place at = place<TILE>(n.heads, n.keys);                                                                               \
    key_grads<H, I, K, N>(given<true>(at, dout, q, k, v, rows, mask, n, of_mask, pictures, kind, causal, scale), at,       \
        share, dk, dv);                                                                                                    \
  }                                                                                                                        \
  EXPORT(attention_dk_dv_##columns##_##variant)

// Of tensors of I, with factors of H.
#define ATTENTIONS_MMA(variant, H, I)                                                                                      \
  KERNEL(attention_factors_##variant,                                                                                      \
      (const I *x, u16 *to, i64 count, i64 heads, int rows, int width, int columns, Steps steps)) {                        \
    round_factors<H>(x, to, count, heads, rows, width, columns, steps);                                                    \
  }                                                                                                                        \
  EXPORT(attention_factors_##variant)                                                                                      \
                                                                                                                           \
  KERNEL(attention_rows_##variant,                                                                                         \
      (Strided<I> dout, Strided<I> o, Strided<float> lse, Row *rows, i64 count, Sizes n)) {                                \
    summarize(dout, o, lse, rows, count, n);                                                                               \
  }                                                                                                                        \
  EXPORT(attention_rows_##variant)                                                                                         \
                                                                                                                           \
  KERNEL(attention_pictures_##variant,                                                                                     \
      (const void *mask, Pictures to, i64 heads, Sizes n, Steps of_mask, int causal, int turned)) {                        \
    draw(mask, to, heads, n, of_mask, causal, turned);                                                                     \
  }                                                                                                                        \
  EXPORT(attention_pictures_##variant)                                                                                     \
                                                                                                                           \
  KERNEL(attention_parts_##variant,                                                                                        \
      (const float *parts_of_dk, const float *parts_of_dv, I *dk, I *dv, i64 count, int parts)) {                          \
    add_parts(parts_of_dk, parts_of_dv, dk, dv, count, parts);                                                             \
  }                                                                                                                        \
  EXPORT(attention_parts_##variant)                                                                                        \
                                                                                                                           \
  ATTENTION_MMA(variant, H, I, 48, 3, 2, 2, 3, 3, 2)                                                                       \
  ATTENTION_MMA(variant, H, I, 64, 4, 2, 2, 4, 3, 2)                                                                       \
  ATTENTION_MMA(variant, H, I, 80, 5, 2, 1, 5, 2, 1)                                                                       \
  ATTENTION_MMA(variant, H, I, 96, 6, 2, 1, 6, 2, 1)                                                                       \
  ATTENTION_MMA(variant, H, I, 128, 8, 1, 1, 4, 1, 1)                                                                      \
  ATTENTION_MMA(variant, H, I, 160, 10, 1, 1, 5, 1, 1)
