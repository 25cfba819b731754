package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Tensor;

/** Dense tensors that one launch goes over, some blocks for each: {@code struct Tensors} of {@code global_norm.cu}. */
final class TensorBatch implements Struct {
  /** The most that the arguments of a launch hold. */
  static final int MOST = 150;
  /** Elements for a block. */
  private static final long PIECE = 16L * Launcher.THREADS;

  private final List<Tensor> tensors;
  private long blocks;

  private TensorBatch(List<Tensor> tensors) {
    this.tensors = tensors;
    for (Tensor tensor : tensors) {
      blocks += blocks(tensor);
    }
  }

  /** All of them but those without elements, as few launches as they can be. */
  static List<TensorBatch> of(List<Tensor> tensors) {
    List<Tensor> full = tensors.stream().filter(tensor -> tensor.elementCount() > 0).toList();
    List<TensorBatch> batches = new ArrayList<>();
    for (int start = 0; start < full.size(); start += MOST) {
      batches.add(new TensorBatch(full.subList(start, Math.min(start + MOST, full.size()))));
    }
    return batches;
  }

  private static long blocks(Tensor tensor) {
    return Math.ceilDiv(tensor.elementCount(), PIECE);
  }

  /** Of all of them. */
  long blocks() {
    return blocks;
  }

  @Override
  public int bytes() {
    return Long.BYTES + MOST * 3 * Long.BYTES;
  }

  @Override
  public void put(ByteBuffer bytes) {
    int end = bytes.position() + bytes();
    bytes.putLong(tensors.size());
    long first = 0;
    for (Tensor tensor : tensors) {
      bytes.putLong(first).putLong(tensor.elementCount()).putLong(tensor.address());
      first += blocks(tensor);
    }
    bytes.position(end);
  }
}
