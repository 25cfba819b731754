package org.deft4j.tensor.internal.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.DeviceException;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.MemoryException;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Offload;
import org.deft4j.tensor.Rehearsal;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.op.InPlace;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Weights that are kept beside the card give what weights on it give, whatever comes late, and nobody waits. */
@ExtendWith(OnCard.class)
class OffloadTest {
  private static final int LAYERS = 8;
  private static final long WIDTH = 32;
  private static final long BYTES = WIDTH * WIDTH * Float.BYTES;
  private static final long WINDOW = 4 * BYTES;

  private final Device before = Device.current();

  @BeforeEach
  void onTheCard() {
    Device.use(Device.CUDA);
  }

  @AfterEach
  void back() {
    late(null);
    Device.use(before);
  }

  /** Does nothing on a card of silicon, whose streams are late as they please. */
  private static void late(Card.Stream stream) {
    if (EmulatedCard.instance() != null) {
      EmulatedCard.instance().streams().late(stream);
    }
  }

  /** Square matrices, kept where an Offload is open. */
  private static List<Tensor> weights() {
    TorchRandom random = new TorchRandom(5);
    List<Tensor> weights = new ArrayList<>();
    for (int i = 0; i < LAYERS; i++) {
      float[] values = random.normal(DType.F32, WIDTH, WIDTH).mul(0.1).toFloats();
      try (Offload.Loading _ = Offload.weights()) {
        weights.add(Tensor.of(values, WIDTH, WIDTH));
      }
    }
    return weights;
  }

  /** Forward through all layers and back, with transposes and a part of a weight. */
  private static Tensor pass(List<Tensor> weights, Tensor x) {
    Tensor h = x;
    for (Tensor weight : weights) {
      h = h.linear(weight).tanh();
    }
    for (Tensor weight : weights.reversed()) {
      h = h.matmul(weight).add(weight.slice(0, 3, 4)).add(weight.select(1, 2));
    }
    return h;
  }

  private static byte[] passes(List<Tensor> weights, int count) {
    try (Scope _ = Scope.open()) {
      Tensor h = new TorchRandom(1).normal(DType.F32, 5, WIDTH);
      for (int i = 0; i < count; i++) {
        Tensor last = h;
        h = Scope.run(() -> pass(weights, last).tanh());
      }
      return CudaTests.bits(h)[0];
    }
  }

  private static <T> T scoped(Supplier<T> body) {
    try (Scope _ = Scope.open()) {
      return body.get();
    }
  }

  @Test
  void resultsAreTheSameToTheBitWhateverIsLate() {
    byte[] expected = scoped(() -> passes(weights(), 2));
    for (Card.Stream stream : new Card.Stream[] {null, Card.Stream.COPY, Card.Stream.COMPUTE}) {
      for (long window : List.of(BYTES, 2 * BYTES + 512, WINDOW, 2 * LAYERS * BYTES)) {
        try (Offload _ = Offload.open(window); Scope _ = Scope.open()) {
          List<Tensor> weights = weights();
          assertTrue(weights.stream().allMatch(Offload::keeps));
          late(stream);
          assertArrayEquals(expected, passes(weights, 2), stream + " late, a window of " + window);
          late(null);
        }
      }
    }
  }

  @Test
  void nothingIsLeft() {
    MemoryPool card = MemoryPool.current();
    MemoryPool.kept().trim();
    long reserved = MemoryPool.kept().reservedBytes();
    int pieces = EmulatedCard.instance() == null ? 0 : EmulatedCard.instance().pinnedPieces();
    int events = EmulatedCard.instance() == null ? 0 : EmulatedCard.instance().streams().openEvents();
    long aside = card.asideBytes();
    try (Offload _ = Offload.open(WINDOW)) {
      assertEquals(aside + WINDOW, card.asideBytes());
      assertThrows(IllegalStateException.class, () -> Offload.open(WINDOW));
      try (Scope _ = Scope.open()) {
        passes(weights(), 1);
        assertEquals(LAYERS * BYTES, MemoryPool.kept().liveBytes());
      }
    }
    assertEquals(aside, card.asideBytes());
    assertEquals(reserved, MemoryPool.kept().reservedBytes());
    if (EmulatedCard.instance() != null) {
      assertEquals(pieces, EmulatedCard.instance().pinnedPieces());
      assertEquals(events, EmulatedCard.instance().streams().openEvents());
    }
  }

