// What CUDA C adds to C++, on the processor, for the tests: the sources of the kernels are compiled with this before them.
//
// Blocks run one after another. The threads of a block are fibers, each with a stack of its own, that give way to each other at
// barriers only: lanes of a warp run up to the next barrier of their warp (shuffles and matrix operations have them inside), warps up to
// the next barrier of the block. Where some threads of a warp wait at a barrier that others never reach, the program is wrong on a card,
// and stops here. Shared memory is static memory. The order in which lanes run can be turned round: a kernel whose results then change
// lacks a barrier.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <sys/mman.h>

using std::exp;
using std::fabs;
using std::log;
using std::log1p;
using std::sqrt;
using std::sin;
using std::cos;
using std::tanh;
using std::erf;
using std::pow;
using std::fma;
using std::floor;
using std::rint;

#define DEVICE inline
#define DEVICE_FUNCTION inline
#define __shared__ static
#define __restrict__
#define __launch_bounds__(...)
#define KERNEL(name, parameters) static void name parameters
#define EXPORT(name)                                                                                                     \
  extern "C" __attribute__((visibility("default"))) int name##_launch(const long long *grid, int threads, int shared, const char *bytes, const char *sizes, char *error) { \
    return host::launch(name, grid, threads, shared, bytes, sizes, error);                                               \
  }                                                                                                                      \
  extern "C" __attribute__((visibility("default"))) int name##_call(const long long *grid, int threads, int shared, void **parameters, char *error) { \
    return host::call(name, grid, threads, shared, parameters, error);                                                   \
  }
#define DYNAMIC_SHARED(type, name) type *name = (type *) host::dynamic_shared

struct dim3 {
  unsigned x, y, z;
};

