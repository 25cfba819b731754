package org.deft4j.autograd;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Unary;

import static org.deft4j.autograd.Input.any;
import static org.deft4j.autograd.Input.between;
import static org.deft4j.autograd.Input.exactly;
import static org.deft4j.autograd.Input.mask;

/** Samples of unary and binary operations and of where. */
final class ElementwiseSamples {
  private final List<Sample> samples = new ArrayList<>();

  static List<Sample> all() {
    ElementwiseSamples made = new ElementwiseSamples();
    made.unary();
    made.binary();
    made.powers();
    made.where();
    return made.samples;
  }

  private void add(Op op, String what, Input... inputs) {
    samples.add(Sample.of(op.getClass(), op + ", " + what, in -> Dispatch.run(op, in)[0], inputs));
  }

  /** A function of one input in several shapes and layouts. */
  private void shapes(Unary op, Function<long[], Input> values) {
    add(op, "a scalar", values.apply(new long[0]));
    add(op, "a matrix", values.apply(new long[] {2, 3}));
    add(op, "transposed", values.apply(new long[] {3, 1, 2}).transposed());
    add(op, "every second", values.apply(new long[] {5}).sliced());
  }

  private void unary() {
    for (Unary op : List.of(new Unary.Neg(), new Unary.Abs(), new Unary.Exp(), new Unary.Square(), new Unary.Sin(),
        new Unary.Cos(), new Unary.Tanh(), new Unary.Erf(), new Unary.Sigmoid(), new Unary.Silu(), new Unary.Gelu(),
        new Unary.GeluTanh(), new Unary.QuickGelu(), new Unary.Relu(), new Unary.LeakyRelu(0.2), new Unary.Softplus(),
        new Unary.Sign(), new Unary.Affine(-1.7, 0.4), new Unary.Affine(2.5, 0), new Unary.Reciprocal(),
        new Unary.Power(3), new Unary.Power(2), new Unary.Power(0))) {
      shapes(op, Input::any);
    }
    for (Unary op : List.of(new Unary.Log(), new Unary.Sqrt(), new Unary.Rsqrt(), new Unary.Power(-1.5),
        new Unary.Power(0.5))) {
      shapes(op, shape -> between(0.2, 3, shape));
    }
    Unary clamp = new Unary.Clamp(-1, 0.75);
    shapes(clamp, Input::distinct);
    add(new Unary.Relu(), "all on one side", between(-2, -1, 3));
  }

  private void binary() {
    for (Binary op : List.of(new Binary.Add(), new Binary.Sub(), new Binary.Mul(), new Binary.Div())) {
      broadcasts(op, Input::any);
      samples.add(Sample.of(op.getClass(), op + ", one tensor on both sides", in -> Dispatch.run(op, in[0], in[0])[0]
          .add(in[0]), any(4)));
    }
    for (Binary op : List.of(new Binary.Maximum(), new Binary.Minimum())) {
      add(op, "one shape", exactly(new double[] {1, -2, 3, 0.5}, 2, 2), exactly(new double[] {0, 2, 1, 4}, 2, 2));
      add(op, "a row and a column", exactly(new double[] {1, -2, 3}, 3), exactly(new double[] {0, 2}, 2, 1));
      add(op, "a scalar", exactly(new double[] {0.3}), exactly(new double[] {0, 2, -1}, 3).sliced());
      add(op, "transposed", exactly(new double[] {1, -2, 3, 0.5}, 2, 2).transposed(),
          exactly(new double[] {0, 2, 1, 4}, 2, 2));
    }
  }

  private void broadcasts(Binary op, Function<long[], Input> values) {
    add(op, "one shape", values.apply(new long[] {2, 3}), values.apply(new long[] {2, 3}));
    add(op, "scalars", values.apply(new long[0]), values.apply(new long[0]));
    add(op, "a scalar and a matrix", values.apply(new long[0]), values.apply(new long[] {2, 2}));
    add(op, "a row and a column", values.apply(new long[] {3}), values.apply(new long[] {2, 1}));
    add(op, "dimensions missing and 1 on both sides", values.apply(new long[] {2, 1, 2}), values.apply(new long[] {3, 1}));
    add(op, "sizes of 1 kept", values.apply(new long[] {1, 2, 1}), values.apply(new long[] {1, 1, 1}));
    add(op, "strided", values.apply(new long[] {2, 3}).transposed(), values.apply(new long[] {2, 3}).sliced());
  }

  private void powers() {
    Binary op = new Binary.Pow();
    add(op, "one shape", between(0.3, 2, 2, 3), any(2, 3));
    add(op, "a row and a column", between(0.3, 2, 3), any(2, 1).transposed());
    add(op, "a scalar exponent", between(0.3, 2, 2, 2).sliced(), between(1, 2));
  }

  private void where() {
    Indexing op = new Indexing.Where();
    add(op, "one shape", mask(new long[] {1, 0, 0, 1}, 2, 2), any(2, 2), any(2, 2));
    add(op, "all broadcast", mask(new long[] {1, 0}, 2, 1, 1), any(3, 1), any(2).sliced());
    add(op, "scalars", mask(new long[] {1, 0, 1}, 3), any(), any());
    add(op, "strided", mask(new long[] {1, 0, 0, 1, 1, 0}, 2, 3), any(2, 3).transposed(), any(3));
  }
}
