#include "attention.cuh"

// Attention on tensor cores (Dao et al. 2022 and 2023): factors are rounded to 16 bits as they are loaded, H being bf16 or f16; scores,
// softmax and sums are float32.
//
// A block of 8 warps owns a tile of 128 rows, 16 a warp, and streams over tiles of 32 columns: rows are queries and columns keys, or for dk
// and dv the other way round. The rows' factors stay in registers, the columns' pass through shared memory in two buffers: while one is
// multiplied the next tile is on its way to registers. Lane l of a warp has of a matrix of 16 x 8 results rows l / 4 and l / 4 + 8, of
// each the two columns 2 (l % 4) + {0, 1} (PTX, mma.m16n8k16); two such matrices side by side are a left factor of the next product.

const int THREADS = 256;
const int TILE = 128;
const int STREAM = 32;
const float LOG2_E = 1.4426950408889634f;

// Two numbers in 16 bits each.
template <class H> DEVICE u32 pack(float low, float high);
// c += a b: a [16, 16], b [16, 8] by columns.
template <class H> DEVICE void multiply_add(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1);

#ifdef DEFT_HOST
template <class H> DEVICE u32 pack(float low, float high) {
  return from_float<H>(low).bits | (u32) from_float<H>(high).bits << 16;
}

template <class H> DEVICE void multiply_add(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  host::multiply_16x8x16(c, a, b0, b1, [](u16 bits) { return to_float(H{bits}); });
}

template <bool TURNED> DEVICE void load_matrices(u32 (&to)[4], const u16 *row) {
  host::load_matrices(to, row, TURNED);
}

DEVICE float power_of_2(float x) {
  return std::exp2(x);
}
#else
template <> DEVICE u32 pack<bf16>(float low, float high) {
  u32 result;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}

template <> DEVICE u32 pack<f16>(float low, float high) {
  u32 result;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(result) : "f"(high), "f"(low));
  return result;
}

#define MULTIPLY_ADD(H)                                                                                                    \
  template <> DEVICE void multiply_add<H>(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {                              \
    asm("mma.sync.aligned.m16n8k16.row.col.f32." #H "." #H ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                                   \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                                   \
  }
MULTIPLY_ADD(bf16)
MULTIPLY_ADD(f16)

// Four matrices of 8 x 8 from shared memory: lane l says where row l % 8 of matrix l / 8 lies, and gets of each row l / 4, columns
// 2 (l % 4) + {0, 1}; of their transposes where TURNED.
template <bool TURNED> DEVICE void load_matrices(u32 (&to)[4], const u16 *row) {
  u32 at = (u32) __cvta_generic_to_shared(row);
  if (TURNED) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at));
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at));
  }
}

DEVICE float power_of_2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
#endif

// e^(score - shift); a shift of minus infinity, where nothing was seen, counts as 0.
DEVICE float fast_exp(float score, float shift) {
  return power_of_2((score - (shift == minus_infinity<float>() ? 0 : shift)) * LOG2_E);
}

// A tile of 32 rows and 16 K columns: on its way from memory, and in shared memory, where 8 rows of 16 bytes one below the other meet
// different banks.
template <int K> struct Tile {
  static const int PITCH = 16 * K + 8;
  static const int QUADS = (STREAM * 4 * K + THREADS - 1) / THREADS;
  float x[QUADS][4];

  // Rows from `first`; those that nobody sees, and what lies beyond the borders, as zero.
  DEVICE void load(const Matrix<float> &m, int first, u64 seen, int width) {
    bool wide = m.column == 1 && (m.row & 3) == 0 && ((u64) m.at & 15) == 0;
    #pragma unroll
    for (int j = 0; j < QUADS; j++) {
      int i = threadIdx.x + THREADS * j;
      int row = i / (4 * K);
      int d = i % (4 * K) * 4;
      bool inside = row < STREAM && first + row < m.rows && (seen >> row & 1);
      const float *at = m.at + (first + row) * m.row + d * m.column;
      if (wide && inside && d + 3 < width) {
        Four<float> four = *(const Four<float> *) at;
        for (int e = 0; e < 4; e++) {
          x[j][e] = four.x[e];
        }
      } else {
        for (int e = 0; e < 4; e++) {
          x[j][e] = inside && d + e < width ? at[e * m.column] : 0;
        }
      }
    }
  }

  template <class H> DEVICE void store(u16 *to) const {
    #pragma unroll
    for (int j = 0; j < QUADS; j++) {
      int i = threadIdx.x + THREADS * j;
      int row = i / (4 * K);
      if (row < STREAM) {
        u32 *at = (u32 *) (to + row * PITCH + i % (4 * K) * 4);
        at[0] = pack<H>(x[j][0], x[j][1]);
        at[1] = pack<H>(x[j][2], x[j][3]);
      }
    }
  }
};

