package org.deft4j.deft.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import org.deft4j.tensor.MemoryException;

/** What a run is doing now: errors and interrupts say it, and a memory plan is cut along it. */
final class Activity {
  /** Told before something else begins. */
  @FunctionalInterface
  interface Listener {
    /** {@code phase} begins, or goes on with its next part. */
    void begins(Phase phase, String detail);
  }

  /** A run, or a part of one. */
  @FunctionalInterface
  interface Work {
    /** Does it. */
    void run() throws IOException;
  }

  private final Listener listener;
  private volatile String now = Phase.STARTING.doing();

  /** Starting. */
  Activity() {
    this((phase, detail) -> {});
  }

  /** Starting; {@code listener} is told of all that follows. */
  Activity(Listener listener) {
    this.listener = listener;
  }

  /** From now on: {@code phase}, or with a {@code detail} (may be empty) the next part of it. */
  void begin(Phase phase, String detail) {
    listener.begins(phase, detail);
    now = phase.doing() + (detail.isEmpty() ? "" : (phase == Phase.WRITING ? " " : ", ") + detail);
  }

  /** From now on: step {@code number} of {@code all}. */
  void begin(Phase phase, long number, long all) {
    begin(phase, "step " + number + " of " + all);
  }

  /** From now on what it was at an earlier time, in the words of {@link #now}; a listener is not told of it. */
  void goOn(String before) {
    now = before;
  }

  /** In words. */
  String now() {
    return now;
  }

  /** Does {@code work}; if memory or the disk fails it, the error says what was being done. */
  void named(Work work) throws IOException {
    try {
      work.run();
    } catch (MemoryException e) {
      throw new MemoryException("while " + now + ": " + e.getMessage(), e);
    } catch (OutOfMemoryError e) {
      throw new MemoryException("while " + now + ": " + ExitStatus.heap(e), e);
    } catch (UncheckedIOException e) {
      throw new IOException("while " + now + ": " + ExitStatus.reason(e.getCause()), e);
    } catch (IOException e) {
      throw new IOException("while " + now + ": " + ExitStatus.reason(e), e);
    }
  }
}
