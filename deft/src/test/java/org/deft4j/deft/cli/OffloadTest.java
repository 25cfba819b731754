package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.NoisePrediction;
import org.deft4j.deft.PictureFolder;
import org.deft4j.deft.Trainer;
import org.deft4j.deft.TrainingOptions;
import org.deft4j.deft.TrainingSet;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Offload;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.internal.cuda.CudaTests;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.OmniGenFolders;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Models that are larger than the card: what they learn and make is what they do on a card that holds them. */
class OffloadTest {
  private static final String SDXL = Fixtures.folders("sdxl").getFirst().toString();
  private static final Path PHOTOS = Fixtures.repository().resolve("deft/src/demo/photos");

  @TempDir
  Path folder;

  private Path photo;
  private long budget;

  /** One photo is enough: kernels are slow where there is no card. */
  @BeforeEach
  void onTheCard() throws IOException {
    CudaTests.assumeCard();
    photo = Files.createDirectory(folder.resolve("photo"));
    try (Stream<Path> photos = Files.list(PHOTOS)) {
      Path first = photos.filter(file -> file.toString().endsWith(".jpg") || file.toString().endsWith(".png")).sorted().findFirst().orElseThrow();
      Files.copy(first, photo.resolve(first.getFileName()));
    }
    Device.use(Device.parse("cuda"));
    budget = MemoryPool.current().budget();
  }

  @AfterEach
  void back() {
    Device.use(Device.CUDA);
    MemoryPool.current().setBudget(budget);
    MemoryPool.current().trim();
    assertEquals(0, MemoryPool.current().asideBytes(), "the window was given back");
    assertEquals(0, MemoryPool.kept().liveBytes(), "the weights were let go of");
    Device.use(Device.CPU);
  }

  /** The loss of a step, and the adapter's numbers after them. */
  private static List<Double> trained(TrainingSet set, StableDiffusion model) {
    List<Double> found = new ArrayList<>();
    model.unet().setGradientCheckpointing(true);
    try (AdapterSet adapter = AdapterSet.create(model.unet(), AdapterConfig.deft(2), new TorchRandom(0)).attach()) {
      new Trainer(new NoisePrediction(model.unet(), model.scheduler(), set.examples()), adapter,
          new TrainingOptions(1, 1e-3, 0.1, 0.999, 1e-4, 1, "constant", 0, 1, 1, true), new TorchRandom(1))
          .run(step -> found.add(step.loss()), () -> false);
      adapter.trainable().forEach(tensor -> {
        for (double element : tensor.toDoubles()) {
          found.add(element);
        }
      });
    }
    return found;
  }

  private List<Double> training() {
    try (StableDiffusion model = StableDiffusion.load(SDXL);
        TrainingSet set = TrainingSet.encode(model, PictureFolder.read(photo, "a photo of sks toy", 16), done -> {})) {
      assertEquals(Offload.isOn(), Offload.keeps(model.unet().parameters().get("conv_in.weight").value()));
      return trained(set, model);
    }
  }

  @Test
  void trainingIsTheSameToTheBit() {
    List<Double> expected = training();
    try (Offload offload = Offload.open(512 << 10)) {
      assertEquals(expected, training());
      assertTrue(offload.uploadedBytes() > 0);
    }
  }

  private static Terminal deft(Object... arguments) {
    return Terminal.run(Stream.concat(Stream.of(arguments), Stream.of("--device", "cuda")).map(String::valueOf).toArray(String[]::new));
  }

  private byte[] learned(Path model, String name, Object... more) throws IOException {
    Path out = folder.resolve(name);
    Terminal done = deft(Stream.concat(Stream.of("train", "--model", model, "--data", photo, "--prompt", "a toy", "--rank", 2, "--size", 16,
        "--steps", 3, "--seed", 5, "--checkpointing", "--out", out), Stream.of(more)).toArray());
    assertEquals(0, done.status(), done.err());
    return Files.readAllBytes(out.resolve("adapter_model.safetensors"));
  }

  private byte[] made(Path model, String name, Object... more) throws IOException {
    Path out = folder.resolve(name + ".png");
    Terminal done = deft(Stream.concat(Stream.of("generate", "--model", model, "--prompt", "a toy", "--width", 16, "--height", 16, "--steps", 1,
        "--seed", 5, "--out", out), Stream.of(more)).toArray());
    assertEquals(0, done.status(), done.err());
    return Files.readAllBytes(out);
  }

