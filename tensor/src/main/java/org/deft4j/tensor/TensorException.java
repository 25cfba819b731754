package org.deft4j.tensor;

/** What can go wrong with tensors; the text names the operation, the argument, what was expected and what was found. */
public sealed class TensorException extends RuntimeException
    permits ShapeException, DTypeException, MemoryException, ClosedException, DeviceException, NumericException {
  private static final long serialVersionUID = 1;

  TensorException(String message, Throwable cause) {
    super(message, cause);
  }
}
