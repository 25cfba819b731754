#include "attention_sight.cuh"
#include "tensor_cores.cuh"

// Attention on tensor cores (Dao et al. 2022 and 2023): factors are of 16 bits, H being bf16 or f16; scores, softmax and sums are float32.
// Tensors are of I: H, or float32 to be rounded. What products stream over (k, v; for gradients q and do too) is read where it lies if it
// is of H and copies of 16 bytes fit its rows; else it is rounded once before them, to [B, H, rows, width], the width made up to whole
// copies with zeros.
//
// A block owns a tile of 128 rows, 16 for each of 8 warps, or 32 for each of 4 where registers hold them, which halves what is read of
// shared memory. It streams over tiles of 32 columns: rows are queries and columns keys, or for dk and dv the other way round. The rows'
// factors stay in registers, the columns' pass through shared memory in two buffers: while one is multiplied the next tile is copied into
// the other. Of 16 x 16 scores a lane has what multiply_add gives it, which is what a left factor of the next product is made of.

const float LOG2_E = 1.4426950408889634f;

// One head of factors: rows of `width` numbers side by side, that start at multiples of 16 bytes and consist of whole ones; zeros follow.
struct Factors {
  const u16 *at;
  int row;  // the step to the next
  int rows, width;

  DEVICE const u16 *from(int r, int d) const {
    return at + (i64) r * row + d;
  }
};

// Of a tensor whose rows are like that, of heads `width` wide, made up to whole 16 bytes.
template <class H> DEVICE Factors factors(const Strided<H> &all, const Place &at, i64 rows, i64 width) {
  Matrix<H> head = matrix(all, at.batch, at.head, rows);
  return {(const u16 *) head.at, (int) head.row, head.rows, (int) (width + 7) / 8 * 8};
}

