// What teams keep of rows in registers.

// Elements that a lane of a team keeps of a row; what a longer row has is read again, from a cache near by.
const int HELD = 16;

// A team takes a row in tiles of so many elements, 16 bytes of its type S side by side to each lane in its turn. Which lane has which, and
// so the order of sums, is the same whether they are moved at once or one by one.
DEVICE i64 tile_of(const Team &team) {
  return (i64) HELD * team.lanes;
}

// Tiles start at elements 0 <= start < n of a row; inside is how many are in it.
#define FOR_TILES(start, inside, n, team)                                                                              \
  for (i64 start = 0; start < (n); start += tile_of(team))                                                             \
    if (int inside = (int) ((n) - start < tile_of(team) ? (n) - start : tile_of(team)); true)

// Where in a tile of S element j of what a lane keeps is.
template <class S> DEVICE int place(const Team &team, int j) {
  return (j / WIDTH<S> * team.lanes + team.lane) * WIDTH<S> + j % WIDTH<S>;
}

// The j of HELD that are inside.
#define FOR_HELD(S, j, inside, team)                                                                                   \
  _Pragma("unroll") for (int j = 0; j < HELD; j++)                                                                     \
    if (place<S>(team, j) < (inside))

// Reads a tile that starts at row, of S itself or of what lies beside it in a type E that is wider (a weight of each column); beyond what
// is inside are zeros. All is read before anything is used, so that no read waits for another.
template <class S, class E, class T> DEVICE void read(T (&kept)[HELD], const E *row, int inside, const Team &team, bool wide) {
  if (wide) {
#pragma unroll
    for (int v = 0; v < HELD; v += WIDTH<E>) {
      Vector<E, WIDTH<E>> some = {};
      int at = place<S>(team, v);
      if (at < inside) {
        some = *(const Vector<E, WIDTH<E>> *) (row + at);
      }
#pragma unroll
      for (int k = 0; k < WIDTH<E>; k++) {
        kept[v + k] = computed(some.part[k]);
      }
    }
  } else {
#pragma unroll
    for (int j = 0; j < HELD; j++) {
      int at = place<S>(team, j);
      kept[j] = at < inside ? computed(row[at]) : T(0);
    }
  }
}

template <class S, class T> DEVICE void write(const T (&kept)[HELD], S *row, int inside, const Team &team, bool wide) {
  if (wide) {
#pragma unroll
    for (int v = 0; v < HELD; v += WIDTH<S>) {
      Vector<S, WIDTH<S>> some;
#pragma unroll
      for (int k = 0; k < WIDTH<S>; k++) {
        some.part[k] = stored<S>(kept[v + k]);
      }
      int at = place<S>(team, v);
      if (at < inside) {
        *(Vector<S, WIDTH<S>> *) (row + at) = some;
      }
    }
  } else {
    FOR_HELD(S, j, inside, team) {
      row[place<S>(team, j)] = stored<S>(kept[j]);
    }
  }
}
