// What tensor_cores.cuh has in PTX, on the processor; after host.h.

#include <vector>

namespace host {

// Two numbers of 16 bits, the lower half first.
static unsigned short half_of(unsigned pair, int which) {
  return (unsigned short) (pair >> 16 * which);
}

// mma.m16n8k16 with row-major a [16, 16] and b [16, 8] by columns, c += a b: of lane l, register r of a has row l / 4 + 8 (r % 2) and
// columns 2 (l % 4) + 8 (r / 2) + {0, 1}; register r of b rows 2 (l % 4) + 8 r + {0, 1} and column l / 4; c[0..1] row l / 4 and columns
// 2 (l % 4) + {0, 1}, c[2..3] the same columns of row l / 4 + 8.
template <class Widen> static void multiply_16x8x16(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, Widen widen) {
  int lane = current % WARP;
  unsigned mine[6] = {a[0], a[1], a[2], a[3], b0, b1};
  auto &turn = next_slots();
  memcpy(turn[lane], mine, sizeof(mine));
  give_way(AT_WARP);
  for (int i = 0; i < 4; i++) {
    int row = lane / 4 + i / 2 * 8;
    int column = lane % 4 * 2 + i % 2;
    float sum = 0;
    for (int k = 0; k < 16; k++) {
      unsigned of_a, of_b;
      memcpy(&of_a, turn[row % 8 * 4 + k % 8 / 2] + 4 * (row / 8 + k / 8 * 2), sizeof(of_a));
      memcpy(&of_b, turn[column * 4 + k % 8 / 2] + 4 * (4 + k / 8), sizeof(of_b));
      sum += widen(half_of(of_a, k % 2)) * widen(half_of(of_b, k % 2));
    }
    c[i] += sum;
  }
}

// ldmatrix.x4: lane l says where row l % 8 of matrix l / 8 of 8 x 8 lies, and gets of each row l / 4, columns 2 (l % 4) + {0, 1}.
static void load_matrices(unsigned (&to)[4], const unsigned short *row, bool turned) {
  int lane = current % WARP;
  auto &turn = next_slots();
  memcpy(turn[lane], &row, sizeof(row));
  give_way(AT_WARP);
  for (int m = 0; m < 4; m++) {
    to[m] = 0;
    for (int i = 0; i < 2; i++) {
      int r = turned ? lane % 4 * 2 + i : lane / 4;
      int c = turned ? lane / 4 : lane % 4 * 2 + i;
      const unsigned short *from;
      memcpy(&from, turn[8 * m + r], sizeof(from));
      to[m] |= (unsigned) from[c] << 16 * i;
    }
  }
  // A card reads for all lanes before any goes on.
  give_way(AT_WARP);
}

// cp.async: what a thread has asked to be copied is there when it has waited for it, not before; zeros from nowhere.
struct Copy {
  void *to;
  const void *from;
  size_t bytes;
};

static std::vector<Copy> copies[MOST_THREADS];

static void copy_later(void *to, const void *from, size_t bytes) {
  copies[current].push_back({to, from, bytes});
}

static void copy_now() {
  for (const Copy &copy : copies[current]) {
    if (copy.from == nullptr) {
      memset(copy.to, 0, copy.bytes);
    } else {
      memcpy(copy.to, copy.from, copy.bytes);
    }
  }
  copies[current].clear();
}

}  // namespace host
