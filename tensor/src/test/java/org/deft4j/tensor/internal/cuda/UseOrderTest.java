package org.deft4j.tensor.internal.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What came before comes again. */
class UseOrderTest {
  private final UseOrder order = new UseOrder();
  private final List<Kept> weights = IntStream.range(0, 30).mapToObj(_ -> new Kept(null, 1)).toList();

  /** A step with checkpoints: forward, and back with each layer's forward again. */
  private List<Integer> step() {
    List<Integer> uses = new ArrayList<>(IntStream.range(0, 30).boxed().toList());
    for (int layer = 27; layer >= 0; layer -= 3) {
      uses.addAll(List.of(layer, layer + 1, layer + 2, layer + 2, layer + 1, layer));
    }
    return uses;
  }

  private void use(int... numbers) {
    for (int number : numbers) {
      order.used(weights.get(number));
    }
  }

  @Test
  void nothingIsForeseenAtFirst() {
    assertNull(order.ahead(0));
    use(0, 1, 2);
    assertNull(order.ahead(0));
    assertEquals(UseOrder.NEVER, order.until(weights.get(1)));
  }

  @Test
  void fromTheSecondStepOnAllIsForeseen() {
    List<Integer> step = step();
    step.forEach(this::use);
    use(step.getFirst());
    int missed = 0;
    for (int i = 1; i < 20 * step.size(); i++) {
      Kept next = weights.get(step.get(i % step.size()));
      missed += order.ahead(0) == next ? 0 : 1;
      if (i > step.size()) {
        assertSame(next, order.ahead(0), "use " + i);
        assertEquals(0, order.until(next));
        assertSame(weights.get(step.get((i + 10) % step.size())), order.ahead(10));
      }
      order.used(next);
    }
    assertTrue(missed <= 2, missed + " uses of the second step were not foreseen");
  }

  /** As told by a plain search through what follows. */
  @Test
  void untilIsTheDistanceToTheNextUse() {
    Random random = new Random(3);
    List<Integer> step = step();
    for (int i = 0; i < 5 * step.size(); i++) {
      use(random.nextInt(20) == 0 ? random.nextInt(30) : step.get(i % step.size()));
      for (Kept kept : weights) {
        int expected = 0;
        while (order.ahead(expected) != null && order.ahead(expected) != kept) {
          expected++;
        }
        assertEquals(order.ahead(expected) == null ? UseOrder.NEVER : expected, order.until(kept), "after use " + i);
      }
    }
  }

  @Test
  void anotherPassThanTheLastIsFoundAgain() {
    for (int turn = 0; turn < 3; turn++) {
      use(0, 1, 2, 3);
      use(0, 2, 4, 6);
    }
    use(0, 1);
    assertSame(weights.get(2), order.ahead(0));
    assertSame(weights.get(3), order.ahead(1));
    use(2, 3, 0, 2);
    assertSame(weights.get(4), order.ahead(0));
  }

  @Test
  void olderUsesAreForgotten() {
    List<Integer> step = step();
    for (int i = 0; i < 2 * UseOrder.MOST + 100; i++) {
      use(step.get(i % step.size()));
      if (i > 2 * step.size()) {
        assertSame(weights.get(step.get((i + 1) % step.size())), order.ahead(0), "after use " + i);
      }
    }
    assertTrue(weights.stream().allMatch(kept -> order.until(kept) < step.size()));
  }
}
