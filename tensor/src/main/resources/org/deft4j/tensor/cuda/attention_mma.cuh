#include "attention_sight.cuh"
#include "tensor_cores.cuh"

// Attention on tensor cores (Dao et al. 2022 and 2023): factors are rounded to 16 bits, H being bf16 or f16; scores, softmax and sums are
// float32. Each of q, k, v and do is rounded once, to [B H, rows, 16 K] with zeros beyond its width, before the products stream over it.
//
// A block of 8 warps owns a tile of 128 rows, 16 a warp, and streams over tiles of 32 columns: rows are queries and columns keys, or for dk
// and dv the other way round. The rows' factors stay in registers, the columns' pass through shared memory in two buffers: while one is
// multiplied the next tile is copied into the other. Of 16 x 16 scores a lane has what multiply_add gives it, which is what a left factor
// of the next product is made of.

const float LOG2_E = 1.4426950408889634f;

// One head of rounded factors.
struct Factors {
  const u16 *at;
  int rows;
};

// x [B, heads, rows, width] of any strides, rounded to [B heads, rows, columns]; four columns a thread.
template <class H>
DEVICE void round_factors(const float *x, u16 *to, i64 count, i64 heads, int rows, int width, int columns, const Steps &steps) {
  int quads = columns / 4;
  for (i64 head = blockIdx.y; head < count; head += gridDim.y) {
    Matrix<float> m = matrix(x, steps, head / heads, head % heads, rows);
    u32 *start = (u32 *) (to + head * rows * columns);
    FOR_EACH(i, (i64) rows * quads) {
      int row = (u32) i / (u32) quads;
      int d = (int) (i - (i64) row * quads) * 4;
      const float *at = m.at + row * m.row + d * m.column;
      float four[4];
      #pragma unroll
      for (int e = 0; e < 4; e++) {
        four[e] = d + e < width ? at[e * m.column] : 0;
      }
      start[2 * i] = pack<H>(four[0], four[1]);
      start[2 * i + 1] = pack<H>(four[2], four[3]);
    }
  }
}

// A tile in shared memory: 32 rows of 16 K columns; 8 rows of 16 bytes one below the other meet different banks.
template <int K> struct Tile {
  static const int PITCH = 16 * K + 8;
  static const int SIZE = STREAM * PITCH;

  // Begins to copy rows from `first`; those that nobody sees, and what lies beyond the borders, as zero.
  DEVICE static void load(u16 *to, const Factors &m, int first, u32 seen) {
    #pragma unroll
    for (int i = threadIdx.x; i < STREAM * 2 * K; i += THREADS) {
      int row = i / (2 * K);
      int d = i % (2 * K) * 8;
      bool wanted = first + row < m.rows && (seen >> row & 1);
      copy_16_bytes(to + row * PITCH + d, wanted ? m.at + (i64) (first + row) * (16 * K) + d : m.at, wanted);
    }
  }
};

// 16 rows of which a lane's first is `row`, as left factors.
template <int K> DEVICE void load_rows(u32 (&to)[K][4], const Factors &m, int row) {
  #pragma unroll
  for (int r = 0; r < 4; r++) {
    int at = row + r % 2 * 8;
    const u16 *x = m.at + (i64) at * (16 * K) + r / 2 * 8 + threadIdx.x % 4 * 2;
    #pragma unroll
    for (int k = 0; k < K; k++) {
      to[k][r] = at < m.rows ? *(const u32 *) (x + 16 * k) : 0;
    }
  }
}

