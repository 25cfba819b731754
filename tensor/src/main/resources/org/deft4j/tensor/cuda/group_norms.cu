#include "norms.cuh"
// Group norm, also with SiLU, and their gradients.

// x [batch, groups, per_group, positions]: a row is the count = per_group positions elements of a group, side by side. Rows are cut into
// parts of so many elements, as many blocks' work.
struct Channels {
  i64 rows;
  i64 groups;
  i64 per_group;
  i64 positions;
};

// The numbers of a row's channels that its elements from .. to - 1 need, as elements are taken in turn.
template <class T> struct ChannelNumbers {
  const T *w;  // from the row's first channel on
  const T *b;  // may be null
  T rstd;
  i64 positions;
  i64 from;
  bool same;  // one channel for all of them
  T scale;
  T shift;

  DEVICE void read(i64 channel) {
    scale = rstd * w[channel];
    shift = b == nullptr ? T(0) : b[channel];
  }

  DEVICE ChannelNumbers(const T *w, const T *b, T rstd, i64 positions, i64 from, i64 to)
      : w(w), b(b), rstd(rstd), positions(positions), from(from), same(true), scale(T(0)), shift(T(0)) {
    if (from < to) {
      i64 first = quotient(from, positions);
      same = to <= (first + 1) * positions;
      read(first);
    }
  }

  // For the element that is i further on; next says whether it may be in another channel than the one before.
  DEVICE void turn_to(i64 i, bool next) {
    if (!same && next) {
      read(quotient(from + i, positions));
    }
  }
};

