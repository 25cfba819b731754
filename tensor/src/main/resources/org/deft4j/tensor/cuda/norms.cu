#include "teams.cuh"
// Group, layer and RMS norm, and their gradients.
//
// Means and variances lose no digits to an offset that is large beside the deviation: of a row are found its sum, and with the centre c that
// gives, d = sum(x - c) and q = sum((x - c)^2); then mean = c + d / n, its T and what rounding took from it (low), and
// variance = (q - d^2 / n) / n. Results are computed from (x - mean) - low.

// Elements of a row that a lane of its team keeps in registers; of longer rows they are read again, from a cache near by.
const int HELD = 16;

// k of HELD counts the elements i that a lane takes from a row of n, round after round.
#define FOR_ROW(i, k, n, team)                                                         \
  for (i64 round = team.lane; round < (n); round += (i64) HELD * team.lanes)           \
    _Pragma("unroll") for (int k = 0; k < HELD; k++)                                   \
      if (i64 i = round + (i64) k * team.lanes; i < (n))

// The mean is mean + low; rstd = 1 / sqrt(variance + eps).
template <class T> struct Statistics {
  T mean;
  T low;
  T rstd;
};

// Of n elements with that mean - centre = shift and sum((x - mean)^2) = squares.
template <class T> DEVICE Statistics<T> statistics(T centre, T shift, T squares, i64 n, T eps) {
  Statistics<T> s;
  s.mean = centre + shift;
  s.low = shift - (s.mean - centre);
  s.rstd = T(1) / sqrt(nan_max(squares / T(n), T(0)) + eps);
  return s;
}

// ------------------------------------------------------------------------------------------------- layer and RMS norm

// y = xhat w + b, xhat = (x - mean) rstd; with r that of s = x + r.
template <class T>
DEVICE void layer_norm(const T *x, const T *r, const T *w, const T *b, T *y, T *s, T *mean, T *rstd, i64 rows, i64 n, T eps, int lanes) {
  Team team = team_of(lanes, 0);
  bool held = n <= (i64) HELD * lanes;
  FOR_TEAMS(row, team, rows) {
    i64 width = row < rows ? n : 0;
    i64 start = row * n;
    const T *again = r == nullptr ? x : s;
    T kept[HELD];
    T sum = T(0);
    FOR_ROW(i, k, width, team) {
      T value = x[start + i];
      if (r != nullptr) {
        value += r[start + i];
        s[start + i] = value;
      }
      kept[k] = value;
      sum += value;
    }
    T centre = team_sum(team, sum) / T(n);
    Pair<T> left = {T(0), T(0)};
    FOR_ROW(i, k, width, team) {
      T d = (held ? kept[k] : again[start + i]) - centre;
      left.a += d;
      left.b = fma(d, d, left.b);
    }
    left = team_sum(team, left);
    T shift = left.a / T(n);
    Statistics<T> found = statistics(centre, shift, left.b - left.a * shift, n, eps);
    FOR_ROW(i, k, width, team) {
      T xhat = (((held ? kept[k] : again[start + i]) - found.mean) - found.low) * found.rstd;
      y[start + i] = w == nullptr ? xhat : fma(xhat, w[i], b[i]);
    }
    if (team.lane == 0 && row < rows) {
      mean[row] = found.mean;
      rstd[row] = found.rstd;
    }
  }
}

// y = x rrms w, rrms = 1 / sqrt(mean(x^2) + eps)
template <class T> DEVICE void rms_norm(const T *x, const T *w, T *y, T *rrms, i64 rows, i64 n, T eps, int lanes) {
  Team team = team_of(lanes, 0);
  bool held = n <= (i64) HELD * lanes;
  FOR_TEAMS(row, team, rows) {
    i64 width = row < rows ? n : 0;
    i64 start = row * n;
    T kept[HELD];
    T squares = T(0);
    FOR_ROW(i, k, width, team) {
      T value = x[start + i];
      kept[k] = value;
      squares = fma(value, value, squares);
    }
    T r = T(1) / sqrt(team_sum(team, squares) / T(n) + eps);
    FOR_ROW(i, k, width, team) {
      T scaled = (held ? kept[k] : x[start + i]) * r;
      y[start + i] = w == nullptr ? scaled : scaled * w[i];
    }
    if (team.lane == 0 && row < rows) {
      rrms[row] = r;
    }
  }
}