// x [B, heads, rows, width] of any strides, rounded to [B heads, rows, columns]; four columns a thread.
template <class H, class I>
DEVICE void round_factors(const I *x, u16 *to, i64 count, i64 heads, int rows, int width, int columns, const Steps &steps) {
  int quads = columns / 4;
  for (i64 head = blockIdx.y; head < count; head += gridDim.y) {
    Matrix<I> m = matrix(x, steps, head / heads, head % heads, rows);
    u32 *start = (u32 *) (to + head * rows * columns);
    FOR_EACH(i, (i64) rows * quads) {
      int row = (u32) i / (u32) quads;
      int d = (int) (i - (i64) row * quads) * 4;
      const I *at = m.at + row * m.row + d * m.column;
      float four[4];
      #pragma unroll
      for (int e = 0; e < 4; e++) {
        four[e] = d + e < width ? to_float(at[e * m.column]) : 0;
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

  // Begins to copy rows from `first`; those that nobody sees, and what lies beyond the borders, as zero. COUNT threads.
  template <int COUNT> DEVICE static void load(u16 *to, const Factors &m, int first, u32 seen) {
    const u32 pieces = STREAM * 2 * K;
    #pragma unroll
    for (u32 start = 0; start < pieces; start += COUNT) {
      u32 i = start + threadIdx.x;
      int row = i / (2 * K);
      int d = i % (2 * K) * 8;
      if (start + COUNT <= pieces || i < pieces) {
        bool wanted = first + row < m.rows && d < m.width && (seen >> row & 1);
        copy_16_bytes(to + row * PITCH + d, wanted ? m.from(first + row, d) : m.at, wanted);
      }
    }
  }
};

// M times 16 rows of which a lane's first is `row`, as left factors.
template <int M, int K> DEVICE void load_rows(u32 (&to)[M][K][4], const Factors &factors, int row) {
  #pragma unroll
  for (int m = 0; m < M; m++) {
    #pragma unroll
    for (int r = 0; r < 4; r++) {
      int at = row + 16 * m + r % 2 * 8;
      int start = r / 2 * 8 + threadIdx.x % 4 * 2;
      const u16 *x = factors.from(at, start);
      #pragma unroll
      for (int k = 0; k < K; k++) {
        to[m][k][r] = at < factors.rows && start + 16 * k < factors.width ? *(const u32 *) (x + 16 * k) : 0;
      }
    }
  }
}

// The same, rounded here.
template <class H, int M, int K> DEVICE void round_rows(u32 (&to)[M][K][4], const Matrix<float> &x, int row, int width) {
  #pragma unroll
  for (int m = 0; m < M; m++) {
    #pragma unroll
    for (int r = 0; r < 4; r++) {
      int at = row + 16 * m + r % 2 * 8;
      #pragma unroll
      for (int k = 0; k < K; k++) {
        int d = 16 * k + r / 2 * 8 + threadIdx.x % 4 * 2;
        const float *two = x.at + at * x.row + d * x.column;
        to[m][k][r] = pack<H>(at < x.rows && d < width ? two[0] : 0, at < x.rows && d + 1 < width ? two[x.column] : 0);
      }
    }
  }
}

// The queries of a lane's rows, as they lie or rounded here.
template <class H, class I, int M, int K>
DEVICE void query_rows(u32 (&to)[M][K][4], const Strided<I> &q, const Place &at, const Sizes &n, int row) {
  if constexpr (sizeof(I) == sizeof(H)) {
    load_rows(to, factors(q, at, n.queries, n.width), row);
  } else {
    round_rows<H>(to, matrix(q, at.batch, at.head, n.queries), row, (int) n.width);
  }
}

// s = a b^T of 16 rows of the shared tile b from `first`.
template <class H, int M, int K> DEVICE void dots(float (&s)[M][2][4], const u32 (&a)[M][K][4], const u16 *b, int first) {
  int lane = threadIdx.x % WARP;
  const u16 *at = b + (first + lane / 16 * 8 + lane % 8) * Tile<K>::PITCH + lane / 8 % 2 * 8;
  #pragma unroll
  for (int i = 0; i < 8 * M; i++) {
    s[i / 8][i / 4 % 2][i % 4] = 0;
  }
  #pragma unroll
  for (int k = 0; k < K; k++) {
    u32 factor[4];
    load_matrices<false>(factor, at + 16 * k);
    #pragma unroll
    for (int m = 0; m < M; m++) {
      multiply_add<H>(s[m][0], a[m][k], factor[0], factor[1]);
      multiply_add<H>(s[m][1], a[m][k], factor[2], factor[3]);
    }
  }
}

// sum += p b, p [16 M, 16] being results of dots, and b 16 rows of the shared tile from `first`, of its columns 16 N from `start`.
template <class H, int K, int N, int M>
DEVICE void accumulate(float (&sum)[M][2 * N][4], const float (&p)[M][2][4], const u16 *b, int first, int start) {
  int lane = threadIdx.x % WARP;
  const u16 *at = b + (first + lane % 16) * Tile<K>::PITCH + start + lane / 16 * 8;
  u32 a[M][4];
  #pragma unroll
  for (int i = 0; i < 4 * M; i++) {
    const float (&from)[4] = p[i / 4][i / 2 % 2];
    a[i / 4][i % 4] = pack<H>(from[i % 2 * 2], from[i % 2 * 2 + 1]);
  }
  #pragma unroll
  for (int n = 0; n < N; n++) {
    u32 factor[4];
    load_matrices<true>(factor, at + 16 * n);
    #pragma unroll
    for (int m = 0; m < M; m++) {
      multiply_add<H>(sum[m][2 * n], a[m], factor[0], factor[1]);
      multiply_add<H>(sum[m][2 * n + 1], a[m], factor[2], factor[3]);
    }
  }
}

// Two numbers side by side, at a place for both.
DEVICE void put(float *to, float first, float second) {
  *(Vector<float, 2> *) to = {{first, second}};
}

template <class H> DEVICE void put(H *to, float first, float second) {
  *(u32 *) to = pack<H>(first, second);
}

// The warp's part of a result [.., rows, width] at the head's start, a lane's row i times scale[i].
template <class I, int N>
DEVICE void store(const float (&sum)[2 * N][4], const float (&scale)[2], I *to, int row, int rows, int start, int width) {
  #pragma unroll
  for (int n = 0; n < 2 * N; n++) {
    #pragma unroll
    for (int i = 0; i < 2; i++) {
      int r = row + 8 * i;
      int d = start + 8 * n + threadIdx.x % 4 * 2;
      float first = sum[n][2 * i] * scale[i];
      float second = sum[n][2 * i + 1] * scale[i];
      if (r < rows && d < width) {
        I *two = to + (i64) r * width + d;
        if (width % 2 == 0) {
          put(two, first, second);
        } else {
          two[0] = from_float<I>(first);
          if (d + 1 < width) {
            two[1] = from_float<I>(second);
          }
        }
      }
    }
  }
}

// Streams two matrices past a block: work(step, glance, tile of a, tile of b) in each warp, for each tile that it sees anything of.
template <int K, int M, bool TURNED, class Work>
DEVICE void stream(const View &look, const Factors &a, const Factors &b, int block_row, int first, int end, Work work) {
  alignas(16) __shared__ u16 shared[4 * Tile<K>::SIZE];
  Step now = next_step<TURNED>(look, block_row, first, end);
  if (now.first < end) {
    Tile<K>::template load<THREADS / M>(shared, a, now.first, now.block);
    Tile<K>::template load<THREADS / M>(shared + Tile<K>::SIZE, b, now.first, now.block);
  }
  int at = 0;
  while (now.first < end) {
    wait_for_copies();
    __syncthreads();  // the tile is there, and the one before it has been used
    int other = 2 * Tile<K>::SIZE - at;
    Step next = next_step<TURNED>(look, block_row, now.first + STREAM, end);
    if (next.first < end) {
      Tile<K>::template load<THREADS / M>(shared + other, a, next.first, next.block);
      Tile<K>::template load<THREADS / M>(shared + other + Tile<K>::SIZE, b, next.first, next.block);
    }
    Glance<M> seen = glance<M, TURNED>(look, now, block_row);
    if (seen.any) {
      work(now, seen, shared + at, shared + at + Tile<K>::SIZE);
    }
    now = next;
    at = other;
  }
}

// o = softmax(scale q k^T + mask) v and lse = log sum_s e^score, with the online softmax: a maximum m and a sum l of each row so far, m of
// q k^T where nothing is added and the scale is positive, so that each exponent is one multiply-add; else of scores.
template <class H, class I, int K, int M>
DEVICE void attention(const Strided<I> &q, const Factors &k, const Factors &v, const View &look, const Place &at, const Sizes &n, I *o,
    float *lse, float scale) {
  int row = lane_row<M>(at.first);
  u32 query[M][K][4];
  query_rows<H>(query, q, at, n, row);
  bool plain = look.kind != MASK_ADDED && scale > 0;
  float unit = plain ? scale : 1;
  float exponent = unit * LOG2_E;
  float m[2 * M];
  float l[2 * M] = {};
  #pragma unroll
  for (int i = 0; i < 2 * M; i++) {
    m[i] = minus_infinity<float>();
  }
  float sum[M][2 * K][4] = {};
  int end = look.causal && at.first + TILE < look.keys ? at.first + TILE : look.keys;
  stream<K, M, false>(look, k, v, at.first, 0, end, [&](const Step &step, const Glance<M> &seen, const u16 *key, const u16 *value) {
    float s[2][M][2][4];
    #pragma unroll
    for (int h = 0; h < 2; h++) {
      dots<H>(s[h], query, key, 16 * h);
    }
    if (!plain || !step.whole) {
      #pragma unroll
      for (int i = 0; i < 16 * M; i++) {
        int strip = i / 16, h = i / 8 % 2, j = i / 4 % 2, e = i % 4;
        int r = row + 16 * strip + e / 2 * 8;
        int c = step.first + 16 * h + 8 * j + threadIdx.x % 4 * 2 + e % 2;
        float &score = s[h][strip][j][e];
        score = plain ? score : score * scale;
        if (look.kind == MASK_ADDED && r < look.queries && c < look.keys) {
          score += look.added(r, c);
        }
        score = step.whole || seen.sees(strip, h, j, e) ? score : minus_infinity<float>();
      }
    }
    float shift[2 * M];
    float correction[2 * M];
    bool changed = false;
    #pragma unroll
    for (int i = 0; i < 2 * M; i++) {
      float most = m[i];
      #pragma unroll
      for (int c = 0; c < 8; c++) {
        most = fmaxf(most, s[c / 4][i / 2][c / 2 % 2][i % 2 * 2 + c % 2]);
      }
      for (int lanes = 2; lanes > 0; lanes /= 2) {
        most = fmaxf(most, __shfl_xor_sync(ALL, most, lanes));
      }
      shift[i] = most == minus_infinity<float>() ? 0 : most;
      correction[i] = power_of_2((m[i] - shift[i]) * exponent);
      changed = changed || correction[i] != 1;
      m[i] = most;
      l[i] *= correction[i];
    }
    if (__ballot_sync(ALL, changed) != 0) {
      #pragma unroll
      for (int i = 0; i < 8 * K * M; i++) {
        sum[i / (8 * K)][i / 4 % (2 * K)][i % 4] *= correction[i / (8 * K) * 2 + i % 4 / 2];
      }
    }
    #pragma unroll
    for (int h = 0; h < 2; h++) {
      #pragma unroll
      for (int i = 0; i < 8 * M; i++) {
        float &x = s[h][i / 8][i / 4 % 2][i % 4];
        int r = i / 8 * 2 + i % 4 / 2;
        x = power_of_2(plain ? fma(x, exponent, -shift[r] * exponent) : (x - shift[r]) * exponent);
        l[r] += x;
      }
      accumulate<H, K, K>(sum, s[h], value, 16 * h, 0);
    }
  });
  #pragma unroll
  for (int strip = 0; strip < M; strip++) {
    int first = row + 16 * strip;
    float inverse[2];
    #pragma unroll
    for (int i = 0; i < 2; i++) {
      float total = l[2 * strip + i];
      for (int lanes = 2; lanes > 0; lanes /= 2) {
        total += __shfl_xor_sync(ALL, total, lanes);
      }
      inverse[i] = total == 0 ? 0 : 1 / total;
      if (threadIdx.x % 4 == 0 && first + 8 * i < look.queries) {
        lse[at.index * look.queries + first + 8 * i] = total == 0 ? minus_infinity<float>() : m[2 * strip + i] * unit + log(total);
      }
    }
    store<I, K>(sum[strip], inverse, o + at.index * n.queries * n.width, first, look.queries, 0, (int) n.width);
  }
}
