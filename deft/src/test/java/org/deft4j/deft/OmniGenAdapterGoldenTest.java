package org.deft4j.deft;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.stream.Stream;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.deft.OmniGenFixture.Training;
import org.deft4j.diffusion.omnigen.OmniGenInput;
import org.deft4j.diffusion.omnigen.OmniGenTransformer;
import org.deft4j.nn.AdamBetas;
import org.deft4j.nn.AdamW;
import org.deft4j.nn.Optimizer;
import org.deft4j.nn.Schedule;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * DEFT and LoRA on OmniGen's attention, against PEFT's LoRA and against DEFT written as in PEFT: losses, gradients, ten steps of training,
 * the adapter's file, the merged model.
 */
class OmniGenAdapterGoldenTest {
  private static final double LOSS = 1e-5;
  private static final double GRADIENT = 2e-5;
  private static final double OUTPUT = 5e-5;
  private static final double MERGED = 1e-6;
  /** Of matrices after a step. */
  private static final Map<String, Double> PARAMETER = Map.of("lora", 3e-5, "deft_relaxed", 3e-5, "deft_qr", 1e-5, "deft_relu", 1e-5);

  @TempDir
  Path temporary;

  private static Stream<DynamicTest> eachVariant(String what, BiConsumer<OmniGenFixture, String> test) {
    return OmniGenFixture.all().stream().flatMap(fixture -> {
      List<String> variants = fixture.variants();
      assertTrue(PARAMETER.keySet().containsAll(variants) && !variants.isEmpty(), fixture + " has " + variants);
      return variants.stream().map(variant -> DynamicTest.dynamicTest(fixture + " " + variant + " " + what,
          () -> test.accept(fixture, variant)));
    });
  }

  @TestFactory
  Stream<DynamicTest> atTheStart() {
    return eachVariant("at the start", (fixture, variant) -> fixture.withTransformer(model -> {
      Map<String, Tensor> golden = fixture.variant(variant);
      Training training = Training.of(fixture, model);
      JsonObject norms = fixture.settings(variant).requireObject("grad_norm_step1");
      try (AdapterSet set = fixture.start(model, variant, golden).attach(); Tape tape = Tape.watch(set.trainable())) {
        assertEquals(norms.keys().size(), set.trainable().size(), "trainable matrices");
        Tensor loss = training.loss(0);
        assertEquals(golden.get("loss").toFloats()[0], loss.item(), LOSS, "loss");
        Gradients gradients = tape.gradients(loss);
        set.adapters().forEach((layer, adapter) -> adapter.tensors().forEach((matrix, tensor) -> {
          String key = OmniGenFixture.key(layer, matrix);
          Fixtures.relativelyCloseTo("gradient of " + key, gradients.of(tensor), golden.get("grad0." + key), GRADIENT);
          double norm = norms.requireNumber(key);
          assertEquals(norm, gradients.of(tensor).norm().item(), GRADIENT * norm, "norm of the gradient of " + key);
        }));
      }
    }));
  }

  @TestFactory
  Stream<DynamicTest> trained() {
    return eachVariant("trained", (fixture, variant) -> fixture.withTransformer(model -> {
      Map<String, Tensor> golden = fixture.variant(variant);
      Training training = Training.of(fixture, model);
      try (AdapterSet set = fixture.start(model, variant, golden).attach();
          Optimizer optimizer = optimizer(fixture.settings(variant), set)) {
        float[] losses = golden.get("loss").toFloats();
        int compared = 0;
        for (int step = 0; step < losses.length; step++) {
          assertEquals(losses[step], step(training, set, optimizer, step), LOSS, "loss of step " + step);
          compared += compare("step" + (step + 1), set, golden, PARAMETER.get(variant));
        }
        assertTrue(compared > 0, "matrices to compare");
        assertEquals(golden.get("loss_after").item(), training.loss(0).item(), LOSS, "loss after training");
      }
    }));
  }

