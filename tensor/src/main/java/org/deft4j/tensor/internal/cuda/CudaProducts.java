package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.Device;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.Kernels;
import org.deft4j.tensor.op.Layout;

/** Products of matrices by cuBLAS, factors and biases prepared by {@code products.cu}. */
final class CudaProducts {
  private static final String SOURCE = "products";

  private final Launcher launcher;
  private final Kernels kernels;
  private final ThinProducts thin;

  /** @param kernels for copies */
  CudaProducts(Launcher launcher, Kernels kernels) {
    this.launcher = launcher;
    this.kernels = kernels;
    this.thin = new ThinProducts(launcher);
  }

  /** {@code c_mn = sum_k a_mk b_kn}, batch by batch; leading dimensions broadcast. */
  void matMul(Tensor a, Tensor b, Tensor c) {
    if (c.elementCount() == 0) {
      return;
    }
    long m = c.size(-2);
    long n = c.size(-1);
    long k = a.size(-1);
    Batches batches = Batches.of(a, b, c);
    long[] sa = a.strides();
    long[] sb = b.strides();
    int width = a.dtype().bytes();
    if (batches.runs().size() == 1 && batches.count() == 1
        && thin.multiply(ThinProducts.Matrix.of(a), ThinProducts.Matrix.of(b), ThinProducts.Matrix.byRows(c, n), m, n, k, 1, 0)) {
      return;
    }
    try (Factors factors = new Factors(launcher)) {
      for (Batches.Run run : batches.runs()) {
        Gemm.Matrix left = factors.of(a.address() + run.a() * width, a.dtype(), c.dtype(), m, k, sa[sa.length - 2], sa[sa.length - 1],
            batches.count(), batches.strideA());
        Gemm.Matrix right = factors.of(b.address() + run.b() * b.dtype().bytes(), b.dtype(), c.dtype(), k, n, sb[sb.length - 2],
            sb[sb.length - 1], batches.count(), batches.strideB());
        Gemm.Matrix product = new Gemm.Matrix(c.address() + run.c() * c.dtype().bytes(), c.dtype(), false, n, batches.strideC());
        multiply(new Gemm(left, right, product, m, n, k, batches.count(), 1, 0, Precision.current()));
      }
    }
  }

  /** {@code y = x w^T + b}: y holds b in each row before the product is added. */
  void linear(Tensor[] in, Tensor y) {
    Tensor w = in[1];
    long n = w.size(0);
    long k = w.size(1);
    long rows = n == 0 ? 0 : y.elementCount() / n;
    if (rows == 0) {
      return;
    }
    if (in.length == 3) {
      spread(in[2], 1, y);
    }
    try (Factors factors = new Factors(launcher); Tensor copy = evenRows(in[0])) {
      Tensor x = copy == null ? in[0] : copy;
      long[] sx = x.strides();
      long rowStride = rowStride(x);
      ThinProducts.Matrix thinX = new ThinProducts.Matrix(x.address(), x.dtype(), rowStride, sx[sx.length - 1]);
      if (thin.multiply(thinX, ThinProducts.Matrix.of(w).t(), ThinProducts.Matrix.byRows(y, n), rows, n, k, 1, in.length == 3 ? 1 : 0)) {
        return;
      }
      Gemm.Matrix left = factors.of(x.address(), x.dtype(), y.dtype(), rows, k, rowStride, sx[sx.length - 1], 1, 0);
      Gemm.Matrix right = factors.of(w.address(), w.dtype(), y.dtype(), k, n, w.strides()[1], w.strides()[0], 1, 0);
      Gemm.Matrix product = new Gemm.Matrix(y.address(), y.dtype(), false, n, 0);
      multiply(new Gemm(left, right, product, rows, n, k, 1, 1, in.length == 3 ? 1 : 0, Precision.current()));
    }
  }

  /** {@code t = scale u - x s} and {@code z = x + t l^T}; t holds u, and z holds x, before the products are added. */
  void rankUpdate(double scale, Tensor[] in, Tensor z, Tensor t) {
    Tensor x = in[0];
    long n = in[1].size(0);
    long r = in[1].size(1);
    long rows = n == 0 ? 0 : z.elementCount() / n;
    if (in.length == 4) {
      launcher.card().copy(in[3].address(), t.address(), t.elementCount() * t.dtype().bytes());
    }
    double keep = in.length == 4 ? scale : 0;
    ThinProducts.Matrix byRank = ThinProducts.Matrix.byRows(t, r);
    if (rows > 0 && r > 0 && n >= r && thin.multiply(ThinProducts.Matrix.byRows(x, n), ThinProducts.Matrix.byRows(in[1], r), byRank, rows, r,
        n, -1, keep)) {
      thin.add(byRank, ThinProducts.Matrix.byRows(in[2], r).t(), x.address(), ThinProducts.Matrix.byRows(z, n), rows, n, r);
      return;
    }
    launcher.card().copy(x.address(), z.address(), z.elementCount() * z.dtype().bytes());
    if (rows == 0 || r == 0) {
      return;
    }
    try (Factors factors = new Factors(launcher)) {
      Gemm.Matrix removed = new Gemm.Matrix(t.address(), t.dtype(), false, r, 0);
      multiply(new Gemm(factors.of(x.address(), x.dtype(), z.dtype(), rows, n, n, 1, 1, 0),
          factors.of(in[1].address(), in[1].dtype(), z.dtype(), n, r, r, 1, 1, 0), removed, rows, r, n, 1, -1, keep,
          Precision.current()));
      multiply(new Gemm(factors.of(t.address(), t.dtype(), z.dtype(), rows, r, r, 1, 1, 0),
          factors.of(in[2].address(), in[2].dtype(), z.dtype(), r, n, 1, r, 1, 0), new Gemm.Matrix(z.address(), z.dtype(), false, n, 0), rows, n,
          r, 1, 1, 1, Precision.current()));
    }
  }

  /** {@code y_i = b_(i / inner mod |b|)}: a bias in each row (inner = 1), or on each channel's plane. */
  void spread(Tensor bias, long inner, Tensor y) {
    launcher.each(y.elementCount(), SOURCE, Launcher.variant("spread", y.dtype()), bias, y, y.elementCount(), bias.elementCount(), inner,
        bias.strides()[0]);
  }

  private void multiply(Gemm gemm) {
    launcher.card().multiply(gemm);
  }

  /** The step between rows of [..., K], all of which are as far apart; -1 if they are not. */
  private static long rowStride(Tensor x) {
    long[] strides = x.strides();
    long step = -1;
    long expected = -1;
    for (int d = x.rank() - 2; d >= 0; d--) {
      if (x.size(d) != 1) {
        if (step < 0) {
          step = strides[d];
        } else if (strides[d] != expected) {
          return -1;
        }
        expected = strides[d] * x.size(d);
      }
    }
    return step < 0 ? x.size(-1) : step;
  }

  /** A copy of x whose rows are evenly spaced, if x's are not; else null. */
  private Tensor evenRows(Tensor x) {
    if (rowStride(x) >= 0) {
      return null;
    }
    Tensor copy = Tensor.empty(Device.CUDA, x.dtype(), x.shape());
    kernels.run(new Layout.Contiguous(), new Tensor[] {x}, new Tensor[] {copy});
    return copy;
  }
}
