package org.deft4j.weights;

import java.io.IOException;
import java.io.Serial;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * A file is not what it should be. The text is one sentence: the file, the byte or the key where that is known, the tensor
 * where one is meant, what was found, and what was expected.
 */
public final class FormatException extends RuntimeException {
  @Serial private static final long serialVersionUID = 1;

  /** {@link #offset} where no place in the file is to blame. */
  public static final long NO_OFFSET = -1;

  private final transient Path path;
  private final long offset;
  private final String tensor;

  /** With this text alone. */
  public FormatException(String message) {
    this(message, null);
  }

  /** With this text alone, found by way of {@code cause}. */
  public FormatException(String message, Throwable cause) {
    super(message, cause);
    this.path = null;
    this.offset = NO_OFFSET;
    this.tensor = null;
  }

  private FormatException(Path path, long offset, String tensor, String problem, Throwable cause) {
    super(path + ": " + (offset == NO_OFFSET ? "" : "byte " + offset + ": ")
        + (tensor == null ? "" : "tensor " + Text.quote(tensor) + ": ") + problem, cause);
    this.path = path;
    this.offset = offset;
    this.tensor = tensor;
  }

  /** {@code problem} with a file as a whole. */
  static FormatException of(Path path, String problem) {
    return new FormatException(path, NO_OFFSET, null, problem, null);
  }

  /** {@code problem} at a byte of a file. */
  static FormatException at(Path path, long offset, String problem, Throwable cause) {
    return new FormatException(path, offset, null, problem, cause);
  }

  /** {@code problem} with a tensor of a file; {@code offset} may be {@link #NO_OFFSET}. */
  static FormatException tensor(Path path, long offset, String tensor, String problem) {
    return new FormatException(path, offset, tensor, problem, null);
  }

  /** The system could not read {@code path}: says why in words. */
  static FormatException unreadable(Path path, IOException e) {
    String why = switch (e) {
      case NoSuchFileException _ -> "there is no such file";
      case AccessDeniedException _ -> "the system does not permit reading it";
      case CharacterCodingException _ -> "is not UTF-8 text";
      default -> Files.isDirectory(path) ? "is a folder; a file is needed" : "cannot be read: " + e.getMessage();
    };
    return new FormatException(path, NO_OFFSET, null, why, e);
  }

  /** The file, or null where none is known. */
  public Path path() {
    return path;
  }

  /** The byte in the file, counted from 0, or {@link #NO_OFFSET}. */
  public long offset() {
    return offset;
  }

  /** The tensor's name, or null. */
  public String tensor() {
    return tensor;
  }
}
