#include "attention.cuh"

// What blocks of attention on tensor cores see. A mask is drawn once, for all heads that share it: a picture has a word of 32 bits for each
// row and tile of columns, [tiles, rows], a bit for each column; and of each tile of rows by columns what it needs to be skipped, or not to
// be asked about. Rows are queries and columns keys, or where TURNED the other way round. Borders and causality are in the picture.

const int THREADS = 256;  // of a block with 16 rows a warp; half of them with 32
const int TILE = 128;     // rows of a block
const int STREAM = 32;    // columns of a tile
const u32 ALL = 0xffffffffu;

// Columns of a tile that any of its rows sees, and that each does.
struct alignas(8) Seen {
  u32 any, all;
};

// The pictures of a mask: which of them a head looks at is batch times one step plus head times the other.
struct Pictures {
  u32 *words;
  Seen *tiles;
  i64 batch, head;
};

// Draws a picture for each of the mask's own heads: a block of 256 threads for a tile.
DEVICE void draw(const void *mask, const Pictures &to, i64 heads, const Sizes &n, const Steps &of_mask, int causal, int turned) {
  __shared__ u8 sees[TILE][STREAM + 4];  // neighbouring rows in different banks
  int rows = (int) (turned ? n.keys : n.queries);
  int columns = (int) (turned ? n.queries : n.keys);
  int across = (columns + STREAM - 1) / STREAM;
  int down = (rows + TILE - 1) / TILE;
  int at = (int) (blockIdx.x % ((i64) across * down));
  i64 picture = blockIdx.x / ((i64) across * down);
  int first = at % across * STREAM;
  int row = at / across * TILE;
  Sight<float> look = sight<float>(mask, MASK_BOOL, of_mask, picture / heads, picture % heads, causal, n);
  // Neighbouring threads ask for neighbours in memory.
  bool by_rows = (turned ? look.query : look.key) <= (turned ? look.key : look.query);
  for (int i = threadIdx.x; i < TILE * STREAM; i += THREADS) {
    int r = by_rows ? i / STREAM : i % TILE;
    int c = by_rows ? i % STREAM : i / TILE;
    sees[r][c] = turned ? look.sees(first + c, row + r) : look.sees(row + r, first + c);
  }
  __syncthreads();
  int lane = threadIdx.x % WARP;
  int start = threadIdx.x / WARP * 16;
  u32 word = 0;
  Seen seen = {0, ALL};
  for (int i = 0; i < 16; i++) {
    u32 bits = __ballot_sync(ALL, sees[start + i][lane] != 0);
    word = lane == i ? bits : word;
    seen.any |= bits;
    seen.all &= row + start + i < rows ? bits : ALL;
  }
  if (lane < 16 && row + start + lane < rows) {
    to.words[(picture * across + first / STREAM) * rows + row + start + lane] = word;
  }
  u64 both = block_or((u64) ~seen.all << 32 | seen.any);
  if (threadIdx.x == 0) {
    to.tiles[picture * across * down + at] = {(u32) both, ~(u32) (both >> 32)};
  }
}

// What a block sees: a head, and where there is a mask of BOOL its picture.
struct View : Sight<float> {
  const u32 *words;
  const Seen *tiles;  // of the block's rows
};

template <bool TURNED>
DEVICE View view(const Sight<float> &look, const Pictures &from, const Place &at) {
  i64 rows = TURNED ? look.keys : look.queries;
  i64 across = ((TURNED ? look.queries : look.keys) + STREAM - 1) / STREAM;
  i64 down = (rows + TILE - 1) / TILE;
  i64 picture = at.batch * from.batch + at.head * from.head;
  View result;
  (Sight<float> &) result = look;
  result.words = from.words + picture * across * rows;
  result.tiles = from.tiles + (picture * down + at.first / TILE) * across;
  return result;
}

// A lane's first row of the block's tile, of which a warp has M times 16; the others are 8 further each.
template <int M> DEVICE int lane_row(int block_row) {
  return block_row + (int) threadIdx.x / WARP * (16 * M) + (int) threadIdx.x % WARP / 4;
}

// A tile of columns, and what the block sees of it: whether all, and which columns at all.
struct Step {
  int first;
  bool whole;
  u32 block;
};

// Bits 0 .. count - 1.
DEVICE u32 lowest(int count) {
  return count >= 32 ? ALL : count <= 0 ? 0 : (1u << count) - 1;
}

// Which of the columns from `first` a row sees.
template <bool TURNED> DEVICE u32 row_sees(const View &look, int row, int first) {
  if (look.kind == MASK_BOOL) {
    int rows = TURNED ? look.keys : look.queries;
    return row < rows ? look.words[(i64) (first / STREAM) * rows + row] : 0;
  }
  if (TURNED) {
    return lowest(look.queries - first) & ~(look.causal ? lowest(row - first) : 0);
  }
  return lowest((look.causal && row < look.keys ? row + 1 : look.keys) - first);
}

// The next tile from `first` on that the block sees anything of.
template <bool TURNED> DEVICE Step next_step(const View &look, int block_row, int first, int end) {
  Step step = {first, true, ALL};
  for (; step.first < end; step.first += STREAM) {
    if (look.kind == MASK_BOOL) {
      Seen seen = look.tiles[step.first / STREAM];
      step.block = seen.any;
      step.whole = seen.all == ALL;
    } else {
      int last = step.first + STREAM - 1;
      bool inside = last < (TURNED ? look.queries : look.keys);
      step.whole = inside && (!look.causal || (TURNED ? step.first >= block_row + TILE - 1 : last <= block_row));
    }
    if (step.block != 0) {
      break;
    }
  }
  return step;
}

// What a warp sees of a tile: whether any; and where that is not all, which columns each row of a lane sees, bit 8 j + e being its column
// 8 j + 2 (l % 4) + e. Where TURNED, keys may be much fewer than the rows of a block: warps that have none of them see nothing. (Asking for
// that costs a register, which forward has not.)
template <int M> struct Glance {
  bool any;
  u32 row[2 * M];

  DEVICE bool sees(int m, int h, int j, int e) const {
    return row[2 * m + e / 2] >> (16 * h + 8 * j + e % 2) & 1;
  }
};

template <int M, bool TURNED> DEVICE Glance<M> glance(const View &look, const Step &step, int block_row) {
  Glance<M> result = {!TURNED || block_row + (int) threadIdx.x / WARP * (16 * M) < look.keys, {}};
  if (!step.whole) {
    u32 any = 0;
    #pragma unroll
    for (int i = 0; i < 2 * M; i++) {
      u32 of = row_sees<TURNED>(look, lane_row<M>(block_row) + 8 * i, step.first);
      any |= of;
      result.row[i] = of >> 2 * (threadIdx.x % 4);
    }
    result.any = __ballot_sync(ALL, any != 0) != 0 && result.any;
  }
  return result;
}
