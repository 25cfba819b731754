// Reductions by teams, for the sources whose results are of rows or columns.

// Threads of a block.
const int TEAM_THREADS = 256;

// Threads of a block that find one result together (Teams.java), each taking every lanes-th of its elements. Where the elements of a
// result lie side by side, so do the lanes of its team; where the results do (across), neighbouring threads are the same lane of teams for
// neighbouring results. Either way neighbouring threads read neighbouring elements.
struct Team {
  int lanes;
  int lane;
  int count;  // teams of a block
  int index;  // which of them
  int across;
};

DEVICE Team team_of(int lanes, int across) {
  Team team = {lanes, 0, (int) blockDim.x / lanes, 0, across};
  team.lane = across ? threadIdx.x / team.count : threadIdx.x % lanes;
  team.index = across ? threadIdx.x % team.count : threadIdx.x / lanes;
  return team;
}

// Every thread of a block comes to each of these as often, as barriers need; result may be beyond the last.
#define FOR_TEAMS(result, team, results)                                                                            \
  for (i64 result = (i64) blockIdx.x * team.count + team.index; result - team.index < (results);                    \
       result += (i64) gridDim.x * team.count)

template <class T> DEVICE T shuffled(T x, int step) {
  return __shfl_xor_sync(0xffffffffu, x, step);
}

// What the lanes of each team have, joined by F::join, for all of them, in an order that depends on the number of lanes alone.
template <class F, class T> DEVICE T team_join(const Team &team, T x) {
  if (team.across) {
    __shared__ T columns[TEAM_THREADS];
    __syncthreads();  // what was read of an earlier result has been
    columns[threadIdx.x] = x;
    for (int half = team.lanes / 2; half > 0; half /= 2) {
      __syncthreads();
      if (team.lane < half) {
        columns[threadIdx.x] = F::join(columns[threadIdx.x], columns[threadIdx.x + half * team.count]);
      }
    }
    __syncthreads();
    return columns[team.index];
  }
  for (int step = (team.lanes < WARP ? team.lanes : WARP) / 2; step > 0; step /= 2) {
    x = F::join(x, shuffled(x, step));
  }
  if (team.lanes > WARP) {
    __shared__ T parts[TEAM_THREADS / WARP];
    __syncthreads();
    if (threadIdx.x % WARP == 0) {
      parts[threadIdx.x / WARP] = x;
    }
    __syncthreads();
    int first = team.index * (team.lanes / WARP);
    x = parts[first];
    for (int warp = 1; warp < team.lanes / WARP; warp++) {
      x = F::join(x, parts[first + warp]);
    }
  }
  return x;
}

struct Added {
  template <class T> static DEVICE T join(T a, T b) {
    return a + b;
  }
};

template <class T> DEVICE T team_sum(const Team &team, T x) {
  return team_join<Added>(team, x);
}

// Two sums found at once.
template <class T> struct Pair {
  T a;
  T b;
};

template <class T> DEVICE Pair<T> operator+(Pair<T> x, Pair<T> y) {
  Pair<T> sum = {x.a + y.a, x.b + y.b};
  return sum;
}

template <class T> DEVICE Pair<T> shuffled(Pair<T> x, int step) {
  Pair<T> other = {shuffled(x.a, step), shuffled(x.b, step)};
  return other;
}

template <class T> DEVICE T infinity() {
  return T(bits_to_float(0x7f800000u));
}
