package org.deft4j.tensor.internal;

import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.ObjLongConsumer;
import org.deft4j.tensor.Threads;

/**
 * Splits work over outputs. Each index is computed by exactly one thread and in one way, so the number of threads, and
 * which thread gets which index, cannot change a bit of the result.
 *
 * <p>The helpers stay awake for a moment after each piece of work, since the next operation follows within microseconds and waking
 * a thread takes tens of them. One caller has them at a time; another computes alone meanwhile.
 */
public final class Parallel {
  /** How long a helper looks out for work before it sleeps, in nanoseconds. */
  private static final long AWAKE = 100_000;
  /** How often one looks for the helpers' end before it rests between looks, and how long, in nanoseconds. */
  private static final int LOOKS = 2000;
  private static final long NAP = 20_000;

  private static final ReentrantLock HELPERS = new ReentrantLock();
  private static final List<Helper> STARTED = new ArrayList<>();
  /** The latest work. */
  private static volatile Job current;

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
    if (threads <= 1 || INSIDE.get() || !HELPERS.tryLock()) {
      if (count > 0) {
        body.run(0, count);
      }
      return;
    }
    Job job = new Job(count, grain, pieces, body, threads - 1);
    try {
      start(threads - 1);
      current = job;
      for (Helper helper : STARTED) {
        helper.wake();
      }
      job.work();
      job.close();
    } finally {
      current = null;
      HELPERS.unlock();
    }
    switch (job.failure.get()) {
      case null -> {}
      case RuntimeException e -> throw e;
      case Error e -> throw e;
      case Throwable t -> throw new IllegalStateException(t);
    }
  }

  /**
   * Runs {@code body} on each index, with one of the workers that nobody else has meanwhile.
   *
   * @param workers as many as there are threads, or indices if those are fewer; or one, which does all
   */
  static <W> void forEach(long count, List<W> workers, ObjLongConsumer<W> body) {
    Queue<W> idle = new ConcurrentLinkedQueue<>(workers);
    forRange(count, workers.size() == 1 ? count : 1, (from, to) -> {
      W worker = idle.remove();
      for (long i = from; i < to; i++) {
        body.accept(worker, i);
      }
      idle.add(worker);
    });
  }

  /** Starts helpers until there are so many, or the system has no more threads: then those there are do the work. */
  private static void start(int wanted) {
    try {
      while (STARTED.size() < wanted) {
        Helper helper = new Helper();
        helper.thread.start();
        STARTED.add(helper);
      }
    } catch (OutOfMemoryError _) {
      return;
    }
  }

  /** One call of {@link #forRange}. */
  private static final class Job {
    private static final int CLOSED = -1;

    final long count;
    final long grain;
    final long pieces;
    final Range body;
    final int mostHelpers;
    final AtomicLong next = new AtomicLong();
    /** How many helpers are at it, or {@link #CLOSED}. */
    final AtomicInteger helpers = new AtomicInteger();
    final AtomicReference<Throwable> failure = new AtomicReference<>();

    Job(long count, long grain, long pieces, Range body, int mostHelpers) {
      this.count = count;
      this.grain = grain;
      this.pieces = pieces;
      this.body = body;
      this.mostHelpers = mostHelpers;
    }

    /** Takes pieces until none is left. */
    void work() {
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
    }

    /** Whether there is still a place for a helper. */
    private boolean join() {
      for (int there = helpers.get(); there != CLOSED && there < mostHelpers; there = helpers.get()) {
        if (helpers.compareAndSet(there, there + 1)) {
          return true;
        }
      }
      return false;
    }

    void help() {
      if (join()) {
        work();
        helpers.decrementAndGet();
      }
    }

    /** Waits for the helpers; who comes late finds it closed. */
    void close() {
      for (int looks = 0; !helpers.compareAndSet(0, CLOSED); looks++) {
        if (looks < LOOKS) {
          Thread.onSpinWait();
        } else {
          LockSupport.parkNanos(NAP);
        }
      }
    }
  }

  /** A thread that looks out for work. */
  private static final class Helper implements Runnable {
    final Thread thread = new Thread(this, "deft4j-worker");
    private volatile boolean asleep;

    Helper() {
      thread.setDaemon(true);
    }

    @Override
    public void run() {
      Job last = null;
      long awakeSince = System.nanoTime();
      while (true) {
        Job job = current;
        if (job != null && job != last) {
          last = job;
          job.help();
          awakeSince = System.nanoTime();
        } else if (System.nanoTime() - awakeSince < AWAKE) {
          Thread.onSpinWait();
        } else {
          last = null;
          asleep = true;
          // Work that was published before the caller could see this helper asleep is seen here.
          while (current == null) {
            LockSupport.park();
          }
          asleep = false;
        }
      }
    }

    void wake() {
      if (asleep) {
        LockSupport.unpark(thread);
      }
    }
  }
}