  /** What is used in a circle is best kept as it is, but for as much as must pass. */
  @Test
  void whatStaysIsWhatIsUsedSoonestAndNobodyWaits() {
    try (Offload offload = Offload.open((LAYERS - 2) * BYTES); Scope _ = Scope.open()) {
      List<Tensor> weights = weights();
      Tensor x = new TorchRandom(1).normal(DType.F32, 5, WIDTH);
      Runnable circle = () -> {
        try (Scope _ = Scope.open()) {
          Tensor h = x;
          for (Tensor weight : weights) {
            h = h.linear(weight);
          }
        }
      };
      for (int i = 0; i < 4; i++) {
        circle.run();
      }
      long uploaded = offload.uploadedBytes();
      long waits = EmulatedCard.instance() == null ? 0 : EmulatedCard.instance().streams().waits();
      for (int i = 0; i < 10; i++) {
        circle.run();
      }
      long each = (offload.uploadedBytes() - uploaded) / 10 / BYTES;
      assertTrue(each <= LAYERS / 2 + 1, each + " of " + LAYERS + " are copied each time, where 2 are too many for the window");
      if (EmulatedCard.instance() != null) {
        assertEquals(waits, EmulatedCard.instance().streams().waits());
      }
    }
  }

  /** After an operation, what comes next is on its way already. */
  @Test
  void copiesAreAskedForAhead() {
    try (Offload offload = Offload.open(WINDOW); Scope _ = Scope.open()) {
      List<Tensor> weights = weights();
      passes(weights, 2);
      Tensor x = Tensor.full(DType.F32, 1, 2, WIDTH);
      x.linear(weights.get(0));
      for (Tensor weight : weights.subList(1, LAYERS)) {
        late(Card.Stream.COMPUTE);
        long uploaded = offload.uploadedBytes();
        x.linear(weight);
        assertTrue(offload.uploadedBytes() <= uploaded + 2 * BYTES);
        late(null);
      }
      long uploaded = offload.uploadedBytes();
      x.matmul(weights.getLast());
      assertEquals(uploaded, offload.uploadedBytes(), "at the turn it is there, and so are those before");
    }
  }

  @Test
  void whatIsChangedInPlaceIsChangedHereToo() {
    try (Offload _ = Offload.open(WINDOW); Scope _ = Scope.open()) {
      List<Tensor> weights = weights();
      Tensor weight = weights.getFirst();
      float[] values = weight.toFloats();
      Tensor ones = Tensor.full(DType.F32, 1, 4, WIDTH);
      Dispatch.run(new InPlace.AddScaledInto(2), weight.slice(0, 8, 12), ones);
      Dispatch.run(new InPlace.CopyInto(), weight.slice(1, 5, 6), weights.get(1).slice(1, 7, 8));
      float[] other = weights.get(1).toFloats();
      IntStream.range(0, values.length).forEach(i -> {
        values[i] = i % WIDTH == 5 ? other[i + 2] : i / WIDTH >= 8 && i / WIDTH < 12 ? Math.fma(2f, 1f, values[i]) : values[i];
      });
      passes(weights, 2);
      assertArrayEquals(values, weight.toFloats());
      assertArrayEquals(values, weight.to(Device.CPU).toFloats());
      weight.write(bytes -> bytes.fill((byte) 0));
      assertArrayEquals(new float[values.length], weight.toFloats());
      assertEquals(4, weight.version());
    }
  }