// s = a b^T of 16 rows of the shared tile b from `first`.
template <class H, int K> DEVICE void dots(float (&s)[2][4], const u32 (&a)[K][4], const u16 *b, int first) {
  int lane = threadIdx.x % WARP;
  const u16 *at = b + (first + lane / 16 * 8 + lane % 8) * Tile<K>::PITCH + lane / 8 % 2 * 8;
  #pragma unroll
  for (int j = 0; j < 2; j++) {
    #pragma unroll
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
template <class H, int K, int N>
DEVICE void accumulate(float (&sum)[2 * N][4], const float (&p)[2][4], const u16 *b, int first, int start) {
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

// The warp's part of a result [.., rows, width] at the head's start, a lane's row i times scale[i].
template <int N>
DEVICE void store(const float (&sum)[2 * N][4], const float (&scale)[2], float *to, int row, int rows, int start, int width) {
  #pragma unroll
  for (int n = 0; n < 2 * N; n++) {
    #pragma unroll
    for (int e = 0; e < 4; e++) {
      int r = row + e / 2 * 8;
      int d = start + 8 * n + threadIdx.x % 4 * 2 + e % 2;
      if (r < rows && d < width) {
        to[(i64) r * width + d] = sum[n][e] * scale[e / 2];
      }
    }
  }
}

// A lane's first row of the block's tile.
DEVICE int lane_row(int block_row) {
  return block_row + (int) threadIdx.x / WARP * 16 + (int) threadIdx.x % WARP / 4;
}

// Streams two matrices past a block: work(step, tile of a, tile of b) in each warp, for each tile that it sees anything of.
template <int K, bool TURNED, class Work>
DEVICE void stream(const View &look, const Factors &a, const Factors &b, int block_row, int first, int end, Work work) {
  alignas(16) __shared__ u16 shared[4 * Tile<K>::SIZE];
  int row = lane_row(block_row);
  Step now = next_step<TURNED>(look, block_row, row, first, end);
  if (now.first < end) {
    Tile<K>::load(shared, a, now.first, now.block);
    Tile<K>::load(shared + Tile<K>::SIZE, b, now.first, now.block);
  }
  int at = 0;
  while (now.first < end) {
    wait_for_copies();
    __syncthreads();  // the tile is there, and the one before it has been used
    int other = 2 * Tile<K>::SIZE - at;
    Step next = next_step<TURNED>(look, block_row, row, now.first + STREAM, end);
    if (next.first < end) {
      Tile<K>::load(shared + other, a, next.first, next.block);
      Tile<K>::load(shared + other + Tile<K>::SIZE, b, next.first, next.block);
    }
    if (now.any) {
      work(now, shared + at, shared + at + Tile<K>::SIZE);
    }
    now = next;
    at = other;
  }
}

// o = softmax(scale q k^T + mask) v and lse = log sum_s e^score, with the online softmax: a maximum m and a sum l of each row so far, m of
// q k^T where nothing is added and the scale is positive, so that each exponent is one multiply-add; else of scores.
template <class H, int K>
DEVICE void attention(const Factors &q, const Factors &k, const Factors &v, const View &look, const Place &at, float *o, float *lse,
    float scale, int width) {
  int row = lane_row(at.first);
  u32 query[K][4];
  load_rows<K>(query, q, row);
  bool plain = look.kind != MASK_ADDED && scale > 0;
  float unit = plain ? scale : 1;
  float exponent = unit * LOG2_E;
  float m[2] = {minus_infinity<float>(), minus_infinity<float>()};
  float l[2] = {0, 0};
  float sum[2 * K][4] = {};
  int end = look.causal && at.first + TILE < look.keys ? at.first + TILE : look.keys;
  stream<K, false>(look, k, v, at.first, 0, end, [&](const Step &step, const u16 *key, const u16 *value) {
    float s[2][2][4];
    #pragma unroll
    for (int h = 0; h < 2; h++) {
      dots<H, K>(s[h], query, key, 16 * h);
    }
    if (!plain || !step.whole) {
      #pragma unroll
      for (int h = 0; h < 2; h++) {
        #pragma unroll
        for (int j = 0; j < 2; j++) {
          #pragma unroll
          for (int e = 0; e < 4; e++) {
            int r = row + e / 2 * 8;
            int c = step.first + 16 * h + 8 * j + threadIdx.x % 4 * 2 + e % 2;
            float score = plain ? s[h][j][e] : s[h][j][e] * scale;
            if (look.kind == MASK_ADDED && r < look.queries && c < look.keys) {
              score += look.added(r, c);
            }
            s[h][j][e] = step.sees(h, j, e) ? score : minus_infinity<float>();
          }
        }
      }
    }
    float shift[2];
    float correction[2];
    #pragma unroll
    for (int i = 0; i < 2; i++) {
      float most = m[i];
      #pragma unroll
      for (int c = 0; c < 8; c++) {
        float score = s[c / 4][c / 2 % 2][2 * i + c % 2];
        most = most < score ? score : most;
      }
      for (int lanes = 2; lanes > 0; lanes /= 2) {
        float other = __shfl_xor_sync(ALL, most, lanes);
        most = most < other ? other : most;
      }
      shift[i] = most == minus_infinity<float>() ? 0 : most;
      correction[i] = power_of_2((m[i] - shift[i]) * exponent);
      m[i] = most;
      l[i] *= correction[i];
    }
    if (__ballot_sync(ALL, correction[0] != 1 || correction[1] != 1) != 0) {
      #pragma unroll
      for (int c = 0; c < 2 * K; c++) {
        #pragma unroll
        for (int e = 0; e < 4; e++) {
          sum[c][e] *= correction[e / 2];
        }
      }
    }
    float offset[2] = {shift[0] * exponent, shift[1] * exponent};
    #pragma unroll
    for (int h = 0; h < 2; h++) {
      #pragma unroll
      for (int j = 0; j < 2; j++) {
        #pragma unroll
        for (int e = 0; e < 4; e++) {
          float x = s[h][j][e];
          x = power_of_2(plain ? fma(x, exponent, -offset[e / 2]) : (x - shift[e / 2]) * exponent);
          s[h][j][e] = x;
          l[e / 2] += x;
        }
      }
      accumulate<H, K, K>(sum, s[h], value, 16 * h, 0);
    }
  });
  float inverse[2];
  #pragma unroll
  for (int i = 0; i < 2; i++) {
    for (int lanes = 2; lanes > 0; lanes /= 2) {
      l[i] += __shfl_xor_sync(ALL, l[i], lanes);
    }
    inverse[i] = l[i] == 0 ? 0 : 1 / l[i];
    if (threadIdx.x % 4 == 0 && row + 8 * i < look.queries) {
      lse[at.index * look.queries + row + 8 * i] = l[i] == 0 ? minus_infinity<float>() : m[i] * unit + log(l[i]);
    }
  }
  store<K>(sum, inverse, o + at.index * look.queries * width, row, look.queries, 0, width);
}
