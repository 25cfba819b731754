package org.deft4j.deft;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.autograd.Tape;
import org.deft4j.deft.OmniGenTrainingSet.Options;
import org.deft4j.deft.OmniGenTrainingSet.Plan;
import org.deft4j.deft.data.RecordFile;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.diffusion.StableDiffusionPipeline.Progress;
import org.deft4j.diffusion.image.PictureTensors;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.diffusion.image.PngWriter;
import org.deft4j.diffusion.omnigen.OmniGen;
import org.deft4j.diffusion.omnigen.OmniGenPipeline;
import org.deft4j.diffusion.omnigen.OmniGenPipeline.Condition;
import org.deft4j.diffusion.omnigen.OmniGenPipeline.Settings;
import org.deft4j.nn.AdamBetas;
import org.deft4j.nn.AdamW;
import org.deft4j.nn.Losses;
import org.deft4j.nn.Optimizer;
import org.deft4j.nn.Schedule;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.OmniGenFolders;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The examples of README.md and CONTRIBUTING.md: the README's run here, word for word but for numbers and texts. */
class ReadmeExamplesTest {
  private static final Path TESTS = Fixtures.repository().resolve("deft/src/test/java/org/deft4j/deft");

  /** Every line of them is in a test, so that what is run is what is shown. */
  @Test
  void whatIsShownIsWhatIsRun() throws Exception {
    assertLines("README.md", "ReadmeExamplesTest.java");
    assertLines("CONTRIBUTING.md", "OwnDecompositionTest.java");
  }

  private static void assertLines(String document, String test) throws Exception {
    Set<String> run = Files.readString(TESTS.resolve(test)).lines().map(ReadmeExamplesTest::plain).collect(Collectors.toSet());
    List<String> shown = Pattern.compile("```java\\n(.*?)```", Pattern.DOTALL).matcher(Files.readString(Fixtures.repository().resolve(document)))
        .results().flatMap(block -> block.group(1).lines()).map(ReadmeExamplesTest::plain).toList();
    assertTrue(shown.size() > 10, document);
    assertEquals(List.of(), shown.stream().filter(line -> !run.contains(line)).toList(), document + " shows what " + test + " does not run");
  }

  /** Without numbers, texts and where something lies. */
  private static String plain(String line) {
    return line.strip().replaceAll("\"[^\"]*\"|\\bpath\\b", "_").replaceAll("[0-9][0-9_]*", "0").replace("public record", "record");
  }

  @Test
  void library(@TempDir Path out) throws Exception {
    String path = Fixtures.folders("sdxl").getFirst().toString();
    Path photos = Fixtures.repository().resolve("deft/src/demo/photos");
    try (StableDiffusion model = StableDiffusion.load(path);
        TrainingSet set = TrainingSet.encode(model, PictureFolder.read(photos, "a photo of sks toy", 32), done -> {});
        AdapterSet adapter = AdapterSet.create(model.unet(), AdapterConfig.deft(4), new TorchRandom(0)).attach()) {
      Trainer trainer = new Trainer(new NoisePrediction(model.unet(), model.scheduler(), set.examples()), adapter,
          TrainingOptions.steps(2), new TorchRandom(1));
      trainer.run(step -> System.out.println(step.number() + ": " + step.loss()), () -> false);
      PeftFolder.write(out, adapter, model.name());
    }
    assertTrue(Files.exists(out.resolve("adapter_model.safetensors")));
  }

  @Test
  void omniGenSampled(@TempDir Path folder) throws Exception {
    String path = OmniGenFolders.make(folder.resolve("omnigen")).toString();
    Path dog = Fixtures.folders("omnigen").getFirst().resolve("images/a.png");
    Path out = folder.resolve("beach.png");
    try (OmniGen model = OmniGen.load(path, DType.BF16); Scope _ = Scope.open()) {
      OmniGenPipeline pipeline = new OmniGenPipeline(model);
      Settings settings = Settings.of("the dog of <img><|image_1|></img> on the beach", 32, 32).withSteps(2);
      Condition condition = pipeline.encode(settings, List.of(pipeline.fit(Pictures.read(dog), 32)));
      Tensor picture = pipeline.generate(settings, condition, new TorchRandom(0), Progress.NONE);
      PngWriter.write(out, PictureTensors.toPictureCut(picture), Map.of());
    }
    assertEquals(32, Pictures.read(out).width());
  }

  @Test
  void omniGenTrained(@TempDir Path out) throws Exception {
    String path = OmniGenFolders.make(out.resolve("omnigen")).toString();
    Path pictures = Fixtures.folders("omnigen").getFirst().resolve("images").toAbsolutePath();
    Path records = Files.writeString(out.resolve("records.jsonl"), "{\"instruction\": \"<img><|image_1|></img> in the snow\", "
        + "\"input_images\": [\"" + pictures + "/a.png\"], \"output_image\": \"" + pictures + "/b.png\"}");
    try (OmniGen model = OmniGen.load(path, DType.BF16)) {
      Plan plan = OmniGenTrainingSet.plan(model, RecordFile.read(records, null), new Options(64, false, false, 18_000));
      Targets targets = Targets.suffixes(model.attentionProjections());
      try (OmniGenTrainingSet set = OmniGenTrainingSet.encode(model, plan, null, done -> {});
          AdapterSet adapter = AdapterSet.create(model.transformer(), AdapterConfig.deft(8).with(targets), new TorchRandom(0)).attach()) {
        Trainer trainer = new Trainer(new FlowMatching(model.transformer(), set, 0.01), adapter, TrainingOptions.steps(2), new TorchRandom(1));
        trainer.run(step -> System.out.println(step.number() + ": " + step.loss()), () -> false);
        PeftFolder.write(out, adapter, model.name());
      }
    }
    assertTrue(Files.exists(out.resolve("adapter_model.safetensors")));
  }

  @Test
  void anyModel() {
    try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(6, 5, DType.F32, 1)) {
      Tensor x = new TorchRandom(2).normal(DType.F32, 4, 6);
      Tensor y = new TorchRandom(3).normal(DType.F32, 4, 6);
      double before = Losses.mse(model.forward(x), y).item();
      try (AdapterSet deft = AdapterSet.create(model, AdapterConfig.deft(8).with(Targets.suffixes(List.of("to_q"))), new TorchRandom(0)).attach();
          Optimizer adam = new AdamW(deft.groups(0.1, 1e-2), 1e-3, Schedule.constant(), AdamBetas.USUAL);
          Scope _ = Scope.open(); Tape tape = Tape.watch(deft.trainable())) {
        adam.step(tape.gradients(Losses.mse(model.forward(x), y)));
        assertTrue(Losses.mse(model.forward(x), y).item() < before);
      }
    }
  }

  @Property(tries = 50)
  void paraLeavesNothingInTheSpan(@ForAll @IntRange(min = 1, max = 8) int rank, @ForAll long seed) {
    try (Scope _ = Scope.open()) {
      TorchRandom random = new TorchRandom(seed);
      Tensor w = random.normal(DType.F64, 24, 16);
      Tensor q = Dispatch.run(new Decompose.Qr(), random.normal(DType.F64, 24, rank))[0];
      Tensor adapted = w.sub(q.matmul(q.t().matmul(w)));
      assertTrue(q.t().matmul(adapted).abs().max(false).item() < 1e-12);
    }
  }
}
