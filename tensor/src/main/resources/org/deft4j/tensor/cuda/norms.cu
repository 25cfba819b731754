#include "norms.cuh"
// Layer and RMS norm, and their gradients.

// A tile from an element on of x, or with r of the sum x + r.
template <class S, class T>
DEVICE void read_sum(T (&kept)[HELD], const S *x, const S *r, i64 at, int inside, const Team &team, bool wide) {
  read<S>(kept, x + at, inside, team, wide);
  if (r != nullptr) {
    T added[HELD];
    read<S>(added, r + at, inside, team, wide);
#pragma unroll
    for (int j = 0; j < HELD; j++) {
      kept[j] += added[j];
    }
  }
}

// The same again, where s is that sum. What is normalised is the sum before it is rounded to what memory holds: only where that rounds
// nothing is it read from there.
template <class S, class T>
DEVICE void read_sum_again(T (&kept)[HELD], const S *x, const S *r, const S *s, i64 at, int inside, const Team &team, bool wide) {
  if constexpr (sizeof(S) == sizeof(T)) {
    read<S>(kept, (r == nullptr ? x : s) + at, inside, team, wide);
  } else {
    read_sum(kept, x, r, at, inside, team, wide);
  }
}

// y = xhat w + b, xhat = (x - mean) rstd; with r that of x + r, which is s.
template <class S, class T>
DEVICE void layer_norm(const S *x, const S *r, const T *w, const T *b, S *y, S *s, T *mean, T *rstd, i64 rows, i64 n, T eps, int lanes) {
  Team team = team_of(lanes, 0);
  bool held = n <= tile_of(team);
  bool wide = n % WIDTH<S> == 0 && is_wide(x, r, w, b, y, s);
  FOR_TEAMS(row, team, rows) {
    i64 width = row < rows ? n : 0;
    T kept[HELD];
    T sum = T(0);
    FOR_TILES(start, inside, width, team) {
      read_sum(kept, x, r, row * n + start, inside, team, wide);
      if (r != nullptr) {
        write(kept, s + (row * n + start), inside, team, wide);
      }
#pragma unroll
      for (int j = 0; j < HELD; j++) {
        sum += kept[j];
      }
    }
    T centre = team_sum(team, sum) / T(n);
    Pair<T> left = {T(0), T(0)};
    FOR_TILES(start, inside, width, team) {
      if (!held) {
        read_sum_again(kept, x, r, s, row * n + start, inside, team, wide);
      }
      FOR_HELD(S, j, inside, team) {
        T d = kept[j] - centre;
        left.a += d;
        left.b = fma(d, d, left.b);
      }
    }
    left = team_sum(team, left);
    T shift = left.a / T(n);
    Statistics<T> found = statistics(centre, shift, left.b - left.a * shift, n, eps);
    FOR_TILES(start, inside, width, team) {
      if (!held) {
        read_sum_again(kept, x, r, s, row * n + start, inside, team, wide);
      }
#pragma unroll
      for (int j = 0; j < HELD; j++) {
        kept[j] = ((kept[j] - found.mean) - found.low) * found.rstd;
      }
      if (w != nullptr) {
        T ws[HELD];
        T bs[HELD];
        read<S>(ws, w + start, inside, team, wide);
        read<S>(bs, b + start, inside, team, wide);
#pragma unroll
        for (int j = 0; j < HELD; j++) {
          kept[j] = fma(kept[j], ws[j], bs[j]);
        }
      }
      write(kept, y + (row * n + start), inside, team, wide);
    }
    if (team.lane == 0 && row < rows) {
      mean[row] = found.mean;
      rstd[row] = found.rstd;
    }
  }
}

