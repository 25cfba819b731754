// What teams keep of rows in registers.

// Elements that a lane of a team keeps of a row; what a longer row has is read again, from a cache near by.
const int HELD = 16;

// A team takes a row in tiles of so many elements, 16 bytes side by side to each lane in its turn. Which lane has which, and so the order
// of sums, is the same whether they are moved at once or one by one.
DEVICE i64 tile_of(const Team &team) {
  return (i64) HELD * team.lanes;
}

// Tiles start at elements 0 <= start < n of a row; inside is how many are in it.
#define FOR_TILES(start, inside, n, team)                                                                              \
  for (i64 start = 0; start < (n); start += tile_of(team))                                                             \
    if (int inside = (int) ((n) - start < tile_of(team) ? (n) - start : tile_of(team)); true)

// Where in a tile element j of what a lane keeps is.
template <class T> DEVICE int place(const Team &team, int j) {
  return (j / WIDTH<T> * team.lanes + team.lane) * WIDTH<T> + j % WIDTH<T>;
}

// The j of HELD that are inside.
#define FOR_HELD(T, j, inside, team)                                                                                   \
  _Pragma("unroll") for (int j = 0; j < HELD; j++)                                                                     \
    if (place<T>(team, j) < (inside))

// Reads a tile that starts at row; beyond what is inside are zeros. All is read before anything is used, so that no read waits for another.
template <class T> DEVICE void read(T (&kept)[HELD], const T *row, int inside, const Team &team, bool wide) {
  if (wide) {
#pragma unroll
    for (int v = 0; v < HELD; v += WIDTH<T>) {
      Vector<T, WIDTH<T>> some = {};
      int at = place<T>(team, v);
      if (at < inside) {
        some = *(const Vector<T, WIDTH<T>> *) (row + at);
      }
#pragma unroll
      for (int k = 0; k < WIDTH<T>; k++) {
        kept[v + k] = some.part[k];
      }
    }
  } else {
#pragma unroll
    for (int j = 0; j < HELD; j++) {
      int at = place<T>(team, j);
      kept[j] = at < inside ? row[at] : T(0);
    }
  }
}

template <class T> DEVICE void write(const T (&kept)[HELD], T *row, int inside, const Team &team, bool wide) {
  if (wide) {
#pragma unroll
    for (int v = 0; v < HELD; v += WIDTH<T>) {
      Vector<T, WIDTH<T>> some;
#pragma unroll
      for (int k = 0; k < WIDTH<T>; k++) {
        some.part[k] = kept[v + k];
      }
      int at = place<T>(team, v);
      if (at < inside) {
        *(Vector<T, WIDTH<T>> *) (row + at) = some;
      }
    }
  } else {
    FOR_HELD(T, j, inside, team) {
      row[place<T>(team, j)] = kept[j];
    }
  }
}
