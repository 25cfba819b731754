package org.deft4j.tensor.internal.cuda;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * The factors of products as the card's multiplication wants them: in the type of the precision, and with rows or columns without gaps.
 * What is not so already is copied, for as long as this is open.
 */
final class Factors implements AutoCloseable {
  private static final String SOURCE = "products";

  private final Launcher launcher;
  private final List<Tensor> copies = new ArrayList<>();

  Factors(Launcher launcher) {
    this.launcher = launcher;
  }

  /** What factors of a result of {@code dtype} are multiplied in. */
  DType type(DType dtype) {
    return dtype == DType.F32 ? Precision.current().factors() : dtype;
  }

  /**
   * A batch of matrices, element (i, j) of matrix b at {@code address + b batchStride + i rowStride + j columnStride}.
   *
   * @param result the type of the product
   */
  Gemm.Matrix of(long address, DType dtype, DType result, long rows, long columns, long rowStride, long columnStride, long batch,
      long batchStride) {
    boolean byRows = isEven(rows, columns, rowStride, columnStride);
    boolean turned = !byRows && isEven(columns, rows, columnStride, rowStride);
    DType type = type(result);
    if (dtype == type && (byRows || turned)) {
      long lead = turned ? Math.max(columnStride, rows) : Math.max(rowStride, columns);
      return new Gemm.Matrix(address, dtype, turned, lead, batchStride);
    }
    return copied(address, dtype, type, turned ? columns : rows, turned ? rows : columns, turned ? columnStride : rowStride,
        turned ? rowStride : columnStride, batchStride == 0 ? 1 : batch, batchStride, turned);
  }

  /** Whether numbers of the minor dimension lie side by side, and those of the major one beyond each other. */
  private static boolean isEven(long major, long minor, long majorStride, long minorStride) {
    return (minor <= 1 || minorStride == 1) && (major <= 1 || majorStride >= minor);
  }

  /** The same of matrices without gaps in their rows or columns, rows x columns, or columns x rows where they are transposed. */
  Gemm.Matrix of(Gemm.Matrix m, DType result, long rows, long columns, long batch) {
    return of(m.address(), m.dtype(), result, rows, columns, m.transposed() ? 1 : m.lead(), m.transposed() ? m.lead() : 1, batch,
        m.batchStride());
  }

  /** Dense, {@code major x minor} as it lies in memory. */
  private Gemm.Matrix copied(long address, DType from, DType to, long major, long minor, long majorStride, long minorStride, long batch,
      long batchStride, boolean turned) {
    Tensor copy = Tensor.empty(Device.CUDA, to, Shape.of(batch, major, minor));
    copies.add(copy);
    String kernel = Launcher.variant(Launcher.variant("convert", from), to);
    boolean dense = minorStride == 1 && (majorStride == minor || major == 1) && (batch == 1 || batchStride == major * minor);
    if (dense) {
      launcher.each(copy.elementCount(), SOURCE, kernel + "_dense", address, copy, copy.elementCount());
    } else {
      launcher.each(copy.elementCount(), SOURCE, kernel, address, copy, copy.elementCount(), major, minor, batchStride, majorStride,
          minorStride);
    }
    return new Gemm.Matrix(copy.address(), to, turned, minor, batch == 1 ? 0 : major * minor);
  }

  @Override
  public void close() {
    copies.forEach(Tensor::close);
  }
}
