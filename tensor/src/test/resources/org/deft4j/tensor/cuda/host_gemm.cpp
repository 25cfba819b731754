// The products that a card leaves to cuBLAS, one multiply-add after another in float32, or in float64 where both factors are.

static double element(const void *at, int type, i64 i) {
  switch (type) {
    case TYPE_F64: return ((const double *) at)[i];
    case TYPE_F32: return ((const float *) at)[i];
    case TYPE_F16: return to_float(((const f16 *) at)[i]);
    default: return to_float(((const bf16 *) at)[i]);
  }
}

static void store(void *at, int type, i64 i, double value) {
  switch (type) {
    case TYPE_F64: ((double *) at)[i] = value; break;
    case TYPE_F32: ((float *) at)[i] = (float) value; break;
    case TYPE_F16: ((f16 *) at)[i] = to_f16((float) value); break;
    default: ((bf16 *) at)[i] = to_bf16((float) value);
  }
}

extern "C" __attribute__((visibility("default"))) void host_gemm(const void *a, int a_type, int a_turned, i64 a_lead, i64 a_batch, const void *b, int b_type, int b_turned,
    i64 b_lead, i64 b_batch, void *c, int c_type, i64 c_lead, i64 c_batch, i64 m, i64 n, i64 k, i64 batch, double alpha, double beta) {
  for (i64 z = 0; z < batch; z++) {
    for (i64 i = 0; i < m; i++) {
      for (i64 j = 0; j < n; j++) {
        float sum = 0;
        double wide = 0;
        for (i64 l = 0; l < k; l++) {
          double x = element(a, a_type, z * a_batch + (a_turned ? l * a_lead + i : i * a_lead + l));
          double y = element(b, b_type, z * b_batch + (b_turned ? j * b_lead + l : l * b_lead + j));
          if (a_type == TYPE_F64) {
            wide = std::fma(x, y, wide);
          } else {
            sum = std::fma((float) x, (float) y, sum);
          }
        }
        i64 at = z * c_batch + i * c_lead + j;
        double result = alpha * (a_type == TYPE_F64 ? wide : (double) sum);
        store(c, c_type, at, beta == 0 ? result : result + beta * element(c, c_type, at));
      }
    }
  }
}