// A warp's 16 rows from `row` - a lane's own first one - as left factors.
template <class H, int K> DEVICE void load_rows(u32 (&to)[K][4], const Matrix<float> &m, int row, int width) {
  for (int k = 0; k < K; k++) {
    for (int r = 0; r < 4; r++) {
      int at = row + r % 2 * 8;
      int d = 16 * k + r / 2 * 8 + threadIdx.x % 4 * 2;
      const float *x = m.at + at * m.row + d * m.column;
      bool inside = at < m.rows;
      to[k][r] = pack<H>(inside && d < width ? x[0] : 0, inside && d + 1 < width ? x[m.column] : 0);
    }
  }
}

// s = a b^T of 16 rows of the shared tile b from `first`.
template <class H, int K> DEVICE void dots(float (&s)[2][4], const u32 (&a)[K][4], const u16 *b, int first) {
  int lane = threadIdx.x % WARP;
  const u16 *at = b + (first + lane / 16 * 8 + lane % 8) * Tile<K>::PITCH + lane / 8 % 2 * 8;
  for (int j = 0; j < 2; j++) {
    for (int e = 0; e < 4; e++) {
      s[j][e] = 0;
    }
  }
  #pragma unroll
  for (int k = 0; k < K; k++) {
    u32 factor[4];
    load_matrices<false>(factor, at + 16 * k);
    multiply_add<H>(s[0], a[k], factor[0], factor[1]);
    multiply_add<H>(s[1], a[k], factor[2], factor[3]);
  }
}

// sum += p b, p [16, 16] being results of dots, and b 16 rows of the shared tile from `first`, of its columns 16 N from `start`.
template <class H, int K, int N> DEVICE void accumulate(float (&sum)[2 * N][4], const float (&p)[2][4], const u16 *b, int first, int start) {
  int lane = threadIdx.x % WARP;
  const u16 *at = b + (first + lane % 16) * Tile<K>::PITCH + start + lane / 16 * 8;
  u32 a[4] = {pack<H>(p[0][0], p[0][1]), pack<H>(p[0][2], p[0][3]), pack<H>(p[1][0], p[1][1]), pack<H>(p[1][2], p[1][3])};
  #pragma unroll
  for (int n = 0; n < N; n++) {
    u32 factor[4];
    load_matrices<true>(factor, at + 16 * n);
    multiply_add<H>(sum[2 * n], a, factor[0], factor[1]);
    multiply_add<H>(sum[2 * n + 1], a, factor[2], factor[3]);
  }
}

// The warp's part of a result [.., rows, width] at the head's start, lane's row i times scale[i].
template <int N> DEVICE void store(const float (&sum)[2 * N][4], const float (&scale)[2], float *to, int row, int rows, int start, int width) {
  for (int n = 0; n < 2 * N; n++) {
    for (int e = 0; e < 4; e++) {
      int r = row + e / 2 * 8;
      int d = start + 8 * n + threadIdx.x % 4 * 2 + e % 2;
      if (r < rows && d < width) {
        to[(i64) r * width + d] = sum[n][e] * scale[e / 2];
      }
    }
  }
}

// A tile of columns, which of its scores the lane sees (bit 8 i + 2 j + e: row i, pair of columns j), and which columns any thread sees.
struct Step {
  int first;
  u32 bits;
  u64 seen;
};

