// Stand-ins for libcuda.so.1, libnvrtc.so.12 and libcublas.so.12, for the test of what talks to them through JCuda: the functions that it
// calls, on this processor's memory. A "compiled program" is the name of a library that g++ made of the source with host.h before it;
// products are by columns, as cuBLAS has them, each sum in double. Everything is done when it is asked for.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <map>
#include <string>
#include <unistd.h>

typedef unsigned long long u64;

// ------------------------------------------------------------------------------------------------------------- the driver

struct Function {
  int (*call)(const long long *, int, int, void **, char *);
};

static u64 in_use = 0;
static std::map<void *, size_t> pinned;

extern "C" {

int cuInit(unsigned) { return 0; }
int cuDriverGetVersion(int *version) { *version = getenv("STAND_IN_DRIVER") ? atoi(getenv("STAND_IN_DRIVER")) : 12060; return 0; }
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuDeviceGetName(char *name, int length, int) { snprintf(name, length, "stand-in"); return 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int) { *bytes = 1ull << 32; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int) { *context = (void *) 1; return 0; }
int cuCtxSetCurrent(void *context) { return context == (void *) 1 ? 0 : 201; }
// The first stream is that of all but copies aside, the second theirs.
int cuStreamCreate(void **stream, unsigned) { static long next = 2; *stream = (void *) next++; return next > 4 ? 1 : 0; }
int cuStreamSynchronize(void *stream) { return stream == (void *) 2 ? 0 : 400; }
int cuEventCreate(void **event, unsigned) { *event = new int(77); return 0; }
int cuEventRecord(void *event, void *stream) { return *(int *) event == 77 && (stream == (void *) 2 || stream == (void *) 3) ? 0 : 400; }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return flags == 0 ? cuEventRecord(event, stream) : 1; }
int cuEventSynchronize(void *event) { return *(int *) event == 77 ? 0 : 400; }
int cuEventDestroy_v2(void *event) { *(int *) event = 0; return 0; }

// Pinned memory: its pieces, of no more bytes than the system locks.
int cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  size_t all = bytes;
  for (auto &piece : pinned) {
    all += piece.second;
  }
  if (getenv("STAND_IN_PINNED") && all > (size_t) atol(getenv("STAND_IN_PINNED"))) {
    return 2;
  }
  *memory = malloc(bytes);
  pinned[*memory] = bytes;
  return 0;
}

int cuMemFreeHost(void *memory) {
  if (!pinned.erase(memory)) {
    return 1;
  }
  free(memory);
  return 0;
}

static bool is_pinned(const void *from, size_t bytes) {
  auto piece = pinned.upper_bound((void *) from);
  return piece != pinned.begin() && (const char *) from + bytes <= (const char *) (--piece)->first + piece->second;
}

int cuMemGetInfo_v2(size_t *free, size_t *total) { *free = (1ull << 32) - in_use; *total = 1ull << 32; return 0; }

int cuDeviceGetAttribute(int *value, int attribute, int) {
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 16 ? 2 : -1;  // compute capability 9.0, 2 multiprocessors
  return 0;
}

int cuMemAlloc_v2(u64 *address, size_t bytes) {
  if (in_use + bytes > 1ull << 32) {
    return 2;
  }
  // The size is kept before the memory.
  char *memory = (char *) aligned_alloc(256, (bytes + 511) / 256 * 256);
  memset(memory, 0xff, bytes + 256);
  *(size_t *) memory = bytes;
  in_use += bytes;
  *address = (u64) memory + 256;
  return 0;
}

int cuMemFree_v2(u64 address) {
  in_use -= *(size_t *) (address - 256);
  free((void *) (address - 256));
  return 0;
}

int cuMemcpyHtoDAsync_v2(u64 to, const void *from, size_t bytes, void *stream) {
  if (stream != (void *) 2 && (stream != (void *) 3 || (!getenv("STAND_IN_PINNED") && !is_pinned(from, bytes)))) {
    return 1;
  }
  memcpy((void *) to, from, bytes);
  return 0;
}

int cuMemcpyDtoHAsync_v2(void *to, u64 from, size_t bytes, void *) { memcpy(to, (void *) from, bytes); return 0; }
int cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t bytes, void *) { memmove((void *) to, (void *) from, bytes); return 0; }

int cuModuleLoadData(void **module, const void *image) {
  if (strncmp((const char *) image, "stand-in:", 9) != 0) {
    return 200;
  }
  *module = dlopen((const char *) image + 9, RTLD_NOW);
  return *module ? 0 : 200;
}

int cuModuleGetFunction(void **function, void *module, const char *name) {
  *function = dlsym(module, (std::string(name) + "_call").c_str());
  return *function ? 0 : 500;
}

int cuFuncSetAttribute(void *, int, int) { return 0; }

int cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream,
    void **parameters, void **extra) {
  char error[512];
  long long grid[] = {gx, gy, gz};
  if (by != 1 || bz != 1 || stream != (void *) 2 || extra != nullptr) {
    return 1;
  }
  int failed = ((int (*)(const long long *, int, int, void **, char *)) function)(grid, bx, shared, parameters, error);
  if (failed) {
    fprintf(stderr, "%s\n", error);
  }
  return failed ? 719 : 0;
}

// ----------------------------------------------------------------------------------------------------------------- NVRTC

struct Program {
  std::string source, log, image;
};

int nvrtcVersion(int *major, int *minor) { *major = 12; *minor = 6; return 0; }
const char *nvrtcGetErrorString(int) { return "NVRTC_ERROR_COMPILATION"; }

int nvrtcCreateProgram(void **program, const char *source, const char *, int, const char *const *, const char *const *) {
  *program = new Program{source, "", ""};
  return 0;
}

int nvrtcDestroyProgram(void **program) { delete (Program *) *program; return 0; }

int nvrtcCompileProgram(void *self, int count, const char *const *options) {
  Program *program = (Program *) self;
  bool right = count == 3 && !strcmp(options[0], "--gpu-architecture=sm_90") && !strcmp(options[2], "--device-as-default-execution-space");
  std::string folder = getenv("STAND_IN_FOLDER");
  static int next = 0;
  std::string name = folder + "/program" + std::to_string(getpid()) + "-" + std::to_string(next++);
  std::ofstream(name + ".cpp") << "#define DEFT_HOST\n#include \"" << folder << "/host.h\"\n#include \"" << folder << "/host_tensor_cores.h\"\n"
                               << (getenv("STAND_IN_ERROR") ? "#error as the test wants it\n" : "") << program->source;
  std::string command = "g++ -std=c++17 -O1 -ffp-contract=off -shared -fPIC -fvisibility=hidden -fno-gnu-unique -w -o " + name + ".so " + name + ".cpp 2> " + name + ".log";
  if (!right || system(command.c_str()) != 0) {
    std::ifstream log(name + ".log");
    program->log = std::string(std::istreambuf_iterator<char>(log), {});
    return 6;
  }
  program->image = "stand-in:" + name + ".so";
  return 0;
}

int nvrtcGetProgramLogSize(void *program, size_t *size) { *size = ((Program *) program)->log.size() + 1; return 0; }
int nvrtcGetProgramLog(void *program, char *log) { strcpy(log, ((Program *) program)->log.c_str()); return 0; }
int nvrtcGetCUBINSize(void *program, size_t *size) { *size = ((Program *) program)->image.size() + 1; return 0; }
int nvrtcGetCUBIN(void *program, char *image) { strcpy(image, ((Program *) program)->image.c_str()); return 0; }

// ---------------------------------------------------------------------------------------------------------------- cuBLAS

int cublasCreate_v2(void **handle) { *handle = (void *) 4; return 0; }
int cublasSetStream_v2(void *, void *stream) { return stream == (void *) 2 ? 0 : 7; }

static float of_half(int type, unsigned short bits) {
  unsigned whole = (unsigned) bits << 16;
  if (type == 2) {  // float16
    int exponent = bits >> 10 & 31;
    float size = exponent == 0 ? (bits & 1023) * 0x1p-24f : (1 + (bits & 1023) / 1024.0f) * (exponent >= 15 ? (float) (1 << (exponent - 15)) : 1.0f / (1 << (15 - exponent)));
    return bits & 0x8000 ? -size : size;
  }
  float x;
  memcpy(&x, &whole, sizeof(x));
  return x;
}

static double element(const void *at, int type, long long i) {
  switch (type) {
    case 1: return ((const double *) at)[i];
    case 0: return ((const float *) at)[i];
    default: return of_half(type, ((const unsigned short *) at)[i]);
  }
}

int cublasGemmStridedBatchedEx(void *, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int type_a, int lda, long long stride_a,
    const void *b, int type_b, int ldb, long long stride_b, const void *beta, void *c, int type_c, int ldc, long long stride_c, int count,
    int computation, int) {
  bool wide = computation == 70;
  if (type_a != type_b || wide != (type_a == 1) || wide != (type_c == 1) || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m || lda < 1 || ldb < 1) {
    return 7;
  }
  double x = wide ? *(const double *) alpha : *(const float *) alpha;
  double y = wide ? *(const double *) beta : *(const float *) beta;
  for (long long batch = 0; batch < count; batch++) {
    for (long long j = 0; j < n; j++) {
      for (long long i = 0; i < m; i++) {
        double sum = 0;
        for (long long l = 0; l < k; l++) {
          sum += element(a, type_a, batch * stride_a + (ta ? i * lda + l : l * lda + i)) * element(b, type_b, batch * stride_b + (tb ? l * ldb + j : j * ldb + l));
        }
        long long at = batch * stride_c + j * ldc + i;
        double old = y == 0 ? 0 : y * element(c, type_c, at);
        if (wide) {
          ((double *) c)[at] = x * sum + old;
        } else {
          ((float *) c)[at] = (float) (x * sum + old);
        }
      }
    }
  }
  return 0;
}

}  // extern "C"
