package org.deft4j.tensor.internal;

import java.lang.invoke.MethodHandles;
import java.util.Map;
import org.deft4j.tensor.op.Binary;

/** One loop for each arithmetic {@link Binary} (see {@link UnaryLoops}). */
final class BinaryLoops {
  private static final Map<Class<? extends Binary>, Outlined> LOOPS = Outlined.loops(MethodHandles.lookup(), Map.ofEntries(
      Map.entry(Binary.Add.class, "add"),
      Map.entry(Binary.Sub.class, "sub"),
      Map.entry(Binary.Mul.class, "mul"),
      Map.entry(Binary.Div.class, "div"),
      Map.entry(Binary.Maximum.class, "maximum"),
      Map.entry(Binary.Minimum.class, "minimum")));

  private BinaryLoops() {}

  /** Whether there is a loop for {@code op}. */
  static boolean has(Binary op) {
    return LOOPS.containsKey(op.getClass());
  }

  /** Computes the whole vectors of {@code s}. */
  static void run(Binary op, Span s) {
    LOOPS.get(op.getClass()).run(s);
  }

  static void add(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).add(s.b(i)));
    }
  }

  static void sub(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).sub(s.b(i)));
    }
  }

  static void mul(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).mul(s.b(i)));
    }
  }

  static void div(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).div(s.b(i)));
    }
  }

  static void maximum(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).max(s.b(i)));
    }
  }

  static void minimum(Span s) {
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
