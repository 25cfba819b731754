package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandles;
import java.util.Map;
import jdk.incubator.vector.FloatVector;
import org.deft4j.tensor.op.Unary;

import static org.deft4j.tensor.internal.Simd.ORDER;

/**
 * {@code value f(gate)}, one loop for each {@link Unary} that models gate with (see {@link UnaryLoops}): a is the value, b the gate. And parts of the
 * gradients, of a gate a alone.
 */
final class GateLoops {
  private static final Map<Class<? extends Unary>, Outlined> LOOPS = Outlined.loops(MethodHandles.lookup(), Map.of(
      Unary.Gelu.class, "gelu",
      Unary.Silu.class, "silu"));

  private static final Map<String, Outlined> PARTS = Outlined.loops(MethodHandles.lookup(), Map.of(
      "distribution", "distribution",
      "density", "density"));
  /** The normal distribution at a. */
  static final Outlined DISTRIBUTION = PARTS.get("distribution");
  /** The density of the normal distribution at a. */
  static final Outlined DENSITY = PARTS.get("density");

  private GateLoops() {}

  /** The loop for {@code op}, or null. */
  static Outlined of(Unary op) {
    return LOOPS.get(op.getClass());
  }

  static void gelu(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = s.a(i).mul(VectorFunctions.gelu(s.b(i)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void silu(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector gate = s.b(i);
      FloatVector y = s.a(i).mul(gate.mul(MathVector.sigmoid(gate)));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void distribution(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = MathVector.normal(s.a(i));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }

  static void density(Span s) {
    for (int i = 0; i < s.vectors(); i++) {
      MemorySegment memory = s.y();
      long at = s.at(i);
      FloatVector y = VectorFunctions.normalDensity(s.a(i));
      y.intoMemorySegment(memory, at, ORDER);
    }
  }
}
