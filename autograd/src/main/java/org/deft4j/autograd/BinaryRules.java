package org.deft4j.autograd;

import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;

import static org.deft4j.autograd.Rule.keeping;
import static org.deft4j.autograd.Saves.input;
import static org.deft4j.autograd.Saves.inputs;
import static org.deft4j.autograd.Saves.output;

/** {@code y = f(a, b)}. Gradients have the shape of y; the tape sums them where a or b was broadcast. */
final class BinaryRules {
  private BinaryRules() {}

  static Rule of(Binary op) {
    return switch (op) {
      case Binary.Add() -> Rule.of(keeping(Backward::dy), keeping(Backward::dy));
      case Binary.Sub() -> Rule.of(keeping(Backward::dy), keeping(b -> b.dy().neg()));
      // da = dy b, db = dy a
      case Binary.Mul() -> Rule.of(
          keeping(input(1), b -> b.dy().mul(b.input(1))),
          keeping(input(0), b -> b.dy().mul(b.input(0))));
      // da = dy / b, db = -dy a / b^2 = -dy y / b
      case Binary.Div() -> Rule.of(
          keeping(input(1), b -> b.dy().div(b.input(1))),
          keeping(input(1).and(output(0)), b -> b.dy().mul(b.output(0)).div(b.input(1)).neg()));
      case Binary.Maximum() -> Rule.of(
          keeping(inputs(2), b -> unlessBelow(b, b.input(0), b.input(1))),
          keeping(inputs(2), b -> unlessBelow(b, b.input(1), b.input(0))));
      case Binary.Minimum() -> Rule.of(
          keeping(inputs(2), b -> unlessAbove(b, b.input(0), b.input(1))),
          keeping(inputs(2), b -> unlessAbove(b, b.input(1), b.input(0))));
      // da = dy b a^(b-1), and 0 where b = 0; db = dy y ln a, and 0 where a = 0 <= b
      case Binary.Pow() -> Rule.of(
          keeping(inputs(2), BinaryRules::powBase),
          keeping(inputs(2).and(output(0)), BinaryRules::powExponent));
      case Binary.Equal() -> Rule.CONSTANT;
      case Binary.Less() -> Rule.CONSTANT;
      case Binary.LessEqual() -> Rule.CONSTANT;
    };
  }

  /** dy where {@code mine} is the larger, half of it on a tie: the other takes the other half. */
  private static Tensor unlessBelow(Backward b, Tensor mine, Tensor other) {
    return share(b, mine.less(other), mine.equal(other));
  }

  private static Tensor unlessAbove(Backward b, Tensor mine, Tensor other) {
    return share(b, other.less(mine), mine.equal(other));
  }

  private static Tensor share(Backward b, Tensor lost, Tensor tie) {
    return lost.where(b.zero(), tie.where(b.dy().mul(0.5), b.dy()));
  }

  private static Tensor powBase(Backward b) {
    Tensor exponent = b.input(1);
    Tensor slope = exponent.mul(b.input(0).pow(exponent.add(-1)));
    return exponent.equal(b.zero()).where(b.zero(), b.dy().mul(slope));
  }

  private static Tensor powExponent(Backward b) {
    Tensor base = b.input(0);
    Tensor flat = base.equal(b.zero()).where(b.zero().lessEqual(b.input(1)), b.zero().less(b.zero()));
    return flat.where(b.zero(), b.dy().mul(b.output(0)).mul(base.log()));
  }
}
