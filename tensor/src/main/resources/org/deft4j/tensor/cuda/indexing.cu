// Elements chosen by other tensors. A tensor is seen as [outer, size of the dimension, inner]; along the dimension lies a line.

DEVICE i64 picked(int wide, const void *index, i64 at) {
  return wide ? ((const i64 *) index)[at] : ((const int *) index)[at];
}

#define MOVES(bytes, T)                                                                                                     \
  /* y [outer, n, inner]: y[o, i, j] = x[o, index[i], j], of x [outer, size, inner] */                                      \
  KERNEL(select_##bytes, (int wide, const T *x, const void *index, T *y, i64 count, i64 n, i64 inner, i64 size,             \
      Fault *fault)) {                                                                                                      \
    FOR_EACH(at, count) {                                                                                                   \
      i64 line = quotient(at, inner);                                                                                       \
      i64 o = quotient(line, n);                                                                                            \
      i64 pick = picked(wide, index, line - o * n);                                                                         \
      y[at] = in_range(pick, size, fault) ? x[(o * size + pick) * inner + at - line * inner] : T();                         \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(select_##bytes)

#define MOVES_OF_ELEMENTS(bytes, T)                                                                                         \
  MOVES(bytes, T)                                                                                                           \
                                                                                                                            \
  /* The walk, over the index, stands still along the dimension: y[i] = x[walk + index[i] step]. */                         \
  KERNEL(gather_##bytes, (int wide, const T *x, const void *index, T *y, i64 count, i64 step, i64 size, Walk walk,          \
      Fault *fault)) {                                                                                                      \
    FOR_EACH(i, count) {                                                                                                    \
      i64 pick = picked(wide, index, i);                                                                                    \
      y[i] = in_range(pick, size, fault) ? x[offsets(walk, i).at[0] + pick * step] : T(0);                                  \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(gather_##bytes)                                                                                                    \
                                                                                                                            \
  KERNEL(where_##bytes, (const u8 *condition, const T *a, const T *b, T *y, i64 count, Walk walk)) {                        \
    FOR_EACH(i, count) {                                                                                                    \
      Offsets o = offsets(walk, i);                                                                                         \
      y[i] = condition[o.at[0]] ? a[o.at[1]] : b[o.at[2]];                                                                  \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(where_##bytes)

MOVES(16, Wide)
MOVES_OF_ELEMENTS(8, u64)
MOVES_OF_ELEMENTS(4, u32)
MOVES_OF_ELEMENTS(2, u16)
MOVES_OF_ELEMENTS(1, u8)

// ---------------------------------------------------------------------------------------------------------------- sorting
//
// Lines are sorted as keys [lines, n] that order as unsigned numbers do, each with its position in the line, by which equal keys
// are ordered: that makes the sort stable, and its result the same whatever exchanges it. The network (Batcher's bitonic one) has
// comparisons that all put the smaller first, so that a line may be of any length: it goes on with infinities that never move.

const int SORT_TILE = 1024;
const u64 TOP = 1ull << 63;

// As Double.compare orders, but for -0, which is 0; NaN is the largest.
DEVICE u64 key_of(double x) {
  if (x != x) {
    return ~0ull;
  }
  u64 bits = (u64) __double_as_longlong(x + 0.0);
  return bits & TOP ? ~bits : bits | TOP;
}

// Where the element of a row-major index is among keys.
DEVICE i64 key_position(i64 at, i64 n, i64 inner) {
  i64 row = quotient(at, inner);
  i64 outer = quotient(row, n);
  return (outer * inner + at - row * inner) * n + row - outer * n;
}

#define SORT_KEYS(suffix, T)                                                                                                \
  KERNEL(sort_keys_##suffix, (int descending, const T *x, u64 *key, u32 *position, i64 count, i64 n, i64 inner)) {          \
    FOR_EACH(at, count) {                                                                                                   \
      i64 k = key_position(at, n, inner);                                                                                   \
      u64 ascending = key_of(x[at]);                                                                                        \
      key[k] = descending ? ~ascending : ascending;                                                                         \
      position[k] = (u32) (k - quotient(k, n) * n);                                                                         \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(sort_keys_##suffix)                                                                                                \
                                                                                                                            \
  KERNEL(sort_values_##suffix, (const T *x, const u32 *position, T *values, i64 *indices, i64 count, i64 n, i64 inner)) {   \
    FOR_EACH(at, count) {                                                                                                   \
      i64 k = key_position(at, n, inner);                                                                                   \
      i64 i = k - quotient(k, n) * n;                                                                                       \
      i64 from = position[k];                                                                                               \
      values[at] = x[at + (from - i) * inner];                                                                              \
      indices[at] = from;                                                                                                   \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(sort_values_##suffix)

SORT_KEYS(f32, float)
SORT_KEYS(f64, double)

KERNEL(sort_keys_of_index, (int wide, const void *index, u64 *key, u32 *position, i64 count, i64 n, i64 inner)) {
  FOR_EACH(at, count) {
    i64 k = key_position(at, n, inner);
    key[k] = (u64) picked(wide, index, at) ^ TOP;
    position[k] = (u32) (k - quotient(k, n) * n);
  }
}
EXPORT(sort_keys_of_index)

DEVICE void compare_exchange(u64 *key, u32 *position, i64 a, i64 b) {
  u64 key_a = key[a];
  u64 key_b = key[b];
  if (key_a > key_b || (key_a == key_b && position[a] > position[b])) {
    key[a] = key_b;
    key[b] = key_a;
    u32 swapped = position[a];
    position[a] = position[b];
    position[b] = swapped;
  }
}

// Pair t of those of a step: spans are halved, and elements of the two halves compared, the second one's in turned order where both
// are sorted already.
DEVICE void compare_pair(u64 *key, u32 *position, i64 t, i64 span, bool turned, i64 length) {
  i64 half = span / 2;
  i64 which = quotient(t, half);
  i64 within = t - which * half;
  i64 a = which * span + within;
  i64 b = turned ? which * span + span - 1 - within : a + half;
  if (b < length) {
    compare_exchange(key, position, a, b);
  }
}

// All steps within tiles: from single elements to sorted tiles, or (tails) the last steps of a merge of larger spans.
KERNEL(sort_tiles, (int tails, u64 *key, u32 *position, i64 lines, i64 n)) {
  __shared__ u64 keys[SORT_TILE];
  __shared__ u32 positions[SORT_TILE];
  i64 tiles = (n + SORT_TILE - 1) / SORT_TILE;
  FOR_ROWS(block, lines * tiles) {
    i64 line = quotient(block, tiles);
    i64 first = (block - line * tiles) * SORT_TILE;
    int length = (int) (n - first < SORT_TILE ? n - first : SORT_TILE);
    i64 start = line * n + first;
    for (int i = threadIdx.x; i < length; i += blockDim.x) {
      keys[i] = key[start + i];
      positions[i] = position[start + i];
    }
    __syncthreads();
    int merged = tails ? SORT_TILE : 2;
    do {
      for (int span = merged; span >= 2; span /= 2) {
        for (int t = threadIdx.x; t < (length + span - 1) / span * (span / 2); t += blockDim.x) {
          compare_pair(keys, positions, t, span, !tails && span == merged, length);
        }
        __syncthreads();
      }
      merged *= 2;
    } while (merged / 2 < length);
    for (int i = threadIdx.x; i < length; i += blockDim.x) {
      key[start + i] = keys[i];
      position[start + i] = positions[i];
    }
    __syncthreads();
  }
}
EXPORT(sort_tiles)

// One step of spans that are larger than a tile.
KERNEL(sort_step, (int turned, u64 *key, u32 *position, i64 lines, i64 n, i64 span)) {
  i64 pairs = (n + span - 1) / span * (span / 2);
  FOR_EACH(i, lines * pairs) {
    i64 line = quotient(i, pairs);
    compare_pair(key + line * n, position + line * n, i - line * pairs, span, turned, n);
  }
}
EXPORT(sort_step)

// ------------------------------------------------------------------------------------------------------------- additions
//
// After an index was sorted, equal ones are neighbours, in the order in which they came. The thread that has the first of them
// adds what belongs to all: no two threads add to one element, and the order is the index's.

DEVICE bool is_first(const u64 *key, i64 p) {
  return p == 0 || key[p - 1] != key[p];
}

// sum + the sources of the elements from p on that have the same index.
template <class T> DEVICE T with_run(T sum, const u64 *key, const u32 *position, i64 p, i64 n, const T *source, i64 step) {
  u64 mine = key[p];
  do {
    sum += source[(i64) position[p] * step];
    p++;
  } while (p < n && key[p] == mine);
  return sum;
}

#define ADDITIONS(suffix, T)                                                                                                \
  /* y [outer, size, inner], source [outer, n, inner]: y[o, index[i], j] += source[o, i, j], i ascending */                 \
  KERNEL(index_add_##suffix, (const u64 *key, const u32 *position, const T *source, T *y, i64 outer, i64 n, i64 inner,      \
      i64 size, Fault *fault)) {                                                                                            \
    FOR_EACH(i, outer * n * inner) {                                                                                        \
      i64 row = quotient(i, inner);                                                                                         \
      i64 o = quotient(row, n);                                                                                             \
      i64 p = row - o * n;                                                                                                  \
      i64 j = i - row * inner;                                                                                              \
      i64 pick = (i64) (key[p] ^ TOP);                                                                                      \
      if (is_first(key, p) && in_range(pick, size, fault)) {                                                                \
        i64 at = (o * size + pick) * inner + j;                                                                             \
        y[at] = with_run(y[at], key, position, p, n, source + o * n * inner + j, inner);                                    \
      }                                                                                                                     \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(index_add_##suffix)                                                                                                \
                                                                                                                            \
  /* An index for each line of source [outer, n, inner]; the walk tells where lines of y start, which are stepped by step. */ \
  KERNEL(scatter_add_##suffix, (const u64 *key, const u32 *position, const T *source, T *y, i64 count, i64 n, i64 inner,    \
      i64 size, i64 step, Walk walk, Fault *fault)) {                                                                       \
    FOR_EACH(i, count) {                                                                                                    \
      i64 line = quotient(i, n);                                                                                            \
      i64 p = i - line * n;                                                                                                 \
      i64 pick = (i64) (key[i] ^ TOP);                                                                                      \
      if (is_first(key + line * n, p) && in_range(pick, size, fault)) {                                                     \
        i64 outer = quotient(line, inner);                                                                                  \
        i64 at = offsets(walk, line).at[0] + pick * step;                                                                   \
        y[at] = with_run(y[at], key + line * n, position + line * n, p, n,                                                  \
            source + outer * n * inner + line - outer * inner, inner);                                                      \
      }                                                                                                                     \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(scatter_add_##suffix)

ADDITIONS(f32, float)
ADDITIONS(f64, double)