// The next tile from `first` on that anything is seen of. Rows are queries, or keys where TURNED.
template <bool TURNED> DEVICE Step next_step(const Sight<float> &look, int block_row, int row, int first, int end) {
  for (; first < end; first += STREAM) {
    bool inside = first + STREAM <= (TURNED ? look.queries : look.keys);
    bool before = !look.causal || (TURNED ? first >= block_row + TILE - 1 : first + STREAM - 1 <= block_row);
    if (look.kind != MASK_BOOL && inside && before) {
      break;
    }
    u32 bits = 0;
    u64 mine = 0;
    for (int i = 0; i < 2; i++) {
      for (int j = 0; j < 8; j++) {
        int r = row + 8 * i;
        int c = j / 2 * 8 + threadIdx.x % 4 * 2 + j % 2;
        bool sees = TURNED ? look.sees(first + c, r) : look.sees(r, first + c);
        bits |= (u32) sees << (8 * i + j);
        mine |= (u64) sees << c;
      }
    }
    u64 seen = look.kind == MASK_BOOL ? block_or(mine) : ~0ull;
    if (seen != 0) {
      return {first, bits, seen};
    }
  }
  return {first, 0xffffu, ~0ull};
}

// Streams two matrices past a block: work(step, tile of a, tile of b) for each tile that anything is seen of.
template <class H, int K, bool TURNED, class Work>
DEVICE void stream(const Sight<float> &look, const Matrix<float> &a, const Matrix<float> &b, int block_row, int row, int first, int end,
    int width, Work work) {
  const int SIZE = STREAM * Tile<K>::PITCH;
  alignas(16) __shared__ u16 shared[4 * SIZE];
  Tile<K> tile_a, tile_b;
  Step now = next_step<TURNED>(look, block_row, row, first, end);
  if (now.first < end) {
    tile_a.load(a, now.first, now.seen, width);
    tile_b.load(b, now.first, now.seen, width);
    tile_a.template store<H>(shared);
    tile_b.template store<H>(shared + SIZE);
  }
  int at = 0;
  __syncthreads();
  while (now.first < end) {
    Step next = next_step<TURNED>(look, block_row, row, now.first + STREAM, end);
    if (next.first < end) {
      tile_a.load(a, next.first, next.seen, width);
      tile_b.load(b, next.first, next.seen, width);
    }
    work(now, shared + at, shared + at + SIZE);
    at = 2 * SIZE - at;
    if (next.first < end) {
      tile_a.template store<H>(shared + at);
      tile_b.template store<H>(shared + at + SIZE);
    }
    __syncthreads();
    now = next;
  }
}

// What p and ds of 16 x 16 scores are: those at columns 16 h of the step.
struct Slopes {
  float p[2][4];
  float ds[2][4];
};

