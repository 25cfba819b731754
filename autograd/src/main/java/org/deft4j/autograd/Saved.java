package org.deft4j.autograd;

import org.deft4j.tensor.Tensor;

/** A handle on a tensor that a step will need, and the version of its memory when it was recorded. */
record Saved(Tensor handle, long version) {
  static Saved of(Tensor tensor) {
    return new Saved(tensor.share(), tensor.version());
  }

  /** The tensor, as it was. */
  Tensor get(String op, String role) {
    if (handle.version() != version) {
      throw new IllegalStateException(op + ": gradients: " + role + ", " + handle + ", was changed in place after the "
          + "operation had used it, so its value then is lost. Ask for gradients before changing it, or give the "
          + "operation a copy()");
    }
    return handle;
  }

  /** Lets go of all that are there. */
  static void closeAll(Saved[] all) {
    for (Saved saved : all) {
      if (saved != null) {
        saved.handle.close();
      }
    }
  }
}
