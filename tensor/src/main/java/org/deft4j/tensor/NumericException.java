package org.deft4j.tensor;

/** The numbers make the operation undefined, such as a rank-deficient matrix in a decomposition. */
public final class NumericException extends TensorException {
  private static final long serialVersionUID = 1;

  /** An error with this text. */
  public NumericException(String message) {
    super(message, null);
  }

  /** An error with this text and cause. */
  public NumericException(String message, Throwable cause) {
    super(message, cause);
  }
}