// o = softmax(scale q k^T + mask) v and lse = log sum_s e^score, with the online softmax: a maximum m and a sum l of each row so far.
template <class H, int K>
DEVICE void attention(const float *q, const float *k, const float *v, const void *mask, float *o, float *lse, const Sizes &n,
    const Steps &of_q, const Steps &of_k, const Steps &of_v, const Steps &of_mask, int kind, int causal, float scale) {
  Place at = place<TILE>(n.heads, n.queries);
  Sight<float> look = sight<float>(mask, kind, of_mask, at.batch, at.head, causal, n);
  int width = (int) n.width;
  int row = at.first + (int) threadIdx.x / WARP * 16 + (int) threadIdx.x % WARP / 4;
  u32 query[K][4];
  load_rows<H, K>(query, matrix(q, of_q, at.batch, at.head, n.queries), row, width);
  float m[2] = {minus_infinity<float>(), minus_infinity<float>()};
  float l[2] = {0, 0};
  float sum[2 * K][4] = {};
  int end = causal && at.first + TILE < n.keys ? at.first + TILE : (int) n.keys;
  stream<H, K, false>(look, matrix(k, of_k, at.batch, at.head, n.keys), matrix(v, of_v, at.batch, at.head, n.keys), at.first, row, 0, end,
      width, [&](const Step &step, const u16 *key, const u16 *value) {
    float s[2][2][4];
    float most[2] = {m[0], m[1]};
    for (int h = 0; h < 2; h++) {
      dots<H, K>(s[h], query, key, 16 * h);
      for (int j = 0; j < 2; j++) {
        for (int e = 0; e < 4; e++) {
          int i = e / 2;
          int pair = 2 * (2 * h + j) + e % 2;
          bool sees = step.bits >> (8 * i + pair) & 1;
          float score = s[h][j][e] * scale;
          if (kind == MASK_ADDED && sees) {
            score += look.added(row + 8 * i, step.first + 16 * h + 8 * j + threadIdx.x % 4 * 2 + e % 2);
          }
          s[h][j][e] = sees ? score : minus_infinity<float>();
          most[i] = most[i] < s[h][j][e] ? s[h][j][e] : most[i];
        }
      }
    }
    for (int i = 0; i < 2; i++) {
      for (int lanes = 2; lanes > 0; lanes /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, most[i], lanes);
        most[i] = most[i] < other ? other : most[i];
      }
      float correction = fast_exp(m[i], most[i]);
      m[i] = most[i];
      l[i] *= correction;
      for (int c = 0; c < 2 * K; c++) {
        sum[c][2 * i] *= correction;
        sum[c][2 * i + 1] *= correction;
      }
    }
    for (int h = 0; h < 2; h++) {
      for (int j = 0; j < 2; j++) {
        for (int e = 0; e < 4; e++) {
          s[h][j][e] = fast_exp(s[h][j][e], m[e / 2]);
          l[e / 2] += s[h][j][e];
        }
      }
      accumulate<H, K, K>(sum, s[h], value, 16 * h, 0);
    }
  });
  float inverse[2];
  for (int i = 0; i < 2; i++) {
    for (int lanes = 2; lanes > 0; lanes /= 2) {
      l[i] += __shfl_xor_sync(0xffffffffu, l[i], lanes);
    }
    inverse[i] = l[i] == 0 ? 0 : 1 / l[i];
    if (threadIdx.x % 4 == 0 && row + 8 * i < n.queries) {
      lse[at.index * n.queries + row + 8 * i] = l[i] == 0 ? minus_infinity<float>() : m[i] + log(l[i]);
    }
  }
  store<K>(sum, inverse, o + at.index * n.queries * width, row, (int) n.queries, 0, width);
}

// p = e^(score - lse) and ds = p (do v^T - delta), from p = q k^T and ds = do v^T at columns 16 h of a step; zero where nothing is seen.
template <bool TURNED> DEVICE void slopes(Slopes &s, const Given<float> &x, const Step &step, int row, int h) {
  for (int j = 0; j < 2; j++) {
    for (int e = 0; e < 4; e++) {
      int r = row + e / 2 * 8;
      int c = step.first + 16 * h + 8 * j + threadIdx.x % 4 * 2 + e % 2;
      int t = TURNED ? c : r;
      bool sees = (step.bits >> (e / 2 * 8 + 2 * (2 * h + j) + e % 2) & 1) && t < x.look.queries;
      float score = s.p[j][e] * x.scale;
      if (x.look.kind == MASK_ADDED && sees) {
        score += x.look.added(t, TURNED ? r : c);
      }
      s.p[j][e] = sees ? fast_exp(score, x.lse[t * x.lse_step]) : 0;
      s.ds[j][e] = sees ? s.p[j][e] * (s.ds[j][e] - x.delta[t]) : 0;
    }
  }
}

// dq = scale (ds k): a block for a tile of queries.
template <class H, int K> DEVICE void query_grad(const Given<float> &x, const Place &at, float *dq) {
  int row = at.first + (int) threadIdx.x / WARP * 16 + (int) threadIdx.x % WARP / 4;
  u32 query[K][4], dout[K][4];
  load_rows<H, K>(query, x.query, row, x.width);
  load_rows<H, K>(dout, x.dout, row, x.width);
  float sum[2 * K][4] = {};
  int end = x.look.causal && at.first + TILE < x.look.keys ? at.first + TILE : x.look.keys;
  stream<H, K, false>(x.look, x.key, x.value, at.first, row, 0, end, x.width, [&](const Step &step, const u16 *key, const u16 *value) {
    for (int h = 0; h < 2; h++) {
      Slopes s;
      dots<H, K>(s.p, query, key, 16 * h);
      dots<H, K>(s.ds, dout, value, 16 * h);
      slopes<false>(s, x, step, row, h);
      accumulate<H, K, K>(sum, s.ds, key, 16 * h, 0);
    }
  });
  float scale[2] = {x.scale, x.scale};
  store<K>(sum, scale, dq, row, x.look.queries, 0, x.width);
}

