package org.deft4j.deft;

import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Threads;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The training loop on the smallest model: what it learns, that it repeats itself to the bit, where it stops. */
class TrainerTest {
  /** A run's losses and the bytes it ends with. */
  private record Result(List<Trainer.Step> steps, byte[] bytes, long systemAllocationsAfter20) {}

  private static Result train(AdapterConfig config, TrainingOptions options, long seed) {
    TorchRandom random = new TorchRandom(seed);
    List<TrainingExample> examples = TinyUnet.examples(3, 0);
    List<Trainer.Step> steps = new ArrayList<>();
    long[] allocations = new long[1];
    try (UNet2DConditionModel unet = TinyUnet.create(); AdapterSet set = AdapterSet.create(unet, config, random)) {
      set.attach();
      new Trainer(new NoisePrediction(unet, TinyUnet.scheduler(), examples), set, options, random).run(step -> {
        steps.add(step);
        if (step.number() == 20) {
          allocations[0] = MemoryPool.cpu().systemAllocations();
        }
      }, () -> false);
      return new Result(steps, bytes(set), allocations[0]);
    } finally {
      examples.forEach(TrainingExample::close);
    }
  }

  private static byte[] bytes(AdapterSet set) {
    byte[] all = new byte[Math.toIntExact(set.parameterCount() * Float.BYTES)];
    int at = 0;
    for (var tensor : set.trainable()) {
      byte[] part = tensor.bytes().toArray(ValueLayout.JAVA_BYTE);
      System.arraycopy(part, 0, all, at, part.length);
      at += part.length;
    }
    return all;
  }

  private static TrainingOptions options(long steps, int batch, int accumulate, boolean checkpointing) {
    return new TrainingOptions(steps, 1e-2, 0.1, 0.999, 1e-4, 1, "cosine", 2, batch, accumulate, checkpointing);
  }

  @Test
  void aThousandStepsTakeNoMemoryFromTheSystemAfterTheFirstTwenty() {
    long live = MemoryPool.cpu().liveBytes();
    Result result = train(AdapterConfig.deft(2).with(new QrDecomposition()), options(1000, 1, 1, false), 0);
    assertEquals(1000, result.steps().size());
    assertEquals(result.systemAllocationsAfter20(), MemoryPool.cpu().systemAllocations());
    assertEquals(live, MemoryPool.cpu().liveBytes(), "bytes still held after the run");
    assertTrue(mean(result.steps().subList(800, 1000)) < 0.97 * mean(result.steps().subList(0, 200)),
        "the loss goes down: " + mean(result.steps().subList(0, 200)) + " to " + mean(result.steps().subList(800, 1000)));
  }

  private static double mean(List<Trainer.Step> steps) {
    return steps.stream().mapToDouble(Trainer.Step::loss).average().orElseThrow();
  }

  @Test
  void oneSeedGivesTheSameBytesForAnyNumberOfThreads() {
    int before = Threads.count();
    try {
      for (Method method : Method.values()) {
        TrainingOptions options = options(6, 2, 2, false);
        AdapterConfig config = AdapterConfig.of(method, 2);
        Threads.set(1);
        Result one = train(config, options, 7);
        Threads.set(2);
        Result two = train(config, options, 7);
        assertArrayEquals(one.bytes(), two.bytes(), method.label());
        assertEquals(one.steps(), two.steps());
        assertFalse(Arrays.equals(one.bytes(), train(config, options, 8).bytes()), "another seed");
      }
    } finally {
      Threads.set(before);
    }
  }

  @Test
  void recomputingOnTheWayBackChangesNoBit() {
    for (AdapterConfig config : List.of(AdapterConfig.deft(2), AdapterConfig.para(2), AdapterConfig.dora(2))) {
      assertArrayEquals(train(config, options(4, 1, 1, false), 3).bytes(), train(config, options(4, 1, 1, true), 3).bytes());
    }
  }

  @Test
  void theScheduleAndTheClippingAreThoseOfTheOptions() {
    Result result = train(AdapterConfig.deft(2), options(5, 1, 1, false), 3);
    assertEquals(List.of(0.0, 0.005, 0.01), result.steps().subList(0, 3).stream().map(Trainer.Step::learningRate).toList());
    assertTrue(result.steps().get(4).learningRate() < 0.01);
    assertTrue(result.steps().stream().allMatch(step -> step.gradientNorm() > 0));
  }

  @Test
  void anInterruptedRunEndsAfterItsStep() {
    List<TrainingExample> examples = TinyUnet.examples(1, 0);
    TorchRandom random = new TorchRandom(0);
    List<Long> steps = new ArrayList<>();
    try (UNet2DConditionModel unet = TinyUnet.create(); AdapterSet set = AdapterSet.create(unet, AdapterConfig.lora(2), random)) {
      set.attach();
      long done = new Trainer(new NoisePrediction(unet, TinyUnet.scheduler(), examples), set, options(50, 1, 1, false), random)
          .run(step -> steps.add(step.number()), () -> steps.size() == 3);
      assertEquals(3, done);
      assertEquals(List.of(1L, 2L, 3L), steps);
    } finally {
      examples.forEach(TrainingExample::close);
    }
  }

  @Test
  void aLossThatIsNotFiniteStopsTheRunAndNamesTheStep() {
    RuntimeException error = failing(true, Double.NaN, NumericException.class);
    assertTrue(error.getMessage().startsWith("step 1: the loss is NaN"), error.getMessage());
  }

  @Test
  void matricesThatCannotLearnAreNamed() {
    IllegalStateException error = failing(false, 0, IllegalStateException.class);
    assertTrue(error.getMessage().startsWith("2 of ") && error.getMessage().contains("to_q.deft_R"), error.getMessage());
  }

  @Test
  void anAdapterOfFrozenMatricesIsRefused() {
    TorchRandom random = new TorchRandom(0);
    AdapterConfig frozen = AdapterConfig.para(2).with(new FrozenQrDecomposition());
    try (UNet2DConditionModel unet = TinyUnet.create(); AdapterSet set = AdapterSet.create(unet, frozen, random).attach()) {
      Trainer trainer = new Trainer(new NoisePrediction(unet, TinyUnet.scheduler(), TinyUnet.examples(1, 0)), set, TrainingOptions.steps(3),
          random);
      InputException error = assertThrows(InputException.class, () -> trainer.run(step -> {}, () -> false));
      assertTrue(error.getMessage().contains("nothing to train"), error.getMessage());
    }
  }

  /** A run that must fail: because its pictures are {@code mean}, or because one of its adapters is not in use. */
  private static <E extends RuntimeException> E failing(boolean complete, double mean, Class<E> type) {
    List<TrainingExample> examples = TinyUnet.examples(1, mean);
    TorchRandom random = new TorchRandom(0);
    try (UNet2DConditionModel unet = TinyUnet.create(); AdapterSet set = AdapterSet.create(unet, AdapterConfig.deft(2), random)) {
      set.attach();
      if (!complete) {
        LayerAdapter first = set.adapters().values().iterator().next();
        first.layer().detach(first);
        first.layer().attach((x, y0) -> y0.zerosLike());
      }
      Trainer trainer = new Trainer(new NoisePrediction(unet, TinyUnet.scheduler(), examples), set, TrainingOptions.steps(3),
          random);
      E error = assertThrows(type, () -> trainer.run(step -> {}, () -> false));
      if (!complete) {
        LayerAdapter first = set.adapters().values().iterator().next();
        first.layer().attach(first);
      }
      return error;
    } finally {
      examples.forEach(TrainingExample::close);
    }
  }
}