// y = x rrms w, rrms = 1 / sqrt(mean(x^2) + eps)
template <class S, class T>
DEVICE void rms_norm(const S *x, const T *w, S *y, T *rrms, i64 rows, i64 n, T eps, int lanes) {
  Team team = team_of(lanes, 0);
  bool held = n <= tile_of(team);
  bool wide = n % WIDTH<S> == 0 && is_wide(x, w, y);
  FOR_TEAMS(row, team, rows) {
    i64 width = row < rows ? n : 0;
    T kept[HELD];
    T squares = T(0);
    FOR_TILES(start, inside, width, team) {
      read<S>(kept, x + (row * n + start), inside, team, wide);
#pragma unroll
      for (int j = 0; j < HELD; j++) {
        squares = fma(kept[j], kept[j], squares);
      }
    }
    T r = T(1) / sqrt(team_sum(team, squares) / T(n) + eps);
    FOR_TILES(start, inside, width, team) {
      if (!held) {
        read<S>(kept, x + (row * n + start), inside, team, wide);
      }
#pragma unroll
      for (int j = 0; j < HELD; j++) {
        kept[j] *= r;
      }
      if (w != nullptr) {
        T ws[HELD];
        read<S>(ws, w + start, inside, team, wide);
#pragma unroll
        for (int j = 0; j < HELD; j++) {
          kept[j] *= ws[j];
        }
      }
      write(kept, y + (row * n + start), inside, team, wide);
    }
    if (team.lane == 0 && row < rows) {
      rrms[row] = r;
    }
  }
}

// A tile of g = dy w and of d = x - mean.
template <class S, class T>
DEVICE void read_grad(T (&g)[HELD], T (&d)[HELD], const S *dy, const S *x, const T *w, T mean, int inside, const Team &team, bool wide) {
  read<S>(g, dy, inside, team, wide);
  read<S>(d, x, inside, team, wide);
  if (w != nullptr) {
    T ws[HELD];
    read<S>(ws, w, inside, team, wide);
#pragma unroll
    for (int j = 0; j < HELD; j++) {
      g[j] *= ws[j];
    }
  }
#pragma unroll
  for (int j = 0; j < HELD; j++) {
    d[j] -= mean;
  }
}

// With g = dy w: dx = rstd (g - mean(g) - xhat mean(g xhat)); of RMS norm, which takes no mean away and gives none here,
// dx = r (g - x r mean(g x r)).
template <class S, class T>
DEVICE void row_norm_grad(const S *dy, const S *x, const T *means, const T *rstds, const T *w, S *dx, i64 rows, i64 n, int lanes) {
  Team team = team_of(lanes, 0);
  bool held = n <= tile_of(team);
  bool wide = n % WIDTH<S> == 0 && is_wide(dy, x, w, dx);
  FOR_TEAMS(row, team, rows) {
    i64 width = row < rows ? n : 0;
    T mean = means == nullptr || row >= rows ? T(0) : means[row];
    T rstd = row < rows ? rstds[row] : T(0);
    T g[HELD];
    T d[HELD];
    Pair<T> sums = {T(0), T(0)};
    FOR_TILES(start, inside, width, team) {
      i64 at = row * n + start;
      read_grad(g, d, dy + at, x + at, w == nullptr ? w : w + start, mean, inside, team, wide);
      // Beyond what is inside g is 0, and so is what it adds.
#pragma unroll
      for (int j = 0; j < HELD; j++) {
        sums.a += g[j];
        sums.b = fma(g[j], d[j], sums.b);
      }
    }
    sums = team_sum(team, sums);
    T constant = means == nullptr ? T(0) : -rstd * (sums.a / T(n));
    T slope = -(rstd * rstd) * (rstd * sums.b / T(n));
    FOR_TILES(start, inside, width, team) {
      i64 at = row * n + start;
      if (!held) {
        read_grad(g, d, dy + at, x + at, w == nullptr ? w : w + start, mean, inside, team, wide);
      }
#pragma unroll
      for (int j = 0; j < HELD; j++) {
        g[j] = fma(d[j], slope, fma(g[j], rstd, constant));
      }
      write(g, dx + at, inside, team, wide);
    }
  }
}

