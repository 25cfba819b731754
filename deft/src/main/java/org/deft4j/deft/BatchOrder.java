package org.deft4j.deft;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.LongStream;
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

  /** How many examples there are, and which are still to come before the next permutation is drawn: for {@link #restore}. */
  public long[] position() {
    return LongStream.concat(LongStream.of(examples.size()), upcoming.stream().mapToLong(Integer::longValue)).toArray();
  }

  /**
   * Goes on where the order was that {@code position} came from.
   *
   * @throws InputException if that was one of another number of examples
   */
  public void restore(long[] position) {
    if (position.length == 0 || position[0] != examples.size()) {
      throw new InputException("the order of examples that is to be gone on with is one of "
          + (position.length == 0 ? "none" : String.valueOf(position[0])) + ", and there are " + examples.size());
    }
    upcoming.clear();
    Arrays.stream(position).skip(1).forEach(index -> upcoming.add(Objects.checkIndex(Math.toIntExact(index), examples.size())));
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