// With g = dy w: dx = rstd (g - mean(g) - xhat mean(g xhat)); of RMS norm, which takes no mean away and gives none here,
// dx = r (g - x r mean(g x r)).
template <class T>
DEVICE void row_norm_grad(const T *dy, const T *x, const T *means, const T *rstds, const T *w, T *dx, i64 rows, i64 n, int lanes) {
  Team team = team_of(lanes, 0);
  bool held = n <= (i64) HELD * lanes;
  FOR_TEAMS(row, team, rows) {
    i64 width = row < rows ? n : 0;
    i64 start = row * n;
    T mean = means == nullptr || row >= rows ? T(0) : means[row];
    T rstd = row < rows ? rstds[row] : T(0);
    T kept_g[HELD];
    T kept_x[HELD];
    Pair<T> sums = {T(0), T(0)};
    FOR_ROW(i, k, width, team) {
      T g = w == nullptr ? dy[start + i] : dy[start + i] * w[i];
      T d = x[start + i] - mean;
      kept_g[k] = g;
      kept_x[k] = d;
      sums.a += g;
      sums.b = fma(g, d, sums.b);
    }
    sums = team_sum(team, sums);
    T constant = means == nullptr ? T(0) : -rstd * (sums.a / T(n));
    T slope = -(rstd * rstd) * (rstd * sums.b / T(n));
    FOR_ROW(i, k, width, team) {
      T g = held ? kept_g[k] : w == nullptr ? dy[start + i] : dy[start + i] * w[i];
      T d = held ? kept_x[k] : x[start + i] - mean;
      dx[start + i] = fma(d, slope, fma(g, rstd, constant));
    }
  }
}

// Of each part of the rows dw = sum dy xhat and, of layer norm, db = sum dy: [parts, n] each.
template <class T>
DEVICE void row_norm_weights(const T *dy, const T *x, const T *means, const T *rstds, T *dw, T *db, i64 rows, i64 n, i64 part, i64 parts,
    int lanes) {
  Team team = team_of(lanes, 1);
  FOR_TEAMS(result, team, parts * n) {
    i64 p = result / n;
    i64 column = result - p * n;
    i64 from = p * part;
    i64 to = p < parts ? (from + part < rows ? from + part : rows) : 0;
    Pair<T> sums = {T(0), T(0)};
#pragma unroll 4
    for (i64 row = from + team.lane; row < to; row += lanes) {
      T g = dy[row * n + column];
      T d = x[row * n + column] - (means == nullptr ? T(0) : means[row]);
      sums.a += g;
      sums.b = fma(g, d * rstds[row], sums.b);
    }
    sums = team_sum(team, sums);
    if (team.lane == 0 && p < parts) {
      dw[result] = sums.b;
      if (db != nullptr) {
        db[result] = sums.a;
      }
    }
  }
}

// ---------------------------------------------------------------------------------------------------------- group norm

// x [batch, groups, per_group, positions]: a row is the count = per_group positions elements of a group, side by side. Rows are cut into
// parts of so many elements, as many blocks' work.
struct Channels {
  i64 rows;
  i64 groups;
  i64 per_group;
  i64 positions;
};

// Which of a row's channels its element i is in, elements from and to - 1 lying in channels first and last.
DEVICE i64 channel_of(i64 i, i64 first, i64 last, i64 positions) {
  return first == last ? first : quotient(i, positions);
}

