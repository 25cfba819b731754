package org.deft4j.deft.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import org.deft4j.deft.InputException;
import org.deft4j.diffusion.image.PictureException;
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
      case MemoryException e -> MEMORY;
      case OutOfMemoryError e -> MEMORY;
      default -> FAILED;
    };
  }

  /** What to tell the user: one sentence for each thing that is wrong. */
  static List<String> sentences(Throwable error) {
    return switch (error) {
      case InputException e -> e.problems();
      case OutOfMemoryError e -> List.of("the Java heap is too small: " + e.getMessage()
          + "; raise it with DEFT_JAVA_OPTS=-Xmx4g");
      case UncheckedIOException e -> sentences(e.getCause());
      case IOException e -> List.of(e.getClass().getSimpleName() + ": " + e.getMessage());
      default -> List.of(error.getMessage() == null ? error.toString() : error.getMessage());
    };
  }
}