  /** What is made of weights while they are loaded is a weight too: turned, converted, cut. */
  @Test
  void whatIsMadeWhileLoadingIsKept() {
    Supplier<byte[]> made = () -> scoped(() -> {
      Tensor weight = weights().getFirst();
      try (Offload.Loading _ = Offload.weights()) {
        Tensor turned = weight.t().copy().cast(DType.BF16);
        Tensor part = Tensor.empty(DType.F32, Shape.of(8, WIDTH));
        Dispatch.run(new InPlace.CopyInto(), part.reshape(8 * WIDTH).slice(0, WIDTH, 2 * WIDTH), turned.slice(0, 1, 2).reshape(WIDTH));
        assertEquals(Offload.isOn(), Offload.keeps(turned) && Offload.keeps(part));
        assertFalse(Offload.keeps(Tensor.of(new float[] {1, 2})), "vectors are not");
        Tensor copiedFirst = weight.t().tanh();
        assertEquals(Offload.isOn(), Offload.keeps(copiedFirst));
        return CudaTests.bits(Tensor.concat(0, part.slice(0, 1, 2).cast(DType.F32), turned.cast(DType.F32), copiedFirst))[0];
      }
    });
    byte[] expected = made.get();
    try (Offload _ = Offload.open(2 * WINDOW)) {
      assertArrayEquals(expected, made.get());
    }
  }

  @Test
  void withoutPinnedMemoryItIsSlowerAndTheSame() {
    if (EmulatedCard.instance() == null) {
      return;
    }
    byte[] expected = scoped(() -> passes(weights(), 2));
    MemoryPool.kept().trim();
    EmulatedCard.instance().setPins(false);
    try (Offload _ = Offload.open(WINDOW); Scope _ = Scope.open()) {
      assertArrayEquals(expected, passes(weights(), 2));
      assertEquals(0, EmulatedCard.instance().pinnedPieces());
    } finally {
      EmulatedCard.instance().setPins(true);
    }
  }

  @Test
  void whatCannotBeIsSaid() {
    try (Offload _ = Offload.open(BYTES); Scope _ = Scope.open()) {
      List<Tensor> weights = weights();
      MemoryException error = assertThrows(MemoryException.class, () -> weights.get(0).add(weights.get(1)));
      assertTrue(error.getMessage().contains("8.0 KiB, does not fit into the 4.0 KiB"), error.getMessage());
      weights.get(0).neg();
      assertThrows(IllegalStateException.class, weights.get(0)::address);
      long budget = MemoryPool.current().budget();
      assertTrue(assertThrows(MemoryException.class, () -> Tensor.empty(DType.U8, Shape.of(budget))).getMessage().contains("memory budget"));
    }
    long budget = MemoryPool.current().budget();
    assertTrue(assertThrows(MemoryException.class, () -> Offload.open(budget + 1)).getMessage().startsWith("the window for weights"));
    Device.use(Device.CPU);
    assertThrows(DeviceException.class, () -> Offload.open(1));
  }

  @Test
  void aRehearsalKnowsWhatIsKeptAndTheLargestOperation() {
    try (Offload _ = Offload.open(WINDOW)) {
      MemoryPool.kept().trim();
      MemoryPool.kept().resetPeak();
      scoped(() -> passes(weights(), 1));
    }
    long kept = MemoryPool.kept().peakReservedBytes();
    long usual;
    try (Rehearsal rehearsal = Rehearsal.open(); Scope _ = Scope.open()) {
      assertFalse(Offload.keeps(weights().getFirst()));
      usual = rehearsal.pool().liveBytes();
      assertEquals(0, rehearsal.kept().liveBytes());
    }
    try (Rehearsal rehearsal = Rehearsal.open(true)) {
      try (Scope _ = Scope.open()) {
        List<Tensor> weights = weights();
        assertTrue(weights.stream().allMatch(Offload::keeps));
        assertEquals(LAYERS * BYTES, rehearsal.kept().liveBytes());
        assertEquals(usual - LAYERS * BYTES, rehearsal.pool().liveBytes());
        pass(weights, Tensor.full(DType.F32, 1, 5, WIDTH));
      }
      assertEquals(kept, rehearsal.kept().peakReservedBytes());
      assertEquals(BYTES, rehearsal.largestVisit());
    }
  }
}
