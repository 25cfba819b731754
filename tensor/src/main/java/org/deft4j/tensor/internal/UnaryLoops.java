package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.op.Unary;

import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.LE;
import static org.deft4j.tensor.internal.FloatFunctions.QUICK;
import static org.deft4j.tensor.internal.MathVector.splat;

/**
 * One loop for each {@link Unary}. They are written out because each must be compiled with its function inside it: a loop
 * that called the function through an interface would make an object of every vector.
 */
final class UnaryLoops {
  private UnaryLoops() {}

  /** Whether there is a loop for {@code op}. */
  static boolean has(Unary op) {
    return !(op instanceof Unary.Power);
  }

  /** Computes the whole vectors of {@code s}. */
  static void run(Unary op, Span s) {
    switch (op) {
      case Unary.Neg() -> neg(s);
      case Unary.Abs() -> abs(s);
      case Unary.Exp() -> exp(s);
      case Unary.Log() -> log(s);
      case Unary.Sqrt() -> sqrt(s);
      case Unary.Rsqrt() -> rsqrt(s);
      case Unary.Reciprocal() -> reciprocal(s);
      case Unary.Square() -> square(s);
      case Unary.Tanh() -> tanh(s);
      case Unary.Erf() -> erf(s);
      case Unary.Sigmoid() -> sigmoid(s);
      case Unary.Silu() -> silu(s);
      case Unary.Gelu() -> gelu(s);
      case Unary.GeluTanh() -> geluTanh(s);
      case Unary.QuickGelu() -> quickGelu(s);
      case Unary.Relu() -> relu(s);
      case Unary.Softplus() -> softplus(s);
      case Unary.Sign() -> sign(s);
      case Unary.Sin() -> sin(s);
      case Unary.Cos() -> cos(s);
      case Unary.LeakyRelu(var slope) -> leakyRelu(s, (float) slope);
      case Unary.Affine(var scale, var shift) -> {
        if ((float) shift == 0f) {
          scale(s, (float) scale);
        } else {
          affine(s, (float) scale, (float) shift);
        }
      }
      case Unary.Clamp(var low, var high) -> clamp(s, (float) low, (float) high);
      case Unary.Power power -> throw new IllegalStateException(power.label());
    }
  }

  private static void neg(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).neg());
    }
  }

  private static void abs(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).abs());
    }
  }

  private static void exp(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector y = MathVector.exp(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void log(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector y = MathVector.log(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void sqrt(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).sqrt());
    }
  }

  private static void rsqrt(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.a(i);
      s.put(i, splat(1f).div(x.sqrt()));
    }
  }

  private static void reciprocal(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, splat(1f).div(s.a(i)));
    }
  }

  private static void square(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.a(i);
      s.put(i, x.mul(x));
    }
  }

  private static void tanh(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector y = MathVector.tanh(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void erf(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector y = MathVector.erf(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void sigmoid(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector y = MathVector.sigmoid(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void silu(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector x = s.a(i);
      FloatVector y = x.mul(MathVector.sigmoid(x));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void gelu(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector y = VectorFunctions.gelu(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void geluTanh(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector y = VectorFunctions.geluTanh(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void quickGelu(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector x = s.a(i);
      FloatVector y = x.mul(MathVector.sigmoid(x.mul(QUICK)));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void relu(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.a(i);
      s.put(i, x.blend(splat(0f), x.compare(LE, 0f)));
    }
  }

  private static void softplus(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector y = MathVector.softplus(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void sign(Span s) {
    MemorySegment memory = s.y();
    for (int i = 0; i < s.vectors(); i++) {
      long at = s.at(i);
      FloatVector y = VectorFunctions.sign(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  private static void sin(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.a(i);
      if (MathVector.canTurn(x).allTrue()) {
        s.put(i, MathVector.sin(x));
      } else {
        s.scalar(i, MathF32::sin);
      }
    }
  }

  private static void cos(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.a(i);
      if (MathVector.canTurn(x).allTrue()) {
        s.put(i, MathVector.cos(x));
      } else {
        s.scalar(i, MathF32::cos);
      }
    }
  }

  private static void leakyRelu(Span s, float slope) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.a(i);
      s.put(i, x.mul(slope).blend(x, x.compare(GT, 0f)));
    }
  }

  private static void scale(Span s, float scale) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).mul(scale));
    }
  }

  private static void affine(Span s, float scale, float shift) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).fma(splat(scale), splat(shift)));
    }
  }

  private static void clamp(Span s, float low, float high) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).max(low).min(high));
    }
  }
}