  @Test
  void theCommandsDoWhatTheyDoWithout() throws IOException {
    Path omniGen = OmniGenFolders.make(folder.resolve("omnigen"));
    byte[] adapter = learned(omniGen, "usual");
    squeeze(plan(omniGen, "--offload"));
    assertArrayEquals(adapter, learned(omniGen, "offloaded", "--offload"));
    MemoryPool.current().setBudget(budget);
    for (Path model : List.of(Path.of(SDXL), omniGen)) {
      assertArrayEquals(made(model, "usual"), made(model, "offloaded", "--offload"), model.toString());
    }
  }

  /** What is on the card is read for a checkpoint, and written again when a run goes on, here with the weights beside the card. */
  @Test
  void aStoppedRunGoesOnOnTheCard() throws IOException {
    Path model = OmniGenFolders.make(folder.resolve("omnigen"));
    byte[] whole = learned(model, "whole");
    Path out = folder.resolve("stopped");
    Terminal interrupted = Terminal.run("step 1/3", ResumeTest::interrupt, "train", "--model", model.toString(), "--data", photo.toString(),
        "--prompt", "a toy", "--rank", "2", "--size", "16", "--steps", "3", "--seed", "5", "--checkpointing", "--out", out.toString(), "--device", "cuda");
    assertEquals(130, interrupted.status(), interrupted.err());
    assertArrayEquals(whole, learned(model, "stopped", "--resume", "--offload", "--save-every", 2));
  }

  private JsonObject plan(Path model, Object... more) {
    Terminal planned = deft(Stream.concat(Stream.of("train", "--model", model, "--data", photo, "--prompt", "a toy", "--rank", 2, "--size", 16,
        "--checkpointing", "--seed", 5, "--out", "nowhere", "--dry-run", "--json"), Stream.of(more)).toArray());
    return Json.parse(planned.out(), "plan").requireObject("memory");
  }

  /** Leaves a budget on the card that is hardly enough: the least window, and what kernels need besides. */
  private void squeeze(JsonObject memory) {
    MemoryPool.current().trim();
    MemoryPool.current().setBudget(memory.requireLongInteger("tensors") + memory.requireLongInteger("least_window") + (32L << 20));
  }

  @Test
  void aModelThatDoesNotFitIsToldOfTheWay() {
    JsonObject usual = plan(Path.of(SDXL));
    JsonObject offloaded = plan(Path.of(SDXL), "--offload");
    assertFalse(usual.has("kept"));
    assertTrue(offloaded.requireLongInteger("kept") > 0);
    assertTrue(offloaded.requireLongInteger("tensors") < usual.requireLongInteger("tensors"));
    assertTrue(offloaded.requireLongInteger("window") <= offloaded.requireLongInteger("kept"));
    long least = offloaded.requireLongInteger("tensors") + offloaded.requireLongInteger("least_window");
    assertTrue(least < usual.requireLongInteger("tensors"), "the small model needs less on the card");
    MemoryPool.current().trim();
    MemoryPool.current().setBudget(least);
    Terminal refused = deft("train", "--model", SDXL, "--data", photo, "--prompt", "a toy", "--rank", 2, "--size", 16, "--checkpointing",
        "--seed", 5, "--out", folder.resolve("out"));
    assertEquals(3, refused.status(), refused.err());
    assertTrue(refused.err().contains("--offload (" + MemoryPool.describe(least) + ", and "
        + MemoryPool.describe(offloaded.requireLongInteger("kept")) + " beside the card)"), refused.err());
    assertTrue(plan(Path.of(SDXL), "--offload").requireBool("fits"));
    assertEquals(offloaded.requireLongInteger("least_window"), plan(Path.of(SDXL), "--offload").requireLongInteger("window"));
    MemoryPool.current().setBudget(least - 1);
    Terminal still = deft("train", "--model", SDXL, "--data", photo, "--prompt", "a toy", "--rank", 2, "--size", 16, "--offload",
        "--checkpointing", "--seed", 5, "--out", folder.resolve("out"));
    assertEquals(3, still.status(), still.err());
    assertTrue(still.err().contains("for weights on their way") && !still.err().contains("--offload ("), still.err());
    Terminal sampling = deft("generate", "--model", SDXL, "--prompt", "a toy", "--seed", 5, "--out", folder.resolve("a.png"));
    assertEquals(3, sampling.status());
    assertTrue(sampling.err().contains("--offload ("), sampling.err());
  }

  @Test
  void whereItMeansNothingItIsRefused() {
    for (String command : List.of("train", "generate")) {
      Terminal refused = Terminal.run(command, "--model", SDXL, "--offload");
      assertEquals(2, refused.status());
      assertTrue(refused.err().contains("--offload keeps weights in this machine's memory for a card to compute with: it needs --device cuda"),
          refused.err());
    }
    Terminal full = deft("train", "--model", SDXL, "--offload", "--method", "full");
    assertEquals(2, full.status());
    assertTrue(full.err().contains("--method full takes no --offload"), full.err());
  }
}
