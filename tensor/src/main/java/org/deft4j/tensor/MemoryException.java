package org.deft4j.tensor;

/** An allocation would exceed the memory budget; nothing was allocated. */
public final class MemoryException extends TensorException {
  private static final long serialVersionUID = 1;

  /** An error with this text. */
  public MemoryException(String message) {
    super(message, null);
  }

  /** An error with this text and cause. */
  public MemoryException(String message, Throwable cause) {
    super(message, cause);
  }
}