namespace host {

const int WARP = 32;
const int MOST_THREADS = 1024;
const size_t STACK = 128 << 10;
const size_t LINE = 64;
const int STAGGERED = 61;
const size_t MOST_SHARED = 228 << 10;

enum State { READY, AT_WARP, AT_BLOCK, DONE };

struct Fiber {
  void *stack_pointer;
  State state;
  int turn;
};

static Fiber fibers[MOST_THREADS];
static char *stacks;
static void *scheduler;
static int current;
static dim3 thread_index, block_index, block_size, grid_size;
static int lane_order = 1;
static const char *trouble;
alignas(256) static unsigned char dynamic_shared[MOST_SHARED];
static void (*body)(void *);
static void *body_argument;
// What lanes of a warp hand to each other; in turns, so that none overwrites what others have yet to read.
alignas(64) static unsigned char slots[2][WARP][64];

// Saves the registers that a call keeps, and goes on on another stack.
extern "C" void host_switch(void **from, void *to);
#if defined(__x86_64__)
asm(".text\n.globl host_switch\n.hidden host_switch\n.type host_switch,@function\nhost_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");
const int SAVED = 6;
#elif defined(__aarch64__)
asm(".text\n.globl host_switch\n.hidden host_switch\n.type host_switch,%function\nhost_switch:\n"
    "sub sp,sp,#160\nstp x19,x20,[sp]\nstp x21,x22,[sp,#16]\nstp x23,x24,[sp,#32]\nstp x25,x26,[sp,#48]\nstp x27,x28,[sp,#64]\n"
    "stp x29,x30,[sp,#80]\nstp d8,d9,[sp,#96]\nstp d10,d11,[sp,#112]\nstp d12,d13,[sp,#128]\nstp d14,d15,[sp,#144]\n"
    "mov x9,sp\nstr x9,[x0]\nmov sp,x1\n"
    "ldp x19,x20,[sp]\nldp x21,x22,[sp,#16]\nldp x23,x24,[sp,#32]\nldp x25,x26,[sp,#48]\nldp x27,x28,[sp,#64]\n"
    "ldp x29,x30,[sp,#80]\nldp d8,d9,[sp,#96]\nldp d10,d11,[sp,#112]\nldp d12,d13,[sp,#128]\nldp d14,d15,[sp,#144]\n"
    "add sp,sp,#160\nret\n");
#else
#error "the stack switch is written for x86-64 and 64-bit ARM"
#endif

static void give_way(State state) {
  int self = current;
  fibers[self].state = state;
  host_switch(&fibers[self].stack_pointer, scheduler);
  // Another thread may have run since: the indices are those of this one again.
  current = self;
  thread_index.x = self;
}

static void fiber_main() {
  body(body_argument);
  give_way(DONE);
}

static void start(int thread) {
  // Stacks that began at the same place of a page would want the same few places of the processor's cache.
  char *top = stacks + STACK * (thread + 1) - thread % STAGGERED * LINE;
#if defined(__x86_64__)
  void **sp = (void **) top;
  *--sp = nullptr;  // fiber_main returns to nobody; this also leaves the stack as after a call
  *--sp = (void *) fiber_main;
  for (int i = 0; i < SAVED; i++) {
    *--sp = nullptr;
  }
  fibers[thread].stack_pointer = sp;
#else
  char *sp = top - 160;
  memset(sp, 0, 160);
  *(void **) (sp + 88) = (void *) fiber_main;
  fibers[thread].stack_pointer = sp;
#endif
  fibers[thread].state = READY;
  fibers[thread].turn = 0;
}

static void resume(int thread) {
  current = thread;
  thread_index.x = thread;
  host_switch(&scheduler, fibers[thread].stack_pointer);
}

// Runs a warp until all its lanes are at a barrier of the block, or done.
static bool run_warp(int first, int last) {
  for (;;) {
    for (int i = first; i < last; i++) {
      int thread = lane_order > 0 ? i : first + last - 1 - i;
      if (fibers[thread].state == READY) {
        resume(thread);
      }
    }
    int at_warp = 0;
    int elsewhere = 0;
    for (int i = first; i < last; i++) {
      at_warp += fibers[i].state == AT_WARP;
      elsewhere += fibers[i].state != AT_WARP;
    }
    if (at_warp == 0) {
      return true;
    }
    if (elsewhere > 0) {
      trouble = "some lanes of a warp wait for each other while others have gone on";
      return false;
    }
    for (int i = first; i < last; i++) {
      fibers[i].state = READY;
    }
  }
}

static bool run_block(int threads) {
  for (int i = 0; i < threads; i++) {
    start(i);
  }
  for (;;) {
    int warps = (threads + WARP - 1) / WARP;
    for (int w = 0; w < warps; w++) {
      int warp = lane_order > 0 ? w : warps - 1 - w;
      if (!run_warp(warp * WARP, std::min(threads, (warp + 1) * WARP))) {
        return false;
      }
    }
    int waiting = 0;
    int done = 0;
    for (int i = 0; i < threads; i++) {
      waiting += fibers[i].state == AT_BLOCK;
      done += fibers[i].state == DONE;
    }
    if (waiting == 0) {
      return true;
    }
    if (done > 0) {
      trouble = "some threads of a block wait at a barrier that others will not reach";
      return false;
    }
    for (int i = 0; i < threads; i++) {
      fibers[i].state = READY;
    }
  }
}

// Those that the lanes of a warp use now: the other half of the last time.
static auto &next_slots() {
  return slots[fibers[current].turn ^= 1];
}

// Hands `mine` to the other lanes and returns lane `other`'s.
template <class T> static T exchange(T mine, int other) {
  static_assert(sizeof(T) <= sizeof(slots[0][0]), "too large for a slot");
  auto &turn = next_slots();
  memcpy(turn[current % WARP], &mine, sizeof(T));
  give_way(AT_WARP);
  T result;
  memcpy(&result, turn[other % WARP], sizeof(T));
  return result;
}

// ------------------------------------------------------------------------------------------------- launch

template <class T> static T take(const char *bytes, size_t &at) {
  size_t alignment = alignof(T);
  at = (at + alignment - 1) / alignment * alignment;
  T value;
  memcpy((void *) &value, bytes + at, sizeof(T));
  at += sizeof(T);
  return value;
}

template <class... A> struct Call {
  void (*kernel)(A...);
  const char *bytes;

  static void run(void *self) {
    Call *call = (Call *) self;
    size_t at = 0;
    struct Applied {
      void (*kernel)(A...);
      Applied(void (*k)(A...), A... a) { k(a...); }
    };
    // Braces evaluate their parts in order.
    Applied{call->kernel, take<A>(call->bytes, at)...};
  }
};

template <class... A>
static int launch(void (*kernel)(A...), const long long *grid, int threads, int shared, const char *bytes, const char *sizes, char *error) {
  char expected[1024] = "";
  int written = 0;
  for (size_t size : {sizeof(A)...}) {
    written += snprintf(expected + written, sizeof(expected) - written, written ? " %zu" : "%zu", size);
  }
  if (strcmp(expected, sizes) != 0) {
    snprintf(error, 512, "parameters of %s bytes, given arguments of %s", expected, sizes);
    return 1;
  }
  if (threads < 1 || threads > MOST_THREADS || (size_t) shared > MOST_SHARED) {
    snprintf(error, 512, "%d threads and %d bytes of shared memory", threads, shared);
    return 1;
  }
  if (stacks == nullptr) {
    stacks = (char *) mmap(nullptr, STACK * MOST_THREADS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  Call<A...> call = {kernel, bytes};
  body = Call<A...>::run;
  body_argument = &call;
  block_size = {(unsigned) threads, 1, 1};
  grid_size = {(unsigned) grid[0], (unsigned) grid[1], (unsigned) grid[2]};
  for (long long z = 0; z < grid[2]; z++) {
    for (long long y = 0; y < grid[1]; y++) {
      for (long long x = 0; x < grid[0]; x++) {
        block_index = {(unsigned) x, (unsigned) y, (unsigned) z};
        // What was in shared memory before is nothing to rely on.
        memset(dynamic_shared, 0x7f, shared);
        if (!run_block(threads)) {
          snprintf(error, 512, "%s", trouble);
          return 1;
        }
      }
    }
  }
  return 0;
}

// The same for parameters as the driver takes them: a pointer to each.
template <class... A> static int call(void (*kernel)(A...), const long long *grid, int threads, int shared, void **parameters, char *error) {
  char bytes[4096];
  char sizes[1024] = "";
  size_t at = 0;
  int written = 0;
  int next = 0;
  size_t each[][2] = {{sizeof(A), alignof(A)}...};
  for (auto &size : each) {
    at = (at + size[1] - 1) / size[1] * size[1];
    memcpy(bytes + at, parameters[next++], size[0]);
    at += size[0];
    written += snprintf(sizes + written, sizeof(sizes) - written, written ? " %zu" : "%zu", size[0]);
  }
  return launch(kernel, grid, threads, shared, bytes, sizes, error);
}

}  // namespace host

extern "C" __attribute__((visibility("default"))) void host_lane_order(int order) {
  host::lane_order = order;
}

#define threadIdx host::thread_index
#define blockIdx host::block_index
#define blockDim host::block_size
#define gridDim host::grid_size

static inline void __syncthreads() {
  host::give_way(host::AT_BLOCK);
}

static inline void __syncwarp(unsigned = 0xffffffffu) {
  host::give_way(host::AT_WARP);
}

template <class T> static inline T __shfl_xor_sync(unsigned, T x, int mask) {
  return host::exchange(x, host::current % host::WARP ^ mask);
}

template <class T> static inline T __shfl_down_sync(unsigned, T x, int step) {
  int lane = host::current % host::WARP;
  return host::exchange(x, lane + step < host::WARP ? lane + step : lane);
}

template <class T> static inline T __shfl_up_sync(unsigned, T x, int step) {
  int lane = host::current % host::WARP;
  return host::exchange(x, lane - step >= 0 ? lane - step : lane);
}

template <class T> static inline T __shfl_sync(unsigned, T x, int lane) {
  return host::exchange(x, lane);
}

static inline unsigned __ballot_sync(unsigned, bool truth) {
  int lane = host::current % host::WARP;
  auto &turn = host::next_slots();
  memcpy(turn[lane], &truth, sizeof(truth));
  host::give_way(host::AT_WARP);
  unsigned all = 0;
  for (int i = 0; i < host::WARP; i++) {
    bool of;
    memcpy(&of, turn[i], sizeof(of));
    all |= (unsigned) of << i;
  }
  return all;
}

static inline unsigned long long atomicCAS(unsigned long long *at, unsigned long long expected, unsigned long long value) {
  unsigned long long old = *at;
  *at = old == expected ? value : old;
  return old;
}

template <class T> static inline T atomicAdd(T *at, T value) {
  T old = *at;
  *at = old + value;
  return old;
}

static inline float __uint_as_float(unsigned bits) {
  float x;
  memcpy(&x, &bits, sizeof(x));
  return x;
}

static inline unsigned __float_as_uint(float x) {
  unsigned bits;
  memcpy(&bits, &x, sizeof(x));
  return bits;
}

static inline long long __double_as_longlong(double x) {
  long long bits;
  memcpy(&bits, &x, sizeof(x));
  return bits;
}

static inline unsigned __umulhi(unsigned a, unsigned b) {
  return (unsigned) ((unsigned long long) a * b >> 32);
}

// Compiled without contraction, a product is rounded anyway.
static inline float __fmul_rn(float a, float b) {
  return a * b;
}

static inline double __dmul_rn(double a, double b) {
  return a * b;
}

template <class T> static inline T __ldg(const T *at) {
  return *at;
}

static inline float host_f16_to_float(unsigned short h) {
  unsigned sign = (unsigned) (h & 0x8000) << 16;
  unsigned exponent = h >> 10 & 0x1f;
  unsigned mantissa = h & 0x3ff;
  if (exponent == 0x1f) {
    return __uint_as_float(sign | 0x7f800000u | mantissa << 13);
  }
  if (exponent == 0) {
    float x = std::ldexp((float) mantissa, -24);
    return sign ? -x : x;
  }
  return __uint_as_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

// To nearest, ties to even; beyond the range infinity.
static inline unsigned short host_float_to_f16(float x) {
  unsigned bits = __float_as_uint(x);
  unsigned short sign = bits >> 16 & 0x8000;
  float size = std::fabs(x);
  if (size != size) {
    return sign | 0x7e00;
  }
  if (size >= 65520.0f) {
    return sign | 0x7c00;
  }
  int exponent;
  std::frexp(size, &exponent);
  // Units of the last place: 11 bits of a normal number, 2^-24 of a subnormal one.
  int unit = size == 0 ? -24 : std::max(exponent - 11, -24);
  long count = std::lrint(std::ldexp((double) size, -unit));
  if (unit == -24) {
    return sign | (unsigned short) count;
  }
  return sign | (unsigned short) (((unit + 25) << 10) + (count - 1024));
}
