package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Op;

/**
 * Collects rows that the memory bounds. Counted are the bytes that must move: every input read once and the result written once,
 * whatever an operation reads again.
 */
final class MemoryRows {
  private final String group;
  private final List<Row> rows = new ArrayList<>();

  MemoryRows(String group) {
    this.group = group;
  }

  /** The rows so far. */
  List<Row> rows() {
    return rows;
  }

  /** Any work; the name ends with {@code shape}. */
  void row(String name, Shape shape, Function<Inputs, Job> setUp) {
    String sizes = String.join("x", Arrays.stream(shape.toArray()).mapToObj(Long::toString).toList());
    rows.add(new Row(group, name + " " + sizes, setUp));
  }

  /** From a tensor of {@code shape} to one of its size. */
  void map(String name, Shape shape, UnaryOperator<Tensor> body) {
    row(name, shape, in -> {
      Tensor x = in.held(shape.toArray());
      return Job.memory(Job.bytes(x), () -> body.apply(x), x);
    });
  }

  /** One operation: it reads its inputs, and writes its outputs or what it changes in place. */
  void op(String name, Shape shape, Op op, Function<Inputs, Tensor[]> inputs) {
    row(name, shape, in -> job(op, inputs.apply(in)));
  }

  private static Job job(Op op, Tensor[] inputs) {
    double written = 0;
    try (Scope _ = Scope.open()) {
      for (Tensor output : Dispatch.run(op, inputs)) {
        written += Job.bytes(output);
      }
    }
    for (int i = 0; i < inputs.length; i++) {
      written += op instanceof InPlace inPlace && inPlace.changes(i) ? Job.bytes(inputs[i]) : 0;
    }
    return Job.memory(written, () -> {
      Tensor[] outputs = Dispatch.run(op, inputs);
      return op instanceof InPlace ? inputs : outputs;
    }, inputs);
  }
}
