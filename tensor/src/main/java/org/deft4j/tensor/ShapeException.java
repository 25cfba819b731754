package org.deft4j.tensor;

/** A shape, dimension or index does not fit the operation. */
public final class ShapeException extends TensorException {
  private static final long serialVersionUID = 1;

  /** An error with this text. */
  public ShapeException(String message) {
    super(message, null);
  }

  /** An error with this text and cause. */
  public ShapeException(String message, Throwable cause) {
    super(message, cause);
  }
}
