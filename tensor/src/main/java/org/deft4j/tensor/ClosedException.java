package org.deft4j.tensor;

/** A tensor was used after it, or the scope that owned it, was closed. */
public final class ClosedException extends TensorException {
  private static final long serialVersionUID = 1;

  /** An error with this text. */
  public ClosedException(String message) {
    super(message, null);
  }

  /** An error with this text and cause. */
  public ClosedException(String message, Throwable cause) {
    super(message, cause);
  }
}