// Of each part of the rows dw = sum dy xhat and, of layer norm, db = sum dy: [parts, n] each. A team takes N columns side by side.
template <int N, class S, class T>
DEVICE void row_norm_weights(const S *dy, const S *x, const T *means, const T *rstds, T *dw, T *db, i64 rows, i64 n, i64 part, i64 parts,
    int lanes) {
  Team team = team_of(lanes, 1);
  i64 columns = n / N;
  FOR_TEAMS(result, team, parts * columns) {
    i64 p = result / columns;
    i64 column = (result - p * columns) * N;
    i64 from = p * part;
    i64 to = p < parts ? (from + part < rows ? from + part : rows) : 0;
    Pair<T> sums[N] = {};
#pragma unroll 4
    for (i64 row = from + team.lane; row < to; row += lanes) {
      Vector<S, N> gs = *(const Vector<S, N> *) (dy + (row * n + column));
      Vector<S, N> xs = *(const Vector<S, N> *) (x + (row * n + column));
      T mean = means == nullptr ? T(0) : means[row];
      T rstd = rstds[row];
#pragma unroll
      for (int k = 0; k < N; k++) {
        T g = computed(gs.part[k]);
        T d = computed(xs.part[k]) - mean;
        sums[k].a += g;
        sums[k].b = fma(g, d * rstd, sums[k].b);
      }
    }
#pragma unroll
    for (int k = 0; k < N; k++) {
      Pair<T> sum = team_sum(team, sums[k]);
      if (team.lane == 0 && p < parts) {
        dw[p * n + column + k] = sum.b;
        if (db != nullptr) {
          db[p * n + column + k] = sum.a;
        }
      }
    }
  }
}

// With as many columns a team as 4 bytes are, where rows start at multiples of that: else a warp reads too little at once.
template <class S, class T>
DEVICE void row_norm_weights(const S *dy, const S *x, const T *means, const T *rstds, T *dw, T *db, i64 rows, i64 n, i64 part, i64 parts,
    int lanes) {
  constexpr int N = sizeof(S) < sizeof(u32) ? sizeof(u32) / sizeof(S) : 1;
  if constexpr (N > 1) {
    if (n % N != 0 || ((u64) dy | (u64) x) % sizeof(u32) != 0) {
      row_norm_weights<1>(dy, x, means, rstds, dw, db, rows, n, part, parts, lanes);
      return;
    }
  }
  row_norm_weights<N>(dy, x, means, rstds, dw, db, rows, n, part, parts, lanes);
}

#define NORMS(suffix, S, T)                                                                                               \
  KERNEL(layer_norm_##suffix, (const S *x, const S *r, const T *w, const T *b, S *y, S *s, T *mean, T *rstd, i64 rows,    \
                               i64 n, T eps, int lanes)) {                                                                \
    layer_norm(x, r, w, b, y, s, mean, rstd, rows, n, eps, lanes);                                                        \
  }                                                                                                                       \
  EXPORT(layer_norm_##suffix)                                                                                             \
                                                                                                                          \
  KERNEL(rms_norm_##suffix, (const S *x, const T *w, S *y, T *rrms, i64 rows, i64 n, T eps, int lanes)) {                 \
    rms_norm(x, w, y, rrms, rows, n, eps, lanes);                                                                         \
  }                                                                                                                       \
  EXPORT(rms_norm_##suffix)                                                                                               \
                                                                                                                          \
  KERNEL(row_norm_grad_##suffix, (const S *dy, const S *x, const T *mean, const T *rstd, const T *w, S *dx, i64 rows,     \
                                  i64 n, int lanes)) {                                                                    \
    row_norm_grad(dy, x, mean, rstd, w, dx, rows, n, lanes);                                                              \
  }                                                                                                                       \
  EXPORT(row_norm_grad_##suffix)                                                                                          \
                                                                                                                          \
  KERNEL(row_norm_weights_##suffix, (const S *dy, const S *x, const T *mean, const T *rstd, T *dw, T *db, i64 rows,       \
                                     i64 n, i64 part, i64 parts, int lanes)) {                                            \
    row_norm_weights(dy, x, mean, rstd, dw, db, rows, n, part, parts, lanes);                                             \
  }                                                                                                                       \
  EXPORT(row_norm_weights_##suffix)

NORMS(f32, float, float)
NORMS(f64, double, double)
NORMS(bf16, bf16, float)
