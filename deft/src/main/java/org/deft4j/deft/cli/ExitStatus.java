package org.deft4j.deft.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import java.util.List;
import java.util.Locale;
import org.deft4j.deft.InputException;
import org.deft4j.diffusion.image.PictureException;
import org.deft4j.diffusion.omnigen.ConditionException;
import org.deft4j.tensor.MemoryException;
import org.deft4j.weights.FormatException;

/** What the program's exit status means, and which one an error has. */
final class ExitStatus {
  /** Done. */
  static final int OK = 0;
  /** Failed while running. */
  static final int FAILED = 1;
  /** A mistake in the command, the configuration or the input. */
  static final int MISTAKE = 2;
  /** Not enough memory for what was asked. */
  static final int MEMORY = 3;
  /** Interrupted, after saving. */
  static final int INTERRUPTED = 130;

  private ExitStatus() {}

  /** The status for an error that ended a command. */
  static int of(Throwable error) {
    return switch (error) {
      case InputException e -> MISTAKE;
      case FormatException e -> MISTAKE;
      case PictureException e -> MISTAKE;
      case ConditionException e -> MISTAKE;
      case MemoryException e -> MEMORY;
      case OutOfMemoryError e -> MEMORY;
      default -> FAILED;
    };
  }

  /** What to tell the user: one sentence for each thing that is wrong. */
  static List<String> sentences(Throwable error) {
    return switch (error) {
      case InputException e -> e.problems();
      case OutOfMemoryError e -> List.of(heap(e));
      case UncheckedIOException e -> sentences(e.getCause());
      case IOException e -> List.of(reason(e));
      default -> List.of(error.getMessage() == null ? error.toString() : error.getMessage());
    };
  }

  /** What to tell the user where Java's own memory was too small. */
  static String heap(OutOfMemoryError error) {
    return "the Java heap is too small (" + error.getMessage() + "); raise it with DEFT_JAVA_OPTS=-Xmx4g";
  }

  /** Why the system refused: {@code out/run.json: No space left on device}. */
  static String reason(IOException error) {
    return switch (error) {
      case FileSystemException e when e.getReason() == null -> e.getMessage() + ": "
          + e.getClass().getSimpleName().replaceFirst("Exception$", "").replaceAll("(?<=[a-z])(?=[A-Z])", " ").toLowerCase(Locale.ROOT);
      default -> error.getMessage() == null ? error.toString() : error.getMessage();
    };
  }

  /** Whether an error is the system's or the user's doing, so that where in the program it came up helps nobody. */
  static boolean isExplained(Throwable error) {
    return of(error) != FAILED || error instanceof IOException || error instanceof UncheckedIOException;
  }
}
