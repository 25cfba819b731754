package org.deft4j.tensor.internal.cuda;

import java.util.Locale;
import org.deft4j.tensor.DType;

/** How the card multiplies float32; sums are in float32 whatever is chosen, and float64 is multiplied as it is. */
public enum Precision {
  /** In float32: the numbers of the CPU but for the order of sums. */
  FULL(DType.F32),
  /** On tensor cores, each factor rounded to 10 bits after the point: TF32. */
  TF32(DType.F32),
  /** On tensor cores, each factor rounded to BF16 first. */
  BF16(DType.BF16),
  /** On tensor cores, each factor rounded to F16 first. */
  F16(DType.F16);

  /** The property that chooses. */
  private static final String PROPERTY = "deft4j.cuda.precision";

  private final DType factors;

  Precision(DType factors) {
    this.factors = factors;
  }

  /** The type that factors which are float32 are given to the multiplication in. */
  DType factors() {
    return factors;
  }

  /** What {@code -Ddeft4j.cuda.precision} says, in full float32 if nothing. */
  static Precision chosen() {
    String name = System.getProperty(PROPERTY, "full");
    try {
      return valueOf(name.toUpperCase(Locale.ROOT));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(PROPERTY + ": " + name + ", expected full, tf32, bf16 or f16", e);
    }
  }
}
