// What tensor cores multiply and how it gets to them: PTX, each instruction in a function; host.h has their twins. H is bf16 or f16.

#ifndef DEFT_HOST
#define MULTIPLY_ADD(H)                                                                                                    \
  template <> DEVICE void multiply_add<H>(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {                              \
    asm("mma.sync.aligned.m16n8k16.row.col.f32." #H "." #H ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};" \
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                                                                   \
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                                   \
  }
#endif

#ifdef DEFT_HOST
template <class H> DEVICE void multiply_add(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  host::multiply_16x8x16(c, a, b0, b1, [](u16 bits) { return to_float(H{bits}); });
}

template <bool TURNED> DEVICE void load_matrices(u32 (&to)[4], const u16 *row) {
  host::load_matrices(to, row, TURNED);
}

DEVICE void copy_16_bytes(u16 *to, const u16 *from, bool wanted) {
  host::copy_later(to, wanted ? from : nullptr, 16);
}

DEVICE void wait_for_copies() {
  host::copy_now();
}

DEVICE float power_of_2(float x) {
  return std::exp2(x);
}
#else
// c += a b of a warp: a [16, 16], b [16, 8]. Of lane l, c[0..1] are row l / 4, columns 2 (l % 4) + {0, 1}, and c[2..3] the same columns of
// row l / 4 + 8; a[r] is row l / 4 + 8 (r % 2), columns 2 (l % 4) + 8 (r / 2) + {0, 1}; b_r rows 2 (l % 4) + 8 r + {0, 1} of column l / 4.
template <class H> DEVICE void multiply_add(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1);

MULTIPLY_ADD(bf16)
MULTIPLY_ADD(f16)

// Four matrices of 8 x 8 from shared memory: lane l says where row l % 8 of matrix l / 8 lies, and gets of each row l / 4, columns
// 2 (l % 4) + {0, 1}; of their transposes where TURNED.
template <bool TURNED> DEVICE void load_matrices(u32 (&to)[4], const u16 *row) {
  u32 at = (u32) __cvta_generic_to_shared(row);
  if (TURNED) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at));
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3]) : "r"(at));
  }
}

// To shared memory, some time before wait_for_copies returns; zeros where not wanted.
DEVICE void copy_16_bytes(u16 *to, const u16 *from, bool wanted) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
      : : "r"((u32) __cvta_generic_to_shared(to)), "l"(from), "r"(wanted ? 16 : 0) : "memory");
}

// For the copies of this thread.
DEVICE void wait_for_copies() {
  asm volatile("cp.async.wait_all;" : : : "memory");
}

DEVICE float power_of_2(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}
#endif
