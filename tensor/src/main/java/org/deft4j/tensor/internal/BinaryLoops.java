package org.deft4j.tensor.internal;

import org.deft4j.tensor.op.Binary;

/** One loop for each arithmetic {@link Binary} (see {@link UnaryLoops}). */
final class BinaryLoops {
  private BinaryLoops() {}

  /** Whether there is a loop for {@code op}. */
  static boolean has(Binary op) {
    return switch (op) {
      case Binary.Pow() -> false;
      case Binary.Equal() -> false;
      case Binary.Less() -> false;
      case Binary.LessEqual() -> false;
      default -> true;
    };
  }

  /** Computes the whole vectors of {@code s}. */
  static void run(Binary op, Span s) {
    switch (op) {
      case Binary.Add() -> add(s);
      case Binary.Sub() -> sub(s);
      case Binary.Mul() -> mul(s);
      case Binary.Div() -> div(s);
      case Binary.Maximum() -> maximum(s);
      case Binary.Minimum() -> minimum(s);
      default -> throw new IllegalStateException(op.label());
    }
  }

  private static void add(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).add(s.b(i)));
    }
  }

  private static void sub(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).sub(s.b(i)));
    }
  }

  private static void mul(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).mul(s.b(i)));
    }
  }

  private static void div(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).div(s.b(i)));
    }
  }

  private static void maximum(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).max(s.b(i)));
    }
  }

  private static void minimum(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).min(s.b(i)));
    }
  }

  /** Computes the elements of a run of {@code length} that do not fill a vector. */
  static void rest(Binary op, Span s, long length) {
    for (long i = (long) s.vectors() * Simd.LANES; i < length; i++) {
      float a = s.a().get(Simd.F32, s.atA() + i * s.stepA() / Simd.LANES);
      float b = s.b().get(Simd.F32, s.atB() + i * s.stepB() / Simd.LANES);
      s.y().set(Simd.F32, s.atY() + i * Float.BYTES, switch (op) {
        case Binary.Add() -> a + b;
        case Binary.Sub() -> a - b;
        case Binary.Mul() -> a * b;
        case Binary.Div() -> a / b;
        case Binary.Maximum() -> Math.max(a, b);
        case Binary.Minimum() -> Math.min(a, b);
        default -> throw new IllegalStateException(op.label());
      });
    }
  }
}