// Of each part p of each row the centre, mean - centre, and sum((x - mean)^2): moments[0 .. 2][row parts + p].
template <class T> DEVICE void group_moments(const T *x, T *moments, i64 rows, i64 count, i64 part, i64 parts, int lanes) {
  Team team = team_of(lanes, 0);
  i64 pieces = rows * parts;
  FOR_TEAMS(piece, team, pieces) {
    i64 row = piece / parts;
    i64 from = (piece - row * parts) * part;
    i64 n = piece < pieces ? (from + part < count ? part : count - from) : 0;
    const T *xs = x + (row * count + from);
    T kept[HELD];
    T sum = T(0);
    FOR_ROW(i, k, n, team) {
      kept[k] = xs[i];
      sum += kept[k];
    }
    T centre = team_sum(team, sum) / T(n);
    Pair<T> left = {T(0), T(0)};
    FOR_ROW(i, k, n, team) {
      T d = kept[k] - centre;
      left.a += d;
      left.b = fma(d, d, left.b);
    }
    left = team_sum(team, left);
    if (team.lane == 0 && piece < pieces) {
      T shift = left.a / T(n);
      moments[piece] = centre;
      moments[pieces + piece] = shift;
      moments[2 * pieces + piece] = left.b - left.a * shift;
    }
  }
}

// The statistics of a row from those of its parts (Chan, Golub and LeVeque), differences being taken from the first one's centre.
template <class T>
DEVICE Statistics<T> row_statistics(const Team &team, const T *moments, i64 row, i64 rows, i64 count, i64 part, i64 parts, T eps) {
  const T *centres = moments + row * parts;
  const T *shifts = centres + rows * parts;
  const T *squares = shifts + rows * parts;
  T reference = centres[0];
  T weighted = T(0);
  for (i64 p = team.lane; p < parts; p += team.lanes) {
    i64 n = p < parts - 1 ? part : count - p * part;
    weighted = fma(T(n), (centres[p] - reference) + shifts[p], weighted);
  }
  T shift = team_sum(team, weighted) / T(count);
  T total = T(0);
  for (i64 p = team.lane; p < parts; p += team.lanes) {
    i64 n = p < parts - 1 ? part : count - p * part;
    T d = ((centres[p] - reference) + shifts[p]) - shift;
    total += fma(T(n) * d, d, squares[p]);
  }
  return statistics(reference, shift, team_sum(team, total), count, eps);
}

// y = (x - mean) rstd w + b, and with silu h sigmoid(h) of that.
template <class T>
DEVICE void group_norm(const T *x, const T *w, const T *b, const T *moments, T *y, T *mean, T *rstd, Channels shape, i64 part, i64 parts,
    T eps, int silu, int lanes) {
  Team team = team_of(lanes, 0);
  i64 count = shape.per_group * shape.positions;
  i64 pieces = shape.rows * parts;
  FOR_TEAMS(piece, team, pieces) {
    i64 row = piece < pieces ? piece / parts : 0;
    i64 from = (piece - row * parts) * part;
    i64 to = piece < pieces ? (from + part < count ? from + part : count) : from;
    Statistics<T> s = row_statistics(team, moments, row, shape.rows, count, part, parts, eps);
    if (team.lane == 0 && piece < pieces && from == 0) {
      mean[row] = s.mean;
      rstd[row] = s.rstd;
    }
    i64 base = row % shape.groups * shape.per_group;
    i64 first = from < to ? quotient(from, shape.positions) : 0;
    i64 last = from < to ? quotient(to - 1, shape.positions) : 0;
#pragma unroll 4
    for (i64 i = from + team.lane; i < to; i += lanes) {
      i64 c = base + channel_of(i, first, last, shape.positions);
      T scale = s.rstd * w[c];
      T h = fma(x[row * count + i] - s.mean, scale, fma(-s.low, scale, b[c]));
      y[row * count + i] = silu ? h * sigmoid(h) : h;
    }
  }
}

// What reaches a norm's result h = (x - mean) scale + shift: dy, or dy silu'(h).
template <class T> DEVICE T through_silu(int silu, T dy, T d, T scale, T shift) {
  return silu ? dy * swish_slope(fma(d, scale, shift)) : dy;
}

