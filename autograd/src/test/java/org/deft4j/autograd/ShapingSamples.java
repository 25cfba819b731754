package org.deft4j.autograd;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.View;

import static org.deft4j.autograd.Input.any;
import static org.deft4j.autograd.Input.distinct;
import static org.deft4j.autograd.Input.exactly;
import static org.deft4j.autograd.Input.index;

/** Samples of reductions, views, copies and indexing. */
final class ShapingSamples {
  private final List<Sample> samples = new ArrayList<>();

  static List<Sample> all() {
    ShapingSamples made = new ShapingSamples();
    made.sums();
    made.extremes();
    made.softmaxes();
    made.fused();
    made.views();
    made.layouts();
    made.taking();
    made.adding();
    return made.samples;
  }

  private void add(Op op, String what, Input... inputs) {
    samples.add(Sample.of(op.getClass(), op + ", " + what, in -> Dispatch.run(op, in)[0], inputs));
  }

  private void sums() {
    add(new Reduction.Sum(List.of(), false), "a scalar over nothing", any());
    for (boolean keep : new boolean[] {false, true}) {
      add(new Reduction.Sum(List.of(0, 1), keep), "over all", any(2, 3));
      add(new Reduction.Sum(List.of(1), keep), "over the middle", any(2, 3, 2));
      add(new Reduction.Sum(List.of(0, 2), keep), "over two, transposed", any(2, 3, 2).transposed());
      add(new Reduction.Sum(List.of(1), keep), "over a size of 1", any(2, 1, 2).sliced());
      add(new Reduction.Prod(1, keep), "no zero", any(2, 3, 2));
      add(new Reduction.Prod(0, keep), "strided", any(3, 2).transposed());
    }
    add(new Reduction.Prod(0, false), "no, one and two zeros",
        exactly(new double[] {1.5, 0, 0, -2, 3, 0, 0.7, 1.1, 2}, 3, 3));
    for (int dim = 0; dim < 3; dim++) {
      add(new Reduction.CumSum(dim), "contiguous", any(2, 3, 2));
    }
    add(new Reduction.CumSum(0), "strided", any(3, 2).transposed());
  }

  private void extremes() {
    for (boolean keep : new boolean[] {false, true}) {
      for (Reduction op : List.of(new Reduction.Max(List.of(0, 1), keep), new Reduction.Min(List.of(0, 1), keep))) {
        add(op, "over all", distinct(2, 3));
      }
      for (Reduction op : List.of(new Reduction.Max(List.of(1), keep), new Reduction.Min(List.of(1), keep))) {
        add(op, "over the middle", distinct(2, 3, 2));
        add(op, "strided", distinct(3, 4).transposed());
      }
    }
  }

  private void softmaxes() {
    for (int dim = 0; dim < 2; dim++) {
      for (Op op : List.of(new Reduction.Softmax(dim), new Reduction.LogSoftmax(dim),
          new Reduction.LogSumExp(dim, false), new Reduction.LogSumExp(dim, true))) {
        add(op, "a matrix", any(3, 4));
        add(op, "every second", any(2, 3, 2).sliced());
      }
    }
    add(new Reduction.LogSumExp(0, false), "a size of 1", any(1, 2));
  }

  private void fused() {
    for (Fused.Gated gated : List.of(Fused.Gated.GEGLU, Fused.Gated.SWIGLU)) {
      add(gated, "a vector", any(4));
      add(gated, "rows", any(2, 3, 4));
      add(gated, "transposed", any(2, 6).transposed());
    }
    for (boolean inverse : new boolean[] {false, true}) {
      rotary(inverse, "a vector", Shape.of(2), any(4));
      rotary(inverse, "heads that share their angles", Shape.of(3, 2), any(2, 2, 3, 4));
      rotary(inverse, "heads split from rows", Shape.of(2, 1, 3, 2), any(2, 3, 2, 4).then(x -> x.transpose(1, 2)));
      rotary(inverse, "one angle for all, strided", Shape.of(1, 2), any(3, 4).transposed());
    }
  }

  /** cos and sin are constants, here of angles 1, 2, ... */
  private void rotary(boolean inverse, String what, Shape angles, Input x) {
    Op op = new Fused.Rotary(inverse);
    double[] values = LongStream.rangeClosed(1, angles.elementCount()).asDoubleStream().toArray();
    samples.add(Sample.of(op.getClass(), op + ", " + what, in -> {
      Tensor angle = Tensor.of(values, angles.toArray());
      return Dispatch.run(op, in[0], angle.cos(), angle.sin())[0];
    }, x));
  }

