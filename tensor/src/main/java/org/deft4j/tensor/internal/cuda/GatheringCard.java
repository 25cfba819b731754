package org.deft4j.tensor.internal.cuda;

import java.lang.foreign.MemorySegment;

/**
 * A card before which work may wait for more of its kind, to become one launch. Whatever else is asked of the card comes after what waits,
 * so nobody can tell that it waited. That holds for the memory it uses too, should it be given back meanwhile: whoever gets it next asks
 * the card to write there, or to give it back to the driver.
 */
final class GatheringCard implements Card {
  private final Card card;
  private Runnable waiting;

  GatheringCard(Card card) {
    this.card = card;
  }

  /** Lets {@code work} wait until something else is asked of this card, or until {@link #settle}; it may itself ask this card. */
  synchronized void postpone(Runnable work) {
    settle();
    waiting = work;
  }

  /** Runs what waits. */
  synchronized void settle() {
    Runnable work = waiting;
    waiting = null;
    if (work != null) {
      work.run();
    }
  }

  @Override
  public String describe() {
    return card.describe();
  }

  @Override
  public int multiprocessors() {
    return card.multiprocessors();
  }

  @Override
  public long freeBytes() {
    return card.freeBytes();
  }

  @Override
  public long allocate(long bytes) {
    return card.allocate(bytes);
  }

  @Override
  public void free(long address) {
    settle();
    card.free(address);
  }

  @Override
  public void upload(MemorySegment from, long to) {
    settle();
    card.upload(from, to);
  }

  @Override
  public void download(long from, MemorySegment into) {
    settle();
    card.download(from, into);
  }

  @Override
  public MemorySegment allocatePinned(long bytes) {
    return card.allocatePinned(bytes);
  }

  @Override
  public void freePinned(MemorySegment memory) {
    card.freePinned(memory);
  }

  /** What waits is of the other stream, and whether this comes before or after it is for events to say. */
  @Override
  public void uploadAside(MemorySegment from, long to) {
    card.uploadAside(from, to);
  }

  @Override
  public Event event() {
    return card.event();
  }

  @Override
  public void record(Event event, Stream stream) {
    if (stream == Stream.COMPUTE) {
      settle();
    }
    card.record(event, stream);
  }

  @Override
  public void await(Event event, Stream stream) {
    if (stream == Stream.COMPUTE) {
      settle();
    }
    card.await(event, stream);
  }

  @Override
  public void await(Event event) {
    card.await(event);
  }

  @Override
  public void copy(long from, long to, long bytes) {
    settle();
    card.copy(from, to, bytes);
  }

  @Override
  public void launch(String source, String kernel, long[] grid, int threads, int shared, Arguments arguments) {
    settle();
    card.launch(source, kernel, grid, threads, shared, arguments);
  }

  @Override
  public void multiply(Gemm gemm) {
    settle();
    card.multiply(gemm);
  }

  @Override
  public void synchronize() {
    settle();
    card.synchronize();
  }
}
