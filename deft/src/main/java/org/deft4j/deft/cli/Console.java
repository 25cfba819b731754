package org.deft4j.deft.cli;

import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Locale;

/**
 * Where a command speaks: results on standard output, messages and progress on standard error. With {@code --json}
 * standard output carries one JSON document and nothing else.
 */
final class Console {
  private static final int BAR = 24;

  private final PrintStream out;
  private final PrintStream err;
  private final boolean json;
  private final boolean terminal;
  private boolean barOpen;
  private long lastLine = -1;

  /** A console; {@code terminal} says whether {@code err} shows a bar in place. */
  Console(PrintStream out, PrintStream err, boolean json, boolean terminal) {
    this.out = out;
    this.err = err;
    this.json = json;
    this.terminal = terminal;
  }

  /** The process's own, a terminal where the launcher says so. */
  static Console standard(boolean json) {
    return new Console(System.out, System.err, json, Boolean.getBoolean("deft4j.terminal"));
  }

  /** One that says nothing on standard output: for the parts of a longer work. */
  Console messagesOnly() {
    return new Console(new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8), err, true, terminal);
  }

  /** A line of the result for people; nothing with {@code --json}. */
  void result(String line) {
    endBar();
    if (!json) {
      out.println(line);
    }
  }

  /** The result as a document; nothing without {@code --json}. */
  void document(String text) {
    endBar();
    if (json) {
      out.println(text);
      out.flush();
    }
  }

  /** A message that is no result. */
  void message(String line) {
    endBar();
    err.println(line);
  }

  /**
   * How far a loop has come: step {@code done} of {@code total}, {@code detail} such as the loss, {@code elapsed} since the
   * first. A bar where there is a terminal, else a plain line about every twentieth of the way.
   */
  void progress(String what, long done, long total, String detail, Duration elapsed) {
    progress(what, 0, done, total, detail, elapsed);
  }

  /** The same where the first {@code before} of those that are done took another run's time. */
  void progress(String what, long before, long done, long total, String detail, Duration elapsed) {
    double seconds = elapsed.toNanos() / 1e9;
    double perStep = seconds / Math.max(1, done - before);
    String text = String.format(Locale.ROOT, "%s %d/%d  %s%s each  %s", what, done, total,
        detail.isEmpty() ? "" : detail + "  ", duration(perStep),
        done < total ? duration(perStep * (total - done)) + " left" : duration(seconds) + " in all");
    if (terminal) {
      int filled = (int) (BAR * done / Math.max(1, total));
      err.print("\r[" + "#".repeat(filled) + ".".repeat(BAR - filled) + "] " + text + "\u001b[K");
      err.flush();
      barOpen = done < total;
      if (!barOpen) {
        err.println();
      }
    } else if (done == total || done * 20 / Math.max(1, total) != lastLine) {
      lastLine = done * 20 / Math.max(1, total);
      err.println(text);
    }
  }

  private void endBar() {
    if (barOpen) {
      err.println();
      barOpen = false;
    }
  }

  /** {@code 1 record}, {@code 2 records}. */
  static String count(long number, String what) {
    return number + " " + what + (number == 1 ? "" : "s");
  }

  /** Seconds in a form for people: {@code 85 ms}, {@code 3.2 s}, {@code 4m05s}, {@code 2h07m}. */
  static String duration(double seconds) {
    if (seconds < 0.9995) {
      return String.format(Locale.ROOT, "%.0f ms", seconds * 1e3);
    }
    if (seconds < 60) {
      return String.format(Locale.ROOT, "%.1f s", seconds);
    }
    long whole = Math.round(seconds);
    return whole < 3600 ? String.format(Locale.ROOT, "%dm%02ds", whole / 60, whole % 60)
        : String.format(Locale.ROOT, "%dh%02dm", whole / 3600, whole % 3600 / 60);
  }
}
