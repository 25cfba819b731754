package org.deft4j.deft;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

/** Examples come round one by one, in an order that a seed says. */
class BatchOrderTest {
  @Property(tries = 60)
  void eachRoundHasEachExampleOnce(@ForAll @IntRange(min = 1, max = 9) int examples, @ForAll @IntRange(min = 1, max = 20) int batch,
      @ForAll long seed) {
    List<Integer> all = IntStream.range(0, examples).boxed().toList();
    List<Integer> taken = taken(all, batch, 3 * examples, seed);
    for (int round = 0; round < 3; round++) {
      assertEquals(Set.copyOf(all), new HashSet<>(taken.subList(round * examples, (round + 1) * examples)), "round " + round);
    }
    assertEquals(taken, taken(all, 1, 3 * examples, seed), "whatever the batch");
  }

  private static List<Integer> taken(List<Integer> all, int batch, int least, long seed) {
    BatchOrder<Integer> order = new BatchOrder<>(all);
    TorchRandom random = new TorchRandom(seed);
    List<Integer> taken = new ArrayList<>();
    try (Scope _ = Scope.open()) {
      while (taken.size() < least) {
        List<Integer> next = order.next(batch, random);
        assertEquals(batch, next.size());
        taken.addAll(next);
      }
    }
    return taken.subList(0, least);
  }

  @Property(tries = 60)
  void anOrderIsGoneOnWith(@ForAll @IntRange(min = 1, max = 9) int examples, @ForAll @IntRange(max = 20) int before, @ForAll long seed) {
    List<Integer> all = IntStream.range(0, examples).boxed().toList();
    BatchOrder<Integer> order = new BatchOrder<>(all);
    BatchOrder<Integer> other = new BatchOrder<>(all);
    TorchRandom random = new TorchRandom(seed);
    TorchRandom otherRandom = new TorchRandom(seed + 1);
    try (Scope _ = Scope.open()) {
      order.next(before, random);
      other.next(2, otherRandom);
      other.restore(order.position());
      otherRandom.restore(random.state());
      assertEquals(order.next(2 * examples, random), other.next(2 * examples, otherRandom));
    }
    assertThrows(InputException.class, () -> new BatchOrder<>(IntStream.rangeClosed(0, examples).boxed().toList()).restore(order.position()));
    assertThrows(InputException.class, () -> order.restore(new long[0]));
  }

  @Test
  void nothingToTakeIsRefused() {
    assertThrows(InputException.class, () -> new BatchOrder<>(List.of()));
  }
}