// dk = scale (ds^T q) and dv = p^T do: a block for a tile of keys, queries ascending, and 16 N columns of the results.
template <class H, int K, int N> DEVICE void key_grads(const Given<float> &x, const Place &at, float *dk, float *dv) {
  int row = at.first + (int) threadIdx.x / WARP * 16 + (int) threadIdx.x % WARP / 4;
  int start = blockIdx.y * 16 * N;
  u32 key[K][4], value[K][4];
  load_rows<H, K>(key, x.key, row, x.width);
  load_rows<H, K>(value, x.value, row, x.width);
  float sum_k[2 * N][4] = {};
  float sum_v[2 * N][4] = {};
  stream<H, K, true>(x.look, x.query, x.dout, at.first, row, x.look.causal ? at.first : 0, x.look.queries, x.width,
      [&](const Step &step, const u16 *query, const u16 *dout) {
    for (int h = 0; h < 2; h++) {
      Slopes s;
      dots<H, K>(s.p, key, query, 16 * h);
      dots<H, K>(s.ds, value, dout, 16 * h);
      slopes<true>(s, x, step, row, h);
      accumulate<H, K, N>(sum_v, s.p, dout, 16 * h, start);
      accumulate<H, K, N>(sum_k, s.ds, query, 16 * h, start);
    }
  });
  float scale_k[2] = {x.scale, x.scale};
  float scale_v[2] = {1, 1};
  store<N>(sum_k, scale_k, dk, row, x.look.keys, start, x.width);
  store<N>(sum_v, scale_v, dv, row, x.look.keys, start, x.width);
}

// Kernels for head dimensions up to `columns` = 16 K; blocks of dk and dv own 16 N columns.
#define ATTENTION_MMA(H, columns, K, N)                                                                                    \
  KERNEL(__launch_bounds__(THREADS) attention_##columns##_##H,                                                             \
      (const float *q, const float *k, const float *v, const void *mask, float *o, float *lse, Sizes n, Steps of_q,        \
          Steps of_k, Steps of_v, Steps of_mask, int kind, int causal, float scale)) {                                     \
    attention<H, K>(q, k, v, mask, o, lse, n, of_q, of_k, of_v, of_mask, kind, causal, scale);                             \
  }                                                                                                                       \
  EXPORT(attention_##columns##_##H)                                                                                        \
                                                                                                                          \
  KERNEL(__launch_bounds__(THREADS) attention_dq_##columns##_##H, (GRADIENT_INPUTS(float), float *dq)) {                   \
    GIVEN(float, n.queries);                                                                                               \
    query_grad<H, K>(given, at, dq + at.index * n.queries * n.width);                                                      \
  }                                                                                                                       \
  EXPORT(attention_dq_##columns##_##H)                                                                                     \
                                                                                                                          \
  KERNEL(__launch_bounds__(THREADS) attention_dk_dv_##columns##_##H, (GRADIENT_INPUTS(float), float *dk, float *dv)) {     \
    GIVEN(float, n.keys);                                                                                                  \
    i64 start = at.index * n.keys * n.width;                                                                               \
    key_grads<H, K, N>(given, at, dk + start, dv + start);                                                                 \
  }                                                                                                                       \
  EXPORT(attention_dk_dv_##columns##_##H)

#define ATTENTIONS_MMA(H)     \
  ROW_PRODUCTS(float, f32)    \
  ATTENTION_MMA(H, 48, 3, 3)  \
  ATTENTION_MMA(H, 64, 4, 4)  \
  ATTENTION_MMA(H, 80, 5, 5)  \
  ATTENTION_MMA(H, 128, 8, 4) \
  ATTENTION_MMA(H, 160, 10, 5)
