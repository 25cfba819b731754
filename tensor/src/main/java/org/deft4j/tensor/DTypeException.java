package org.deft4j.tensor;

/** An element type does not fit the operation. */
public final class DTypeException extends TensorException {
  private static final long serialVersionUID = 1;

  /** An error with this text. */
  public DTypeException(String message) {
    super(message, null);
  }

  /** An error with this text and cause. */
  public DTypeException(String message, Throwable cause) {
    super(message, cause);
  }
}
