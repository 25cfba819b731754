package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.RandomSource;

/** The order in which examples are taken: each once, in a random order, then each once more in another, and so on. */
public final class BatchOrder<T> {
  private final List<T> examples;
  private final List<Integer> upcoming = new ArrayList<>();

  /** An order of {@code examples}, of which there is at least one. */
  public BatchOrder(List<T> examples) {
    if (examples.isEmpty()) {
      throw new InputException("there is nothing to train on: no example is given");
    }
    this.examples = List.copyOf(examples);
  }

  /** The next {@code count} examples; a permutation is drawn from {@code random} whenever all were taken. */
  public List<T> next(int count, RandomSource random) {
    List<T> batch = new ArrayList<>();
    while (batch.size() < count) {
      if (upcoming.isEmpty()) {
        for (long index : random.permutation(examples.size()).toLongs()) {
          upcoming.add(Math.toIntExact(index));
        }
      }
      batch.add(examples.get(upcoming.removeFirst()));
    }
    return batch;
  }
}
