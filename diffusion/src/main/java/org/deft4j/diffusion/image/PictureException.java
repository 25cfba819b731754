package org.deft4j.diffusion.image;

import java.nio.file.Path;

/** A file that cannot be used as a picture; the text names the file, what is wrong with it, and what would help. */
public final class PictureException extends RuntimeException {
  private static final long serialVersionUID = 1;

  /** What is wrong with the file. */
  public enum Kind {
    /** It does not exist, is a folder, or may not be read. */
    UNREADABLE,
    /** It has no bytes. */
    EMPTY,
    /** It is no picture of any known kind. */
    NOT_A_PICTURE,
    /** It is a picture of a kind that is not read here. */
    UNSUPPORTED,
    /** It is truncated or corrupt. */
    DAMAGED,
    /** It has more pixels than allowed. */
    TOO_LARGE
  }

  private final transient Path path;
  private final Kind kind;

  PictureException(Path path, Kind kind, String what, Throwable cause) {
    super("picture " + path + ": " + what, cause);
    this.path = path;
    this.kind = kind;
  }

  /** The file; null after deserialization. */
  public Path path() {
    return path;
  }

  /** What is wrong with it. */
  public Kind kind() {
    return kind;
  }
}