// Of each part p of each channel k of the batch A = sum dh and B = sum dh xhat: sums[0 .. 1][k parts + p]. b is given with silu alone.
template <class T>
DEVICE void group_norm_sums(const T *dy, const T *x, const T *means, const T *rstds, const T *w, const T *b, T *sums, Channels shape, i64 part,
    i64 parts, int lanes) {
  Team team = team_of(lanes, 0);
  i64 channels = shape.groups * shape.per_group;
  i64 pieces = shape.rows * shape.per_group * parts;
  FOR_TEAMS(piece, team, pieces) {
    bool there = piece < pieces;
    i64 k = there ? piece / parts : 0;
    i64 from = (piece - k * parts) * part;
    i64 to = there ? (from + part < shape.positions ? from + part : shape.positions) : from;
    i64 c = k % channels;
    T mean = means[k / shape.per_group];
    T rstd = rstds[k / shape.per_group];
    T scale = rstd * w[c];
    T shift = b == nullptr ? T(0) : b[c];
    Pair<T> found = {T(0), T(0)};
#pragma unroll 4
    for (i64 i = from + team.lane; i < to; i += lanes) {
      i64 at = k * shape.positions + i;
      T d = x[at] - mean;
      T dh = through_silu(b != nullptr, dy[at], d, scale, shift);
      found.a += dh;
      found.b = fma(dh, d, found.b);
    }
    found = team_sum(team, found);
    if (team.lane == 0 && there) {
      sums[piece] = found.a;
      sums[pieces + piece] = rstd * found.b;
    }
  }
}

// dx = rstd (dh w - sum_c(w A) / m - xhat sum_c(w B) / m), m = count, from the sums over sum_parts parts of each channel.
template <class T>
DEVICE void group_norm_grad(const T *dy, const T *x, const T *means, const T *rstds, const T *w, const T *b, const T *sums, T *dx,
    Channels shape, i64 sum_parts, i64 part, i64 parts, int lanes) {
  Team team = team_of(lanes, 0);
  i64 count = shape.per_group * shape.positions;
  i64 pieces = shape.rows * parts;
  i64 row_sums = shape.per_group * sum_parts;
  FOR_TEAMS(piece, team, pieces) {
    i64 row = piece < pieces ? piece / parts : 0;
    i64 from = (piece - row * parts) * part;
    i64 to = piece < pieces ? (from + part < count ? from + part : count) : from;
    i64 base = row % shape.groups * shape.per_group;
    Pair<T> total = {T(0), T(0)};
    for (i64 j = team.lane; j < row_sums; j += lanes) {
      T of_channel = w[base + quotient(j, sum_parts)];
      total.a = fma(of_channel, sums[row * row_sums + j], total.a);
      total.b = fma(of_channel, sums[(shape.rows + row) * row_sums + j], total.b);
    }
    total = team_sum(team, total);
    T mean = means[row];
    T rstd = rstds[row];
    T constant = -rstd * (total.a / T(count));
    T slope = -(rstd * rstd) * (total.b / T(count));
    i64 first = from < to ? quotient(from, shape.positions) : 0;
    i64 last = from < to ? quotient(to - 1, shape.positions) : 0;
#pragma unroll 4
    for (i64 i = from + team.lane; i < to; i += lanes) {
      i64 c = base + channel_of(i, first, last, shape.positions);
      i64 at = row * count + i;
      T scale = rstd * w[c];
      T d = x[at] - mean;
      T dh = through_silu(b != nullptr, dy[at], d, scale, b == nullptr ? T(0) : b[c]);
      dx[at] = fma(d, slope, fma(dh, scale, constant));
    }
  }
}

// dw_c = sum_n B, db_c = sum_n A
template <class T> DEVICE void group_norm_weights(const T *sums, T *dw, T *db, i64 batch, i64 channels, i64 parts) {
  FOR_EACH(c, channels) {
    T a = T(0);
    T b = T(0);
    for (i64 n = 0; n < batch; n++) {
      for (i64 p = 0; p < parts; p++) {
        a += sums[(n * channels + c) * parts + p];
        b += sums[((batch + n) * channels + c) * parts + p];
      }
    }
    dw[c] = b;
    db[c] = a;
  }
}

