package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.tensor.DeviceException;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.FormatException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** A training that goes on from a saved state is, to the bit, the one that was never stopped. */
class TrainingStateTest {
  private static final int STEPS = 7;

  private static final Targets TARGETS = Targets.suffixes(List.of("to_q", "to_out.0"));

  @TempDir
  Path folder;

  /** Does what it is asked to before the n-th forward pass. */
  private record Troubled(Objective objective, Runnable trouble, int at, int[] passes) implements Objective {
    @Override
    public Supplier<Tensor> draw(int batch, RandomSource random) {
      if (++passes[0] == at) {
        trouble.run();
      }
      return objective.draw(batch, random);
    }

    @Override
    public long[] position() {
      return objective.position();
    }

    @Override
    public void restore(long[] position) {
      objective.restore(position);
    }

    @Override
    public void setGradientCheckpointing(boolean on) {
      objective.setGradientCheckpointing(on);
    }
  }

  /** A training of the smallest model: two batches of two of five examples make a step. */
  private final class Run {
    final List<Trainer.Step> steps = new ArrayList<>();
    final List<Long> saved = new ArrayList<>();
    final Path file = folder.resolve("state.safetensors");
    AdapterConfig config = AdapterConfig.deft(2);
    Runnable trouble = () -> {};
    int troubledPass;
    long interruptedAt = Long.MAX_VALUE;
    double lr = 1e-2;
    int examples = 5;
    boolean resumes;

    List<double[]> matrices() {
      TorchRandom random = new TorchRandom(7);
      List<TrainingExample> data = TinyUnet.examples(examples, 0);
      try (UNet2DConditionModel unet = TinyUnet.create(); AdapterSet set = AdapterSet.create(unet, config, random).attach();
          TrainingState state = resumes ? TrainingState.read(file) : null) {
        Objective objective = new Troubled(new NoisePrediction(unet, TinyUnet.scheduler(), data), trouble, troubledPass, new int[1]);
        Trainer trainer = new Trainer(objective, set, new TrainingOptions(STEPS, lr, 0.1, 0.999, 1e-4, 1, "cosine", 2, 2, 2, false), random)
            .saving(2, now -> {
              now.write(file);
              saved.add(now.step());
            });
        if (resumes) {
          steps.addAll(state.steps());
          trainer.resume(state);
        }
        trainer.run(steps::add, () -> steps.size() == interruptedAt);
        return set.trainable().stream().map(Tensor::toDoubles).toList();
      } finally {
        data.forEach(TrainingExample::close);
      }
    }

    Run resumed() {
      Run next = new Run();
      next.config = config;
      next.resumes = true;
      return next;
    }
  }

  private static void assertSame(List<double[]> expected, List<double[]> actual) {
    assertEquals(expected.size(), actual.size());
    for (int i = 0; i < expected.size(); i++) {
      assertArrayEquals(expected.get(i), actual.get(i), "matrix " + i);
    }
  }

  private void assertResumes(AdapterConfig config) {
    Run whole = new Run();
    whole.config = config.with(TARGETS);
    List<double[]> expected = whole.matrices();
    assertEquals(List.of(2L, 4L, 6L), whole.saved, "nothing is saved after the last step");
    Run stopped = new Run();
    stopped.config = config.with(TARGETS);
    stopped.interruptedAt = 5;
    assertFalse(Arrays.equals(expected.getFirst(), stopped.matrices().getFirst()));
    assertEquals(List.of(2L, 4L, 5L), stopped.saved);
    Run resumed = stopped.resumed();
    assertSame(expected, resumed.matrices());
    assertEquals(whole.steps, resumed.steps);
    assertEquals(List.of(6L), resumed.saved);
  }

  @ParameterizedTest
  @EnumSource(Method.class)
  void everyMethodWithDropout(Method method) {
    long live = MemoryPool.cpu().liveBytes();
    assertResumes(AdapterConfig.of(method, 2).with(new AdapterExtras(new Dropout(0.2, method == Method.PARA), false, 0)));
    assertEquals(live, MemoryPool.cpu().liveBytes(), "bytes still held after the runs");
  }

  /** What is drawn once and never trained is drawn again: a mask, a frozen P. */
  @Test
  void whatIsNotTrained() {
    assertResumes(AdapterConfig.deft(2).with(new AdapterExtras(Dropout.NONE, true, 0.3)));
    assertResumes(AdapterConfig.deft(2).with(new LrmfDecomposition(Truncation.variance(0.9))));
  }

  @Test
  void aCardThatIsLostLeavesTheLastState() {
    List<double[]> expected = new Run().matrices();
    Run lost = new Run();
    lost.troubledPass = 2 * 7;
    lost.trouble = () -> {
      throw new DeviceException("the card is gone");
    };
    assertThrows(DeviceException.class, lost::matrices);
    assertEquals(List.of(2L, 4L, 6L), lost.saved);
    assertSame(expected, lost.resumed().matrices());
  }

  /** The rate of the second step leaves infinities, of which the third would tell. */
  @Test
  void nothingThatIsNotFiniteIsSaved() throws IOException {
    Run endless = new Run();
    endless.lr = 1e300;
    NumericException error = assertThrows(NumericException.class, endless::matrices);
    assertTrue(error.getMessage().startsWith("step 2: "), error.getMessage());
    assertEquals(List.of(), endless.saved);
    assertFalse(Files.exists(endless.file));
  }

  @Test
  void aStateOfOtherThingsIsRefused() {
    Run run = new Run();
    run.interruptedAt = 2;
    run.matrices();
    Run wider = run.resumed();
    wider.config = AdapterConfig.deft(3);
    assertTrue(assertThrows(InputException.class, wider::matrices).getMessage().contains("state.safetensors: trained.0: expected "));
    Run other = run.resumed();
    other.config = AdapterConfig.deft(2).with(Targets.suffixes(List.of("to_q")));
    assertTrue(assertThrows(InputException.class, other::matrices).getMessage().contains(" trained matrices, and here are "));
    Run fewer = run.resumed();
    fewer.examples = 4;
    assertTrue(assertThrows(InputException.class, fewer::matrices).getMessage().contains("one of 5, and there are 4"));
  }

  @Test
  void aDamagedFileIsNamed() throws IOException {
    Run run = new Run();
    run.interruptedAt = 2;
    run.matrices();
    byte[] whole = Files.readAllBytes(run.file);
    TrainingState.read(run.file).close();
    for (int at = whole.length - 1; at >= 0; at -= 211) {
      byte[] damaged = whole.clone();
      damaged[at] ^= 4;
      Files.write(run.file, damaged);
      FormatException error = assertThrows(FormatException.class, () -> TrainingState.read(run.file).close(), "byte " + at);
      assertTrue(error.getMessage().startsWith(run.file.toString()), error.getMessage());
    }
    Files.write(run.file, Arrays.copyOf(whole, whole.length - 9));
    assertThrows(FormatException.class, () -> TrainingState.read(run.file));
  }
}