  private void views() {
    add(new View.Reshape(Shape.of(3, 2)), "a matrix", any(2, 3));
    add(new View.Reshape(Shape.of()), "to a scalar", any(1, 1));
    add(new View.Reshape(Shape.of(1, 1)), "from a scalar", any());
    add(new View.Permute(List.of(1, 0)), "a matrix", any(2, 3));
    add(new View.Permute(List.of(2, 0, 1)), "a cycle", any(2, 3, 2));
    add(new View.Permute(List.of(1, 2, 0)), "strided", any(2, 3, 2).sliced());
    add(new View.Slice(1, 1, 3, 1), "the middle", any(2, 4));
    add(new View.Slice(0, 0, 5, 2), "every second", any(5, 2));
    add(new View.Slice(1, 1, 4, 3), "one, transposed", any(2, 5).transposed());
    add(new View.Expand(Shape.of(2, 3)), "a column", any(2, 1));
    add(new View.Expand(Shape.of(3, 2, 2)), "a new dimension and a size of 1", any(1, 2).transposed());
    add(new View.Expand(Shape.of(2, 2)), "a scalar", any());
  }

  private void layouts() {
    add(new Layout.Contiguous(), "contiguous", any(2, 2));
    add(new Layout.Transfer(Device.CPU), "transfer", any(2, 3).transposed());
    add(new Layout.Contiguous(), "transposed", any(2, 3).transposed());
    add(new Layout.Cast(DType.F64), "to the same type", any(2, 2).sliced());
    add(new Layout.Concat(0), "three", any(2, 2), any(1, 2), any(3, 2).transposed());
    add(new Layout.Concat(1), "two", any(2, 3), any(2, 1));
    add(new Layout.Concat(0), "one", any(3));
    samples.add(Sample.of(Layout.Concat.class, "a tensor twice", in -> Tensor.concat(0, in[0], in[1], in[0]), any(2, 2), any(1, 2)));
    add(new Layout.Pad(List.of(1L, 0L), List.of(0L, 2L), 0.5), "a matrix", any(2, 3));
    add(new Layout.Pad(List.of(0L, 1L, 2L), List.of(1L, 0L, 1L), 0), "strided", any(2, 1, 2).transposed());
    add(new Layout.Flip(List.of(0)), "rows", any(3, 2));
    add(new Layout.Flip(List.of(0, 2)), "two of three", any(2, 2, 3).transposed());
    add(new Layout.Triangle(true, 0), "upper", any(3, 3));
    add(new Layout.Triangle(true, 1), "above the diagonal, batched", any(2, 3, 4));
    add(new Layout.Triangle(false, -1), "below the diagonal, transposed", any(4, 3).transposed());
    add(new Layout.Triangle(false, 1), "lower and one more", any(2, 3));
  }

  private void taking() {
    add(new Indexing.IndexSelect(0), "rows, one twice", any(4, 2), index(new long[] {2, 0, 2}, 3));
    add(new Indexing.IndexSelect(1), "the middle", any(2, 3, 2).transposed(), index(new long[] {1, 1, 2, 0}, 4));
    add(new Indexing.Gather(1), "rows", any(2, 4), index(new long[] {3, 0, 3, 1, 1, 2}, 2, 3));
    add(new Indexing.Gather(0), "fewer than there are", any(3, 3).transposed(), index(new long[] {2, 0, 2, 1}, 2, 2));
    for (boolean descending : new boolean[] {false, true}) {
      add(new Indexing.Sort(0, descending), "columns", distinct(4, 2));
      add(new Indexing.Sort(1, descending), "the middle, strided", distinct(2, 3, 2).transposed());
    }
  }

  private void adding() {
    add(new Indexing.IndexAdd(0), "rows, one twice", any(3, 2), index(new long[] {2, 0, 2}, 3), any(3, 2));
    add(new Indexing.IndexAdd(1), "columns, strided", any(2, 3).transposed(), index(new long[] {1, 0}, 2), any(2, 2).sliced());
    add(new Indexing.ScatterAdd(1), "rows", any(2, 4), index(new long[] {3, 0, 3, 1, 1, 2}, 2, 3), any(2, 3));
    add(new Indexing.ScatterAdd(0), "fewer than there are", any(3, 3).transposed(), index(new long[] {2, 0, 2, 1}, 2, 2),
        any(2, 2).transposed());
  }
}
