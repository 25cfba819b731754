package org.deft4j.tensor.internal.cuda;

import java.lang.foreign.MemorySegment;

/**
 * All that is asked of a card: memory, copies, the launch of a kernel, a product of matrices. Everything runs in the order it was asked
 * for (one stream), and the caller does not wait for it but in {@link #download}, {@link #upload} and {@link #synchronize}; so memory may be
 * given back, and used for something else, while kernels that use it are still to run.
 *
 * <p>Apart from {@link #uploadAside}, which runs on a stream of its own, beside all else: what depends on it, or it on, is put in order with
 * events.
 */
public interface Card {
  /** A queue of work, done in the order it was asked for. */
  enum Stream {
    /** Of all but what is said to be of the other. */
    COMPUTE,
    /** Of {@link #uploadAside}. */
    COPY
  }

  /** A place in a stream, since it was recorded. */
  interface Event extends AutoCloseable {
    @Override
    void close();
  }

  /** For the log: its name, architecture and memory. */
  String describe();

  /** How many multiprocessors run blocks at the same time. */
  int multiprocessors();

  /** Bytes of its memory that nobody uses. */
  long freeBytes();

  /**
   * The address of so many bytes, a multiple of 256.
   *
   * @throws OutOfMemoryError if there are no more
   */
  long allocate(long bytes);

  /** Gives back what {@link #allocate} gave, after what runs has ended. */
  void free(long address);

  /** Copies from memory of this process, which may change afterwards. */
  void upload(MemorySegment from, long to);

  /** Copies into memory of this process, after waiting for all that was asked before. */
  void download(long from, MemorySegment into);

  /**
   * Memory of this process that the card reads by itself, page-locked.
   *
   * @throws OutOfMemoryError if the system locks no more
   */
  MemorySegment allocatePinned(long bytes);

  /** Gives back what {@link #allocatePinned} gave; no copy from it may be under way. */
  void freePinned(MemorySegment memory);

  /** Copies on the stream for copies from memory of this process, which must stay as it is until that is done. */
  void uploadAside(MemorySegment from, long to);

  /** An event that is nowhere yet: whoever waits for it does not wait. */
  Event event();

  /** Puts {@code event} behind all that was asked of {@code stream}. */
  void record(Event event, Stream stream);

  /** Has all that is asked of {@code stream} from now on come after {@code event}, where it is now. */
  void await(Event event, Stream stream);

  /** Waits until {@code event} has come to pass. */
  void await(Event event);

  /** Copies within the card. */
  void copy(long from, long to, long bytes);

  /**
   * Runs a kernel of a source in the resources. All blocks are of one dimension.
   *
   * @param source the file's name, without {@code .cu}
   * @param kernel the function's name
   * @param grid blocks in x, y and z
   * @param threads of a block
   * @param shared bytes of dynamic shared memory of a block
   * @param arguments in the order of the parameters
   */
  void launch(String source, String kernel, long[] grid, int threads, int shared, Arguments arguments);

  /** {@code C = alpha A B + beta C}, once for each of a batch. */
  void multiply(Gemm gemm);

  /** Waits for all that was asked. */
  void synchronize();
}
