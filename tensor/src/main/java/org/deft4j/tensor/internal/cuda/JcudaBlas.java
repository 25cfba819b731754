package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import jcuda.Pointer;
import jcuda.cudaDataType;
import jcuda.driver.CUstream;
import jcuda.jcublas.JCublas2;
import jcuda.jcublas.cublasComputeType;
import jcuda.jcublas.cublasGemmAlgo;
import jcuda.jcublas.cublasHandle;
import jcuda.jcublas.cublasOperation;
import jcuda.jcublas.cublasStatus;
import jcuda.runtime.cudaStream_t;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.DeviceException;
import org.deft4j.tensor.Precision;

/** Products by cuBLAS, which has its matrices by columns: {@code C = A B} by rows is {@code C^T = B^T A^T} by columns. */
final class JcudaBlas {
  private final cublasHandle handle = new cublasHandle();
  private final Factor alpha = new Factor();
  private final Factor beta = new Factor();

  JcudaBlas(CUstream stream) {
    check(JCublas2.cublasCreate(handle), "cublasCreate");
    check(JCublas2.cublasSetStream(handle, new cudaStream_t(stream)), "cublasSetStream");
  }

  private static void check(int status, String what) {
    if (status != cublasStatus.CUBLAS_STATUS_SUCCESS) {
      throw new DeviceException("device cuda: " + what + ": " + cublasStatus.stringFor(status));
    }
  }

  void multiply(Gemm g) {
    boolean wide = g.c().dtype() == DType.F64;
    Gemm.Matrix a = g.a();
    Gemm.Matrix b = g.b();
    Gemm.Matrix c = g.c();
    int status = JCublas2.cublasGemmStridedBatchedEx_new(handle, operation(b), operation(a), Math.toIntExact(g.n()), Math.toIntExact(g.m()),
        Math.toIntExact(g.k()), alpha.of(wide, g.alpha()), pointer(b), type(b), lead(b), b.batchStride(), pointer(a), type(a), lead(a),
        a.batchStride(), beta.of(wide, g.beta()), pointer(c), type(c), lead(c), c.batchStride(), Math.toIntExact(g.batch()),
        computation(g, wide), cublasGemmAlgo.CUBLAS_GEMM_DEFAULT);
    if (status != cublasStatus.CUBLAS_STATUS_SUCCESS) {
      check(status, g.m() + " x " + g.k() + " by " + g.k() + " x " + g.n() + " in " + a.dtype());
    }
  }

  private static int computation(Gemm g, boolean wide) {
    if (wide) {
      return cublasComputeType.CUBLAS_COMPUTE_64F;
    }
    return g.precision() == Precision.TF32 ? cublasComputeType.CUBLAS_COMPUTE_32F_FAST_TF32 : cublasComputeType.CUBLAS_COMPUTE_32F;
  }

  private static int operation(Gemm.Matrix m) {
    return m.transposed() ? cublasOperation.CUBLAS_OP_T : cublasOperation.CUBLAS_OP_N;
  }

  private static Pointer pointer(Gemm.Matrix m) {
    return new Pointer().withByteOffset(m.address());
  }

  private static int lead(Gemm.Matrix m) {
    return Math.toIntExact(Math.max(1, m.lead()));
  }

  private static int type(Gemm.Matrix m) {
    return switch (m.dtype()) {
      case F64 -> cudaDataType.CUDA_R_64F;
      case F32 -> cudaDataType.CUDA_R_32F;
      case F16 -> cudaDataType.CUDA_R_16F;
      case BF16 -> cudaDataType.CUDA_R_16BF;
      default -> throw new IllegalStateException("no product of " + m.dtype());
    };
  }

  /** A number that cuBLAS reads when it is called, in the type that it adds up in. */
  private static final class Factor {
    private final ByteBuffer memory = ByteBuffer.allocateDirect(Double.BYTES).order(ByteOrder.nativeOrder());
    private final Pointer pointer = Pointer.to(memory);

    Pointer of(boolean wide, double value) {
      if (wide) {
        memory.putDouble(0, value);
      } else {
        memory.putFloat(0, (float) value);
      }
      return pointer;
    }
  }
}