#define NORMS(suffix, T)                                                                                                  \
  KERNEL(layer_norm_##suffix, (const T *x, const T *r, const T *w, const T *b, T *y, T *s, T *mean, T *rstd, i64 rows,    \
                               i64 n, T eps, int lanes)) {                                                                \
    layer_norm(x, r, w, b, y, s, mean, rstd, rows, n, eps, lanes);                                                        \
  }                                                                                                                       \
  EXPORT(layer_norm_##suffix)                                                                                             \
                                                                                                                          \
  KERNEL(rms_norm_##suffix, (const T *x, const T *w, T *y, T *rrms, i64 rows, i64 n, T eps, int lanes)) {                 \
    rms_norm(x, w, y, rrms, rows, n, eps, lanes);                                                                         \
  }                                                                                                                       \
  EXPORT(rms_norm_##suffix)                                                                                               \
                                                                                                                          \
  KERNEL(row_norm_grad_##suffix, (const T *dy, const T *x, const T *mean, const T *rstd, const T *w, T *dx, i64 rows,     \
                                  i64 n, int lanes)) {                                                                    \
    row_norm_grad(dy, x, mean, rstd, w, dx, rows, n, lanes);                                                              \
  }                                                                                                                       \
  EXPORT(row_norm_grad_##suffix)                                                                                          \
                                                                                                                          \
  KERNEL(row_norm_weights_##suffix, (const T *dy, const T *x, const T *mean, const T *rstd, T *dw, T *db, i64 rows,       \
                                     i64 n, i64 part, i64 parts, int lanes)) {                                            \
    row_norm_weights(dy, x, mean, rstd, dw, db, rows, n, part, parts, lanes);                                             \
  }                                                                                                                       \
  EXPORT(row_norm_weights_##suffix)                                                                                       \
                                                                                                                          \
  KERNEL(group_moments_##suffix, (const T *x, T *moments, i64 rows, i64 count, i64 part, i64 parts, int lanes)) {         \
    group_moments(x, moments, rows, count, part, parts, lanes);                                                           \
  }                                                                                                                       \
  EXPORT(group_moments_##suffix)                                                                                          \
                                                                                                                          \
  KERNEL(group_norm_##suffix, (const T *x, const T *w, const T *b, const T *moments, T *y, T *mean, T *rstd,              \
                               Channels shape, i64 part, i64 parts, T eps, int silu, int lanes)) {                        \
    group_norm(x, w, b, moments, y, mean, rstd, shape, part, parts, eps, silu, lanes);                                    \
  }                                                                                                                       \
  EXPORT(group_norm_##suffix)                                                                                             \
                                                                                                                          \
  KERNEL(group_norm_sums_##suffix, (const T *dy, const T *x, const T *mean, const T *rstd, const T *w, const T *b,        \
                                    T *sums, Channels shape, i64 part, i64 parts, int lanes)) {                           \
    group_norm_sums(dy, x, mean, rstd, w, b, sums, shape, part, parts, lanes);                                            \
  }                                                                                                                       \
  EXPORT(group_norm_sums_##suffix)                                                                                        \
                                                                                                                          \
  KERNEL(group_norm_grad_##suffix, (const T *dy, const T *x, const T *mean, const T *rstd, const T *w, const T *b,        \
                                    const T *sums, T *dx, Channels shape, i64 sum_parts, i64 part, i64 parts,             \
                                    int lanes)) {                                                                         \
    group_norm_grad(dy, x, mean, rstd, w, b, sums, dx, shape, sum_parts, part, parts, lanes);                             \
  }                                                                                                                       \
  EXPORT(group_norm_grad_##suffix)                                                                                        \
                                                                                                                          \
  KERNEL(group_norm_weights_##suffix, (const T *sums, T *dw, T *db, i64 batch, i64 channels, i64 parts)) {                \
    group_norm_weights(sums, dw, db, batch, channels, parts);                                                             \
  }                                                                                                                       \
  EXPORT(group_norm_weights_##suffix)

NORMS(f32, float)
NORMS(f64, double)
