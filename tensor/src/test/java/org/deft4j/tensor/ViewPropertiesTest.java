package org.deft4j.tensor;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** Any chain of views and rearranging copies holds what a plain array, rearranged element by element, holds. */
class ViewPropertiesTest {
  private static final int STEPS = 6;

  @Property(tries = 2000)
  void chainsOfViewsAndCopiesAgreeWithPlainArrays(@ForAll long seed) {
    Random random = new Random(seed);
    long before = MemoryPool.cpu().liveBytes();
    try (Scope _ = Scope.open()) {
      DenseArray model = DenseArray.counting(random.ints(random.nextInt(4), 0, 5).asLongStream().toArray());
      Tensor tensor = model.tensor();
      List<String> done = new ArrayList<>(List.of("start " + tensor.shape()));
      for (int i = 0; i < STEPS; i++) {
        Step step = next(random, model, tensor, done);
        model = step.model;
        tensor = step.tensor;
        assertEquals(Shape.of(model.sizes()), tensor.shape(), done::toString);
        assertArrayEquals(model.values(), tensor.toDoubles(), done::toString);
        assertArrayEquals(model.values(), tensor.cast(DType.F32).toDoubles(), done::toString);
      }
    }
    assertEquals(before, MemoryPool.cpu().liveBytes());
  }

  private record Step(DenseArray model, Tensor tensor) {}

  private static Step next(Random random, DenseArray m, Tensor t, List<String> done) {
    int rank = t.rank();
    int kind = rank == 0 ? 1 : random.nextInt(8);
    int dim = rank == 0 ? 0 : random.nextInt(rank);
    long size = rank == 0 ? 0 : t.size(dim);
    done.add("kind " + kind + " dim " + dim);
    return switch (kind) {
      case 0 -> {
        List<Integer> dims = new ArrayList<>(java.util.stream.IntStream.range(0, rank).boxed().toList());
        java.util.Collections.shuffle(dims, random);
        int[] order = dims.stream().mapToInt(d -> d).toArray();
        yield new Step(m.permute(order), t.permute(order));
      }
      case 1 -> {
        long times = 1L + random.nextInt(2);
        DenseArray wider = m.repeat(dim, times);
        yield new Step(wider, t.unsqueeze(dim).expand(wider.sizes()));
      }
      case 2 -> {
        long start = random.nextInt((int) size + 1);
        long end = start + random.nextInt((int) (size - start) + 1);
        long step = 1L + random.nextInt(2);
        yield new Step(m.slice(dim, start, end, step), t.slice(dim, start, end, step));
      }
      case 3 -> new Step(m.flip(dim), t.flip(dim));
      case 4 -> {
        long shift = random.nextInt(9) - 4L;
        yield new Step(m.roll(dim, shift), t.roll(dim, shift));
      }
      case 5 -> {
        long[] pairs = new long[2 * (rank - dim)];
        pairs[pairs.length - 2] = random.nextInt(3);
        pairs[pairs.length - 1] = random.nextInt(3);
        yield new Step(m.pad(dim, pairs[pairs.length - 2], pairs[pairs.length - 1], -7), t.pad(-7, pairs));
      }
      case 6 -> new Step(m.concat(dim, m.flip(dim)), Tensor.concat(dim, t, t.flip(dim)));
      default -> {
        int last = dim + random.nextInt(rank - dim);
        Tensor flat = t.flatten(dim, last);
        yield new Step(new DenseArray(flat.shape().toArray(), m.values()), flat);
      }
    };
  }

  /** A reshape shares memory exactly where strides can express it, and always holds the same elements. */
  @Property(tries = 2000)
  void reshapeSplitsAndJoinsDimensions(@ForAll long seed) {
    Random random = new Random(seed);
    try (Scope _ = Scope.open()) {
      long[] sizes = random.ints(1 + random.nextInt(4), 1, 5).asLongStream().toArray();
      DenseArray model = DenseArray.counting(sizes);
      Tensor tensor = model.tensor();
      if (random.nextBoolean() && sizes.length > 1) {
        int[] order = {1, 0, 2, 3};
        order = Arrays.copyOf(order, sizes.length);
        model = model.permute(order);
        tensor = tensor.permute(order);
      }
      long first = divisor(random, tensor.elementCount());
      long second = divisor(random, tensor.elementCount() / first);
      long[] target = {first, 1, second, -1};
      Tensor reshaped = tensor.reshape(target);
      assertEquals(Shape.of(first, 1, second, tensor.elementCount() / first / second), reshaped.shape());
      assertArrayEquals(model.values(), reshaped.toDoubles());
    }
  }

  private static long divisor(Random random, long n) {
    long[] divisors = java.util.stream.LongStream.rangeClosed(1, n).filter(d -> n % d == 0).toArray();
    return divisors[random.nextInt(divisors.length)];
  }
}
