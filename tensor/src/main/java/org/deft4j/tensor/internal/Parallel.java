package org.deft4j.tensor.internal;

import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Phaser;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.deft4j.tensor.Threads;

/**
 * Splits work over outputs. Each index is computed by exactly one thread and in one way, so the number of threads, and
 * which thread gets which index, cannot change a bit of the result.
 */
public final class Parallel {
  private static final ExecutorService WORKERS = Executors.newCachedThreadPool(task -> {
    Thread thread = new Thread(task, "deft4j-worker");
    thread.setDaemon(true);
    return thread;
  });

  /** Set on a thread that is inside a parallel region: what it calls runs on it alone. */
  private static final ThreadLocal<Boolean> INSIDE = ThreadLocal.withInitial(() -> false);

  private Parallel() {}

  /** Work on the indices {@code from} (inclusive) to {@code to} (exclusive). */
  @FunctionalInterface
  public interface Range {
    /** Does it. */
    void run(long from, long to);
  }

  /**
   * Runs {@code body} over 0 .. count in pieces of {@code grain} indices (the last may be shorter), taken by the threads
   * as they become free.
   */
  public static void forRange(long count, long grain, Range body) {
    long pieces = (count + grain - 1) / grain;
    int threads = (int) Math.min(Threads.count(), pieces);
    if (threads <= 1 || INSIDE.get()) {
      if (count > 0) {
        body.run(0, count);
      }
      return;
    }
    AtomicLong next = new AtomicLong();
    AtomicReference<Throwable> failure = new AtomicReference<>();
    Runnable worker = () -> {
      INSIDE.set(true);
      try {
        for (long piece = next.getAndIncrement(); piece < pieces; piece = next.getAndIncrement()) {
          body.run(piece * grain, Math.min(count, (piece + 1) * grain));
        }
      } catch (Throwable t) {
        failure.compareAndSet(null, t);
        next.set(pieces);
      } finally {
        INSIDE.set(false);
      }
    };
    Phaser done = new Phaser(1);
    for (int i = 1; i < threads; i++) {
      done.register();
      try {
        WORKERS.execute(() -> {
          try {
            worker.run();
          } finally {
            done.arriveAndDeregister();
          }
        });
      } catch (OutOfMemoryError _) {
        // The system has no more threads: those there are do the work.
        done.arriveAndDeregister();
        break;
      }
    }
    worker.run();
    done.arriveAndAwaitAdvance();
    switch (failure.get()) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case Throwable t -> throw new IllegalStateException(t);
    }
  }
}