  private static Optimizer optimizer(JsonObject settings, AdapterSet set) {
    JsonObject adam = settings.requireObject("adam");
    List<Double> betas = adam.requireNumbers("betas");
    double rate = settings.requireNumber(settings.has("lr") ? "lr" : "lr_R");
    double factor = settings.has("lr_P") ? settings.requireNumber("lr_P") / rate : 1;
    return new AdamW(set.groups(factor, adam.requireNumber("weight_decay")), rate, Schedule.constant(),
        new AdamBetas(betas.get(0), betas.get(1), adam.requireNumber("eps")));
  }

  private static double step(Training training, AdapterSet set, Optimizer optimizer, int step) {
    try (Scope _ = Scope.open(); Tape tape = Tape.watch(set.trainable())) {
      Tensor loss = training.loss(step);
      double value = loss.item();
      optimizer.step(tape.gradients(loss));
      return value;
    }
  }

  /** How many matrices were compared: none at a step that is not recorded. */
  private static int compare(String step, AdapterSet set, Map<String, Tensor> golden, double limit) {
    if (golden.keySet().stream().noneMatch(name -> name.startsWith(step + "."))) {
      return 0;
    }
    set.adapters().forEach((layer, adapter) -> adapter.tensors().forEach((matrix, tensor) -> {
      String key = step + "." + OmniGenFixture.key(layer, matrix);
      Fixtures.closeTo(key, tensor, golden.get(key), limit);
    }));
    return set.trainable().size();
  }

  /** The LoRA that PEFT wrote after ten steps, as a user reads it; merged, it makes the model that PEFT merges it to. */
  @TestFactory
  Stream<DynamicTest> peftFolder() {
    return OmniGenFixture.all().stream().map(fixture -> DynamicTest.dynamicTest(fixture + " as PEFT keeps it", () ->
        fixture.withTransformer(model -> {
          Path folder = fixture.folder().resolve("lora_peft");
          try (PipelineAdapter adapter = AdapterFiles.read(folder, Map.of(OmniGenFixture.TRANSFORMER, model), ReadOptions.STRICT)) {
            assertEquals(List.of(), adapter.notices());
            AdapterSet set = adapter.sets().get(OmniGenFixture.TRANSFORMER);
            assertEquals(set.trainable().size(), compare("step10", set, fixture.variant("lora"), 0));
            AdapterFilesGoldenTest.assertRoundTrip(folder, set, temporary);
            set.attach();
            merged(fixture, model, set);
          }
        })));
  }

  private static void merged(OmniGenFixture fixture, OmniGenTransformer model, AdapterSet set) {
    Map<String, Tensor> golden = fixture.golden("adapter_lora_merged");
    Tensor before = forward(fixture, model);
    Fixtures.closeTo("not merged", before, golden.get("forward_text.output"), OUTPUT);
    Merge merge = Merge.into(set);
    long compared = golden.keySet().stream().filter(name -> name.endsWith(".weight")).peek(name ->
        Fixtures.closeTo(name, model.parameters().get(name).value(), golden.get(name), MERGED)).count();
    assertTrue(compared > 0, "merged weights to compare");
    Fixtures.closeTo("merged", forward(fixture, model), golden.get("forward_text.output"), OUTPUT);
    merge.unmerge();
    Fixtures.equal("unmerged", forward(fixture, model), before);
  }

  private static Tensor forward(OmniGenFixture fixture, OmniGenTransformer model) {
    Map<String, Tensor> in = fixture.golden("forward_text");
    OmniGenFixture.Condition condition = fixture.condition("forward_text", in);
    OmniGenInput input = OmniGenInput.of(condition.tokens(), model.config().padToken());
    return Tensor.concat(0, model.forward(input, condition.pictures(), in.get("x").chunk(0, Math.toIntExact(in.get("x").size(0))),
        in.get("t"), null));
  }
}
