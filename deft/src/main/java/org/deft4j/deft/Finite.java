package org.deft4j.deft;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/** Keeps NaN and infinities out of adapters and their files, where one would make every answer NaN. */
public final class Finite {
  private Finite() {}

  /**
   * {@code value} as it is.
   *
   * @param what the tensor, for the error
   * @throws InputException if an element is NaN or infinite
   */
  public static Tensor require(Tensor value, String what) {
    if (!holds(value)) {
      throw new InputException(what + " has a value that is not finite (NaN or infinity)");
    }
    return value;
  }

  /**
   * {@code value}, which is finite, in another type.
   *
   * @throws InputException if an element is beyond what the type holds
   */
  public static Tensor cast(Tensor value, DType type, String what) {
    Tensor cast = value.cast(type);
    if (!holds(cast)) {
      throw new InputException(what + " has values beyond those of " + type + ", up to " + value.abs().max(false).item()
          + "; write it as " + (type == DType.F16 ? "bf16 or f32" : "f32"));
    }
    return cast;
  }

  /** Whether every element is finite. Only finite values give zero when multiplied by zero; their sum is then zero too. */
  public static boolean holds(Tensor value) {
    try (Scope _ = Scope.open()) {
      return value.cast(value.dtype() == DType.F64 ? DType.F64 : DType.F32).mul(0).sum().item() == 0;
    }
  }
}