// Of each part p of each row, a tile or less, the centre, mean - centre, and sum((x - mean)^2): moments[0 .. 2][row parts + p].
template <class S, class T>
DEVICE void group_moments(const S *x, T *moments, i64 rows, i64 count, i64 part, i64 parts, int lanes) {
  Team team = team_of(lanes, 0);
  i64 pieces = rows * parts;
  bool wide = count % WIDTH<S> == 0 && part % WIDTH<S> == 0 && is_wide(x);
  FOR_TEAMS(piece, team, pieces) {
    i64 row = piece / parts;
    i64 from = (piece - row * parts) * part;
    i64 n = piece < pieces ? (from + part < count ? part : count - from) : 0;
    T kept[HELD];
    T sum = T(0);
    read<S>(kept, x + (row * count + from), (int) n, team, wide);
#pragma unroll
    for (int j = 0; j < HELD; j++) {
      sum += kept[j];
    }
    T centre = team_sum(team, sum) / T(n);
    Pair<T> left = {T(0), T(0)};
    FOR_HELD(S, j, (int) n, team) {
      T d = kept[j] - centre;
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
template <class S, class T>
DEVICE void group_norm(const S *x, const T *w, const T *b, const T *moments, S *y, T *mean, T *rstd, Channels shape, i64 part, i64 parts,
    i64 piece, i64 pieces, T eps, int silu, int lanes) {
  Team team = team_of(lanes, 0);
  i64 count = shape.per_group * shape.positions;
  i64 all = shape.rows * pieces;
  bool wide = shape.positions % WIDTH<S> == 0 && piece % WIDTH<S> == 0 && is_wide(x, y);
  // From the last: what the moments were found of last is the likeliest to be in the cache still.
  FOR_TEAMS(later, team, all) {
    bool there = later < all;
    i64 index = there ? all - 1 - later : 0;
    i64 row = index / pieces;
    i64 from = (index - row * pieces) * piece;
    i64 to = there ? (from + piece < count ? from + piece : count) : from;
    // The first tile is read while the statistics are found.
    T kept[HELD];
    read<S>(kept, x + (row * count + from), (int) (to - from < tile_of(team) ? to - from : tile_of(team)), team, wide);
    Statistics<T> s = row_statistics(team, moments, row, shape.rows, count, part, parts, eps);
    if (team.lane == 0 && there && from == 0) {
      mean[row] = s.mean;
      rstd[row] = s.rstd;
    }
    i64 base = row % shape.groups * shape.per_group;
    ChannelNumbers<T> channel(w + base, b + base, s.rstd, shape.positions, from, to);
    FOR_TILES(start, inside, to - from, team) {
      if (start > 0) {
        read<S>(kept, x + (row * count + from + start), inside, team, wide);
      }
      FOR_HELD(S, j, inside, team) {
        channel.turn_to(start + place<S>(team, j), !wide || j % WIDTH<S> == 0);
        T h = fma(kept[j] - s.mean, channel.scale, fma(-s.low, channel.scale, channel.shift));
        kept[j] = silu ? h * sigmoid(h) : h;
      }
      write(kept, y + (row * count + from + start), inside, team, wide);
    }
  }
}

// What reaches a norm's result h = (x - mean) scale + shift: dy, or dy silu'(h).
template <class T> DEVICE T through_silu(int silu, T dy, T d, T scale, T shift) {
  return silu ? dy * swish_slope(fma(d, scale, shift)) : dy;
}

// Of each part p, a tile or less, of each channel k of the batch A = sum dh and B = sum dh xhat: sums[0 .. 1][k parts + p]. b is given with
// silu alone.
template <class S, class T>
DEVICE void group_norm_sums(const S *dy, const S *x, const T *means, const T *rstds, const T *w, const T *b, T *sums, Channels shape,
    i64 part, i64 parts, int lanes) {
  Team team = team_of(lanes, 0);
  i64 channels = shape.groups * shape.per_group;
  i64 pieces = shape.rows * shape.per_group * parts;
  bool wide = shape.positions % WIDTH<S> == 0 && part % WIDTH<S> == 0 && is_wide(dy, x);
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
    i64 at = k * shape.positions + from;
    T dys[HELD];
    T xs[HELD];
    read<S>(dys, dy + at, (int) (to - from), team, wide);
    read<S>(xs, x + at, (int) (to - from), team, wide);
    Pair<T> found = {T(0), T(0)};
    FOR_HELD(S, j, (int) (to - from), team) {
      T d = xs[j] - mean;
      T dh = through_silu(b != nullptr, dys[j], d, scale, shift);
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
template <class S, class T>
DEVICE void group_norm_grad(const S *dy, const S *x, const T *means, const T *rstds, const T *w, const T *b, const T *sums, S *dx,
    Channels shape, i64 sum_parts, i64 piece, i64 pieces, int lanes) {
  Team team = team_of(lanes, 0);
  i64 count = shape.per_group * shape.positions;
  i64 all = shape.rows * pieces;
  i64 row_sums = shape.per_group * sum_parts;
  bool wide = shape.positions % WIDTH<S> == 0 && piece % WIDTH<S> == 0 && is_wide(dy, x, dx);
  FOR_TEAMS(index, team, all) {
    i64 row = index < all ? index / pieces : 0;
    i64 from = (index - row * pieces) * piece;
    i64 to = index < all ? (from + piece < count ? from + piece : count) : from;
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
    ChannelNumbers<T> channel(w + base, b == nullptr ? b : b + base, rstd, shape.positions, from, to);
    FOR_TILES(start, inside, to - from, team) {
      i64 at = row * count + from + start;
      T dys[HELD];
      T xs[HELD];
      read<S>(dys, dy + at, inside, team, wide);
      read<S>(xs, x + at, inside, team, wide);
      FOR_HELD(S, j, inside, team) {
        channel.turn_to(start + place<S>(team, j), !wide || j % WIDTH<S> == 0);
        T d = xs[j] - mean;
        T dh = through_silu(b != nullptr, dys[j], d, channel.scale, channel.shift);
        xs[j] = fma(d, slope, fma(dh, channel.scale, constant));
      }
      write(xs, dx + at, inside, team, wide);
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

#define GROUP_NORMS(suffix, S, T)                                                                                         \
  KERNEL(group_moments_##suffix, (const S *x, T *moments, i64 rows, i64 count, i64 part, i64 parts, int lanes)) {         \
    group_moments(x, moments, rows, count, part, parts, lanes);                                                           \
  }                                                                                                                       \
  EXPORT(group_moments_##suffix)                                                                                          \
                                                                                                                          \
  KERNEL(__launch_bounds__(TEAM_THREADS, 12 / sizeof(T)) group_norm_##suffix,                                             \
      (const S *x, const T *w, const T *b, const T *moments, S *y, T *mean, T *rstd, Channels shape, i64 part,            \
      i64 parts, i64 piece, i64 pieces, T eps, int silu, int lanes)) {                                                    \
    group_norm(x, w, b, moments, y, mean, rstd, shape, part, parts, piece, pieces, eps, silu, lanes);                     \
  }                                                                                                                       \
  EXPORT(group_norm_##suffix)                                                                                             \
                                                                                                                          \
  KERNEL(group_norm_sums_##suffix, (const S *dy, const S *x, const T *mean, const T *rstd, const T *w, const T *b,        \
                                    T *sums, Channels shape, i64 part, i64 parts, int lanes)) {                           \
    group_norm_sums(dy, x, mean, rstd, w, b, sums, shape, part, parts, lanes);                                            \
  }                                                                                                                       \
  EXPORT(group_norm_sums_##suffix)                                                                                        \
                                                                                                                          \
  KERNEL(group_norm_grad_##suffix, (const S *dy, const S *x, const T *mean, const T *rstd, const T *w, const T *b,        \
                                    const T *sums, S *dx, Channels shape, i64 sum_parts, i64 piece, i64 pieces,           \
                                    int lanes)) {                                                                         \
    group_norm_grad(dy, x, mean, rstd, w, b, sums, dx, shape, sum_parts, piece, pieces, lanes);                           \
  }                                                                                                                       \
  EXPORT(group_norm_grad_##suffix)

GROUP_NORMS(f32, float, float)
GROUP_NORMS(f64, double, double)
GROUP_NORMS(bf16, bf16, float)

// From sums alone, which are of the type of the arithmetic.
#define GROUP_NORM_WEIGHTS(suffix, T)                                                                                     \
  KERNEL(group_norm_weights_##suffix, (const T *sums, T *dw, T *db, i64 batch, i64 channels, i64 parts)) {                \
    group_norm_weights(sums, dw, db, batch, channels, parts);                                                             \
  }                                                                                                                       \
  EXPORT(group_norm_weights_##suffix)

GROUP_NORM_WEIGHTS(f32, float)
GROUP_NORM_WEIGHTS(f64, double)
