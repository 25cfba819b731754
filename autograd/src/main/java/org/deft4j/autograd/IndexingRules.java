package org.deft4j.autograd;

import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Indexing;

import static org.deft4j.autograd.Rule.keeping;
import static org.deft4j.autograd.Saves.input;
import static org.deft4j.autograd.Saves.output;

/** Taking by index and adding by index are each other's adjoints: an element taken twice gets two gradients. */
final class IndexingRules {
  /** An index has no gradient, and is never asked for one: it is not of a floating type. */
  private static final Rule.Partial INDEX = keeping(b -> null);

  private IndexingRules() {}

  static Rule of(Indexing op) {
    return switch (op) {
      case Indexing.IndexSelect(var dim) -> Rule.of(keeping(input(1), b -> indexAdd(b, dim)), INDEX);
      case Indexing.IndexAdd(var dim) -> Rule.of(keeping(Backward::dy), INDEX,
          keeping(input(1), b -> b.dy().indexSelect(dim, b.input(1))));
      case Indexing.Gather(var dim) -> Rule.of(
          keeping(input(1), b -> b.zeros(0).scatterAdd(dim, b.input(1), b.dy())), INDEX);
      case Indexing.ScatterAdd(var dim) -> Rule.of(keeping(Backward::dy), INDEX,
          keeping(input(1), b -> b.dy().gather(dim, b.input(1))));
      // sorting is gathering by the second output
      case Indexing.Sort(var dim, var descending) -> Rule.of(
          keeping(output(1), b -> b.zeros(0).scatterAdd(dim, b.output(1), b.dy())));
      case Indexing.Where() -> Rule.of(INDEX,
          keeping(input(0), b -> b.input(0).where(b.dy(), b.zero())),
          keeping(input(0), b -> b.input(0).where(b.zero(), b.dy())));
    };
  }

  private static Tensor indexAdd(Backward b, int dim) {
    return Dispatch.run(new Indexing.IndexAdd(dim), b.zeros(0), b.input(1), b.dy())[0];
  }
}
