package org.deft4j.tensor;

import java.util.Locale;

/**
 * How a card multiplies float32 in products, convolutions and attention, and what models hold between their layers. Sums are in float32
 * whatever is chosen; float64 is multiplied as it is, and so is everything on the CPU.
 */
public enum Precision {
  /** In float32: the numbers of the CPU but for the order of sums. */
  FULL(DType.F32),
  /** On tensor cores, each factor rounded to 10 bits after the point: NVIDIA's TF32. */
  TF32(DType.F32),
  /** On tensor cores, each factor rounded to BF16 first; and between their layers models hold BF16. */
  BF16(DType.BF16),
  /** On tensor cores, each factor rounded to F16 first. */
  F16(DType.F16);

  private static volatile Precision current = parse(System.getProperty("deft4j.precision", "full"));

  private final DType factors;

  Precision(DType factors) {
    this.factors = factors;
  }

  /** The type in which factors that are float32 are given to the multiplication. */
  public DType factors() {
    return factors;
  }

  /** The type that a model brings its inputs to, and so holds between its layers: BF16 or F32. */
  public DType activations() {
    return this == BF16 ? DType.BF16 : DType.F32;
  }

  /** {@code x} as a model holds it between its layers: F32 becomes {@link #activations}, other types stay. */
  public Tensor held(Tensor x) {
    return x.dtype() == DType.F32 ? x.cast(activations()) : x;
  }

  /** What the process uses: {@code -Ddeft4j.precision}, {@link #FULL} if nothing was said, or what {@link #use} said last. */
  public static Precision current() {
    return current;
  }

  /** Has the whole process use {@code precision} from now on. */
  public static void use(Precision precision) {
    current = precision;
  }

  /**
   * Reads {@code full}, {@code tf32}, {@code bf16} or {@code f16}.
   *
   * @throws IllegalArgumentException for another name
   */
  public static Precision parse(String name) {
    try {
      return valueOf(name.toUpperCase(Locale.ROOT));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException("precision '" + name + "' is unknown; use full, tf32, bf16 or f16", e);
    }
  }
}
