package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.util.Map;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.op.Unary;

import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.LE;
import static org.deft4j.tensor.internal.FloatFunctions.QUICK;
import static org.deft4j.tensor.internal.FloatFunctions.TWO_OVER_SQRT_PI;
import static org.deft4j.tensor.internal.MathVector.splat;
import static org.deft4j.tensor.internal.Simd.ORDER;

/** {@code dy f'(x)}, one loop for each {@link Unary} (see {@link UnaryLoops}): a is dy, b is x. */
final class SlopeLoops {
  private static final Map<Class<? extends Unary>, Outlined> LOOPS = Outlined.loops(MethodHandles.lookup(), Map.ofEntries(
      Map.entry(Unary.Exp.class, "exp"),
      Map.entry(Unary.Log.class, "log"),
      Map.entry(Unary.Sqrt.class, "sqrt"),
      Map.entry(Unary.Rsqrt.class, "rsqrt"),
      Map.entry(Unary.Reciprocal.class, "reciprocal"),
      Map.entry(Unary.Square.class, "square"),
      Map.entry(Unary.Tanh.class, "tanh"),
      Map.entry(Unary.Erf.class, "erf"),
      Map.entry(Unary.Sigmoid.class, "sigmoid"),
      Map.entry(Unary.Silu.class, "silu"),
      Map.entry(Unary.Gelu.class, "gelu"),
      Map.entry(Unary.GeluTanh.class, "geluTanh"),
      Map.entry(Unary.QuickGelu.class, "quickGelu"),
      Map.entry(Unary.Softplus.class, "softplus"),
      Map.entry(Unary.Abs.class, "abs"),
      Map.entry(Unary.Sin.class, "sin"),
      Map.entry(Unary.Cos.class, "cos")));

  private SlopeLoops() {}

  /** Whether there is a loop for the derivative of {@code op}; the constant ones are not worth one. */
  static boolean has(Unary op) {
    return switch (op) {
      case Unary.Neg() -> false;
      case Unary.Sign() -> false;
      case Unary.Affine ignored -> false;
      case Unary.Power ignored -> false;
      default -> true;
    };
  }

  /** Computes the whole vectors of {@code s}. */
  static void run(Unary op, Span s) {
    Outlined loop = LOOPS.get(op.getClass());
    if (loop != null) {
      loop.run(s);
      return;
    }
    switch (op) {
      case Unary.Relu() -> leakyRelu(s, 0f);
      case Unary.LeakyRelu(var slope) -> leakyRelu(s, (float) slope);
      case Unary.Clamp(var low, var high) -> clamp(s, (float) low, (float) high);
      default -> throw new IllegalStateException(op.label());
    }
  }

  static void exp(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = s.a(i).mul(MathVector.exp(s.b(i)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void log(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).mul(splat(1f).div(s.b(i))));
    }
  }

  static void sqrt(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.b(i);
      s.put(i, s.a(i).mul(splat(0.5f).div(x.sqrt())));
    }
  }

  static void rsqrt(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.b(i);
      s.put(i, s.a(i).mul(splat(-0.5f).div(x.mul(x.sqrt()))));
    }
  }

  static void reciprocal(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.b(i);
      s.put(i, s.a(i).mul(splat(-1f).div(x.mul(x))));
    }
  }

  static void square(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.b(i);
      s.put(i, s.a(i).mul(x.mul(2f)));
    }
  }

  static void tanh(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = s.a(i).mul(VectorFunctions.tanhSlope(s.b(i)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void erf(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector x = s.b(i);
      FloatVector y = s.a(i).mul(MathVector.exp(x.mul(x).neg()).mul(TWO_OVER_SQRT_PI));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void sigmoid(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = s.a(i).mul(VectorFunctions.sigmoidSlope(s.b(i)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void silu(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = s.a(i).mul(VectorFunctions.swishSlope(s.b(i)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void gelu(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector x = s.b(i);
      FloatVector density = VectorFunctions.normalDensity(x);
      FloatVector y = s.a(i).mul(x.fma(density, MathVector.normal(x)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void geluTanh(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = s.a(i).mul(VectorFunctions.geluTanhSlope(s.b(i)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void quickGelu(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector x = s.b(i);
      FloatVector y = s.a(i).mul(VectorFunctions.swishSlope(x.mul(QUICK)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void softplus(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = s.a(i).mul(MathVector.sigmoid(s.b(i)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void abs(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = s.a(i).mul(VectorFunctions.sign(s.b(i)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void sin(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.b(i);
      if (MathVector.canTurn(x).allTrue()) {
        s.put(i, s.a(i).mul(MathVector.cos(x)));
      } else {
        s.scalarProduct(i, MathF32::cos);
      }
    }
  }

  static void cos(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.b(i);
      if (MathVector.canTurn(x).allTrue()) {
        s.put(i, s.a(i).mul(MathVector.sin(x).neg()));
      } else {
        s.scalarProduct(i, v -> -MathF32.sin(v));
      }
    }
  }

  private static void leakyRelu(Span s, float slope) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).mul(splat(slope).blend(splat(1f), s.b(i).compare(GT, 0f))));
    }
  }

  private static void clamp(Span s, float low, float high) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.b(i);
      s.put(i, s.a(i).mul(splat(0f).blend(splat(1f), splat(low).compare(LE, x).and(x.compare(LE, high)))));
    }
  }
}
