package org.deft4j.autograd;

import java.util.List;
import java.util.SplittableRandom;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** A checkpointed block gives the same bits and holds less. */
@ExtendWith(LeakCheck.class)
class CheckpointTest {
  private static final int WIDTH = 16;
  private static final int BLOCKS = 8;

  private Scope scope;
  private Tensor x;
  private List<Tensor> weights;

  /** Runs a block, checkpointed or not. */
  private interface Runner {
    Tensor run(Function<Tensor[], Tensor> block, Tensor... inputs);
  }

  private static final Runner PLAIN = (block, inputs) -> Scope.run(() -> block.apply(inputs));

  @BeforeEach
  void open() {
    scope = Scope.open();
    SplittableRandom random = new SplittableRandom(1);
    x = matrix(random, 64);
    weights = IntStream.range(0, BLOCKS).mapToObj(i -> matrix(random, WIDTH)).toList();
  }

  private static Tensor matrix(SplittableRandom random, int rows) {
    float[] values = new float[rows * WIDTH];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextDouble(-0.5, 0.5);
    }
    return Tensor.of(values, rows, WIDTH);
  }

  @AfterEach
  void close() {
    scope.close();
  }

  /** A network in which the first weight is used in every block, outside them, and the input several times. */
  private Tensor network(Runner runner) {
    Tensor h = x.linear(weights.getFirst());
    for (Tensor w : weights) {
      h = runner.run(in -> {
        Tensor a = in[0].linear(w).gelu().add(in[0]);
        return a.mul(in[1].sigmoid()).sub(a.linear(weights.getFirst()).silu()).tanh();
      }, h, x);
    }
    return h.linear(weights.getFirst()).square().mean();
  }

  private record Result(float loss, List<float[]> gradients, long peak) {}

  private Result train(Runner runner) {
    try (Scope _ = Scope.open(); Tape tape = Tape.watch(IntStream.range(0, BLOCKS + 1)
        .mapToObj(i -> i == 0 ? x : weights.get(i - 1)).toList())) {
      MemoryPool.cpu().resetPeak();
      Tensor loss = Scope.run(() -> network(runner));
      Gradients gradients = tape.gradients(loss);
      return new Result(loss.toFloats()[0], IntStream.range(0, BLOCKS + 1)
          .mapToObj(i -> gradients.of(i == 0 ? x : weights.get(i - 1)).toFloats()).toList(),
          MemoryPool.cpu().peakLiveBytes());
    }
  }

  @Test
  void givesTheSameBitsInLessMemory() {
    Result plain = train(PLAIN);
    Result checkpointed = train(Checkpoint::run);
    assertEquals(plain.loss, checkpointed.loss);
    for (int i = 0; i < plain.gradients.size(); i++) {
      assertArrayEquals(plain.gradients.get(i), checkpointed.gradients.get(i), "tensor " + i);
    }
    assertTrue(checkpointed.peak < plain.peak / 2, checkpointed.peak + " bytes, " + plain.peak + " without");
  }

  @Test
  void nestsInItself() {
    Result plain = train(PLAIN);
    Result nested = train((block, inputs) -> Checkpoint.run(
        outer -> Checkpoint.run(block, outer).mul(1), inputs));
    for (int i = 0; i < plain.gradients.size(); i++) {
      assertArrayEquals(plain.gradients.get(i), nested.gradients.get(i), "tensor " + i);
    }
  }

  @Test
  void reachesTwoTapes() {
    Tensor w = weights.getFirst();
    Function<Tensor[], Tensor> block = in -> in[0].linear(w).square();
    try (Tape outer = Tape.watch(x); Tape inner = Tape.watch(w)) {
      Tensor y = Checkpoint.run(block, x).sum();
      Tensor dw = inner.gradients(y).of(w);
      Tensor dx = outer.gradients(y).of(x);
      try (Tape plain = Tape.watch(x, w)) {
        Gradients expected = plain.gradients(block.apply(new Tensor[] {x}).sum());
        assertArrayEquals(expected.of(w).toFloats(), dw.toFloats());
        assertArrayEquals(expected.of(x).toFloats(), dx.toFloats());
      }
    }
  }

  @Test
  void isTheBlockItselfWithoutATape() {
    long held = MemoryPool.cpu().liveBytes();
    Tensor y = Checkpoint.run(in -> in[0].exp().log().reshape(-1), x);
    assertArrayEquals(x.exp().log().toFloats(), y.toFloats());
    y.close();
    assertSame(x, Checkpoint.run(in -> in[0], x));
    assertTrue(MemoryPool.cpu().liveBytes() >= held);
  }

  @Test
  void recordsNothingWhereNothingIsWatched() {
    Tensor w = weights.getFirst();
    try (Tape tape = Tape.watch(w)) {
      Tensor y = Checkpoint.run(in -> in[0].exp(), x).sum();
      Tensor passed = Checkpoint.run(in -> in[0], w);
      assertSame(w, passed);
      assertFalse(tape.follows(y));
      assertArrayEquals(new double[WIDTH * WIDTH], tape.gradients(passed.mul(0).sum()).of(w).toDoubles());
    }
  }

  @Test
  void noticesABlockThatChangesItsMind() {
    long[] width = {WIDTH};
    try (Tape tape = Tape.watch(x)) {
      Tensor y = Checkpoint.run(in -> in[0].slice(1, 0, width[0]--), x).sum();
      var error = assertThrows(IllegalStateException.class, () -> tape.gradients(y));
      assertTrue(error.getMessage().contains("the same both times"), error.getMessage());
    }
  }

  @Test
  void releasesItsInputsWhenTheTapeIsClosed() {
    long held = MemoryPool.cpu().liveBytes();
    try (Scope _ = Scope.open(); Tape _ = Tape.watch(weights.getFirst())) {
      Tensor h = Scope.run(() -> x.linear(weights.getFirst()));
      Checkpoint.run(in -> in[0].exp(), h);
    }
    assertEquals(held, MemoryPool.cpu().liveBytes());
  }
}
