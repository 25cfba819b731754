package org.deft4j.tensor;

/** A device cannot be used, or failed: what happened, and what would help. */
public final class DeviceException extends TensorException {
  private static final long serialVersionUID = 1;

  /** An error with this text. */
  public DeviceException(String message) {
    super(message, null);
  }

  /** An error with this text and cause. */
  public DeviceException(String message, Throwable cause) {
    super(message, cause);
  }
}
