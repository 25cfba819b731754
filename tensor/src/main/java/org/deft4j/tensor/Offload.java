package org.deft4j.tensor;

import org.deft4j.tensor.internal.cuda.Cuda;
import org.deft4j.tensor.internal.cuda.Kept;
import org.deft4j.tensor.internal.cuda.Window;

/**
 * Models that are larger than the card: while this is open, the matrices and kernels of weights that are loaded ({@link #weights}) lie in
 * this process's memory, page-locked, and come to the card through a window of fixed size when an operation uses them, those that follow
 * while it runs. They are tensors of the card as all others, and results are the same to the bit. They are meant to stay as they are; what
 * works on one in place changes it here and there, and waits for the card.
 *
 * <pre>{@code
 * Device.use(Device.CUDA);
 * try (Offload _ = Offload.open(4L << 30); OmniGen model = OmniGen.load(path, DType.BF16)) {
 *   ...                                         // train or sample, with a card that holds 4 GiB of the weights at a time
 * }
 * }</pre>
 */
public final class Offload implements AutoCloseable {
  private static final ThreadLocal<Integer> LOADING = ThreadLocal.withInitial(() -> 0);
  private static volatile Offload current;

  private final Segment memory;
  private final Window window;

  private Offload(Segment memory) {
    this.memory = memory;
    this.window = new Window(Cuda.card(), memory.address(), memory.size());
  }

  /** Weights are being loaded, until it is closed. */
  @FunctionalInterface
  public interface Loading extends AutoCloseable {
    @Override
    void close();
  }

  /**
   * Begins; {@link #close} ends it, after the weights were closed.
   *
   * @param windowBytes of the card's memory; at least as many as the weights of two operations have
   * @throws DeviceException if tensors are not made on a card
   * @throws MemoryException if the card's budget has not so many left
   * @throws IllegalStateException if one is open
   */
  public static synchronized Offload open(long windowBytes) {
    if (Device.current() != Device.CUDA) {
      throw new DeviceException("weights are kept beside a card only where tensors are made on one; use the device cuda first");
    }
    if (current != null) {
      throw new IllegalStateException("weights are kept beside the card already");
    }
    current = new Offload(MemoryPool.of(Device.CUDA).setAside(windowBytes, () -> "the window for weights that are kept in the machine's memory"));
    return current;
  }

  /** Has what is made on this thread, until what is returned is closed, be weights: of those with two dimensions or more it takes care. */
  public static Loading weights() {
    LOADING.set(LOADING.get() + 1);
    return () -> LOADING.set(LOADING.get() - 1);
  }

  /** Has what is made on this thread be no weights, until what is returned is closed: what a kernel needs for itself. */
  static Loading pause() {
    int depth = LOADING.get();
    LOADING.set(0);
    return () -> LOADING.set(depth);
  }

  /** Whether weights that are loaded now would be kept: one is open, or is rehearsed. */
  public static boolean isOn() {
    Rehearsal rehearsal = Rehearsal.current();
    return rehearsal == null ? current != null : rehearsal.offloads();
  }

  /** Whether the elements of {@code tensor} lie in this process's memory, for a card. */
  public static boolean keeps(Tensor tensor) {
    return tensor.kept() != null;
  }

  /** Bytes that went to the card so far. */
  public long uploadedBytes() {
    return window.uploadedBytes();
  }

  /** Whether a tensor that is made now is one of the weights to be kept. */
  static boolean takes(Device device, Shape shape) {
    boolean onCard = device == Device.CUDA || (device == Device.META && Rehearsal.isOpen());
    return LOADING.get() > 0 && shape.rank() >= 2 && onCard && isOn();
  }

  /** Whether the pool that a weight of several dimensions comes from is that of what is kept. */
  static boolean isLoading() {
    return LOADING.get() > 0 && isOn();
  }

  /** Where what is kept goes through. */
  static Window window() {
    Offload open = current;
    if (open == null) {
      throw new IllegalStateException("a tensor is kept in the machine's memory for a card, and no Offload is open to bring it there");
    }
    return open.window;
  }

  /** Before {@code kept} is changed in this process, or given back. */
  static void forget(Kept kept, boolean gone) {
    Offload open = current;
    if (open != null) {
      open.window.forget(kept, gone);
    }
  }

  /** Waits for the card, and gives the window back, and the memory of weights that were closed. */
  @Override
  public void close() {
    synchronized (Offload.class) {
      if (current != this) {
        return;
      }
      current = null;
    }
    window.close();
    MemoryPool.of(Device.CUDA).giveBack(memory);
    MemoryPool.kept().trim();
  }
}
