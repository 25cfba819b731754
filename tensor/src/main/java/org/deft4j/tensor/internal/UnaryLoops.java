package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.util.Map;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.op.Unary;

import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.LE;
import static org.deft4j.tensor.internal.FloatFunctions.QUICK;
import static org.deft4j.tensor.internal.MathVector.splat;

/**
 * One loop for each {@link Unary}. They are written out because each must be compiled with its function inside it: a loop
 * that called the function through an interface would make an object of every vector. And each is compiled by itself:
 * see {@link Outlined}.
 */
final class UnaryLoops {
  private static final Map<Class<? extends Unary>, Outlined> LOOPS = Outlined.loops(MethodHandles.lookup(), Map.ofEntries(
      Map.entry(Unary.Neg.class, "neg"),
      Map.entry(Unary.Abs.class, "abs"),
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
      Map.entry(Unary.Relu.class, "relu"),
      Map.entry(Unary.Softplus.class, "softplus"),
      Map.entry(Unary.Sign.class, "sign"),
      Map.entry(Unary.Sin.class, "sin"),
      Map.entry(Unary.Cos.class, "cos")));

  private UnaryLoops() {}

  /** Whether there is a loop for {@code op}. */
  static boolean has(Unary op) {
    return !(op instanceof Unary.Power);
  }

  /** Computes the whole vectors of {@code s}. */
  static void run(Unary op, Span s) {
    Outlined loop = LOOPS.get(op.getClass());
    if (loop != null) {
      loop.run(s);
      return;
    }
    switch (op) {
      case Unary.LeakyRelu(var slope) -> leakyRelu(s, (float) slope);
      case Unary.Affine(var scale, var shift) -> {
        if ((float) shift == 0f) {
          scale(s, (float) scale);
        } else {
          affine(s, (float) scale, (float) shift);
        }
      }
      case Unary.Clamp(var low, var high) -> clamp(s, (float) low, (float) high);
      default -> throw new IllegalStateException(op.label());
    }
  }

  static void neg(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).neg());
    }
  }

  static void abs(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).abs());
    }
  }

  static void exp(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = MathVector.exp(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void log(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = MathVector.log(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void sqrt(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, s.a(i).sqrt());
    }
  }

  static void rsqrt(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.a(i);
      s.put(i, splat(1f).div(x.sqrt()));
    }
  }

  static void reciprocal(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      s.put(i, splat(1f).div(s.a(i)));
    }
  }

  static void square(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.a(i);
      s.put(i, x.mul(x));
    }
  }

  static void tanh(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = MathVector.tanh(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void erf(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = MathVector.erf(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void sigmoid(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = MathVector.sigmoid(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void silu(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector x = s.a(i);
      FloatVector y = x.mul(MathVector.sigmoid(x));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void gelu(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = VectorFunctions.gelu(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void geluTanh(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = VectorFunctions.geluTanh(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void quickGelu(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector x = s.a(i);
      FloatVector y = x.mul(MathVector.sigmoid(x.mul(QUICK)));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void relu(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.a(i);
      s.put(i, x.blend(splat(0f), x.compare(LE, 0f)));
    }
  }

  static void softplus(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = MathVector.softplus(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void sign(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = VectorFunctions.sign(s.a(i));
      y.intoMemorySegment(memory, at, Simd.ORDER);
    }
  }

  static void sin(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      FloatVector x = s.a(i);
      if (MathVector.canTurn(x).allTrue()) {
        s.put(i, MathVector.sin(x));
      } else {
        s.scalar(i, MathF32::sin);
      }
    }
  }

  static void cos(Span s) {
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
