package org.deft4j.autograd;

import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Unary;

import static org.deft4j.autograd.Rule.keeping;
import static org.deft4j.autograd.Saves.input;
import static org.deft4j.autograd.Saves.output;

/** {@code y = f(x)} element by element: {@code dx = f'(x) dy}. Written in y where that is as easy, for y is often kept anyway. */
final class UnaryRules {
  private static final double TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);

  private UnaryRules() {}

  static Rule of(Unary op) {
    return Rule.of(switch (op) {
      case Unary.Neg() -> keeping(b -> b.dy().neg());
      // f' = sign(x), and 0 at 0
      case Unary.Abs() -> keeping(input(0), b -> b.dy().mul(b.input(0).sign()));
      // f' = e^x = y
      case Unary.Exp() -> keeping(output(0), b -> b.dy().mul(b.output(0)));
      // f' = 1/x
      case Unary.Log() -> keeping(input(0), b -> b.dy().div(b.input(0)));
      // y^2 = x, so 2 y y' = 1
      case Unary.Sqrt() -> keeping(output(0), b -> b.dy().div(b.output(0)).mul(0.5));
      // y = x^(-1/2): f' = -1/2 x^(-3/2) = -y^3 / 2
      case Unary.Rsqrt() -> keeping(output(0), b -> b.dy().mul(b.output(0).square().mul(b.output(0))).mul(-0.5));
      // f' = -1/x^2 = -y^2
      case Unary.Reciprocal() -> keeping(output(0), b -> b.dy().mul(b.output(0).square()).neg());
      case Unary.Square() -> keeping(input(0), b -> b.dy().mul(b.input(0)).mul(2));
      case Unary.Sin() -> keeping(input(0), b -> b.dy().mul(b.input(0).cos()));
      case Unary.Cos() -> keeping(input(0), b -> b.dy().mul(b.input(0).sin()).neg());
      // f' = 1 - y^2
      case Unary.Tanh() -> keeping(output(0), b -> b.dy().mul(b.output(0).square().affine(-1, 1)));
      // f' = 2/sqrt(pi) e^(-x^2)
      case Unary.Erf() -> keeping(input(0), b -> b.dy().mul(b.input(0).square().neg().exp()).mul(TWO_OVER_SQRT_PI));
      // y = 1/(1 + e^-x): f' = y (1 - y)
      case Unary.Sigmoid() -> keeping(output(0), b -> b.dy().mul(b.output(0)).mul(b.output(0).affine(-1, 1)));
      case Unary.Silu() -> activation(op);
      case Unary.Gelu() -> activation(op);
      case Unary.GeluTanh() -> activation(op);
      case Unary.QuickGelu() -> activation(op);
      // f' = [x > 0] = [y > 0], and 0 at 0
      case Unary.Relu() -> keeping(output(0), b -> gradient(op, b.dy(), b.output(0)));
      // f' = x > 0 ? 1 : slope
      case Unary.LeakyRelu _ -> activation(op);
      // f' = sigmoid(x)
      case Unary.Softplus() -> activation(op);
      // constant wherever it has a derivative
      case Unary.Sign() -> keeping(b -> b.zeros(0));
      case Unary.Affine(var scale, var shift) -> keeping(b -> b.dy().mul(scale));
      // f' = [low <= x <= high], 1 at the bounds
      case Unary.Clamp _ -> activation(op);
      // f' = e x^(e - 1); for e = 0 also where x = 0
      case Unary.Power(var e) -> e == 0 ? keeping(b -> b.zeros(0))
          : keeping(input(0), b -> b.dy().mul(b.input(0).pow(e - 1)).mul(e));
    });
  }

  /** In one pass over memory, by the kernel that knows f'. */
  private static Rule.Partial activation(Unary op) {
    return keeping(input(0), b -> gradient(op, b.dy(), b.input(0)));
  }

  private static Tensor gradient(Unary op, Tensor dy, Tensor x) {
    return Dispatch.run(new Fused.ActivationGrad(op), dy, x)[0];
  }
}
