package org.deft4j.deft;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.nn.AdamBetas;
import org.deft4j.nn.AdamW;
import org.deft4j.nn.Losses;
import org.deft4j.nn.Optimizer;
import org.deft4j.nn.Schedule;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** DEFT, PaRa and LoRA on the UNet of every fixture set: outputs, merged weights, all gradients, ten steps of training. */
class AdapterGoldenTest {
  private static final double OUTPUT = 3e-5;
  private static final double GRADIENT = 5e-4;
  private static final double LOSS = 3e-6;
  private static final double PARAMETER = 5e-4;
  private static final double NEAR = 1e-5;
  private static final double NEAR_SHARE = 0.99;

  @TestFactory
  Stream<DynamicTest> variants() {
    return AdapterFixture.all().stream().flatMap(fixture -> fixture.variants().stream().flatMap(variant -> Stream.of(
        DynamicTest.dynamicTest(fixture + " " + variant + " at the start", () -> atTheStart(fixture, variant)),
        DynamicTest.dynamicTest(fixture + " " + variant + " trained", () -> trained(fixture, variant)))));
  }

  /** Of each variant there are recorded gradients, on the UNet or on OmniGen's transformer. */
  @Test
  void gradientsOfEveryVariantAreRecorded() {
    Set<String> onOmniGen = new TreeSet<>();
    OmniGenFixture.all().stream().flatMap(fixture -> fixture.variants().stream())
        .forEach(variant -> onOmniGen.add(variant.replace("deft_", "").replace("relu", "p_relu")));
    AdapterFixture.all().forEach(fixture -> assertEquals(List.of(), fixture.variants().stream()
        .filter(variant -> !fixture.hasGradients(variant) && !onOmniGen.contains(variant)).toList(), fixture + " and " + onOmniGen));
  }

  private static Tensor predict(UNet2DConditionModel unet, Map<String, Tensor> data, int step) {
    return AdapterFixture.predict(unet, data.get("noisy").select(0, step), data.get("timesteps").select(0, step), data);
  }

  private static Tensor loss(UNet2DConditionModel unet, Map<String, Tensor> data, int step) {
    return Losses.mse(predict(unet, data, step), data.get("noise").select(0, step));
  }

  private static void atTheStart(AdapterFixture fixture, String variant) {
    fixture.withUnet(unet -> {
      Map<String, Tensor> data = fixture.golden("deft/training_data.safetensors");
      Map<String, Tensor> golden = fixture.golden("deft/" + variant + ".golden.safetensors");
      try (AdapterSet set = fixture.set(unet, variant, fixture.golden("deft/init.safetensors"))) {
        set.attach();
        if (fixture.hasGradients(variant)) {
          gradients(unet, data, set, fixture.gradients(variant));
        }
        assertEquals(golden.get("loss").item(), loss(unet, data, 0).item(), LOSS, "loss");
        Fixtures.closeTo("output", predict(unet, data, 0), golden.get("output"), OUTPUT);
        merged(unet, data, set, golden);
      }
    });
  }

  private static void gradients(UNet2DConditionModel unet, Map<String, Tensor> data, AdapterSet set,
      Map<String, Tensor> expected) {
    try (Tape tape = Tape.watch(set.trainable())) {
      Tensor loss = loss(unet, data, 0);
      Gradients gradients = tape.gradients(loss);
      assertEquals(expected.size(), set.trainable().size(), "trainable matrices");
      set.adapters().forEach((layer, adapter) -> adapter.tensors().forEach((matrix, tensor) -> {
        String name = layer + (AdapterFixture.isP(matrix) ? ".P" : ".R");
        Fixtures.relativelyCloseTo(name, gradients.of(tensor), expected.get(name), GRADIENT);
      }));
    }
  }

  private static void merged(UNet2DConditionModel unet, Map<String, Tensor> data, AdapterSet set,
      Map<String, Tensor> golden) {
    Tensor before = predict(unet, data, 0);
    Merge merge = Merge.into(set);
    Fixtures.closeTo("merged output", predict(unet, data, 0), golden.get("output.merged_weights"), OUTPUT);
    long compared = golden.keySet().stream().filter(name -> name.startsWith("merged_weight.")).peek(name -> {
      Tensor weight = unet.parameters().get(name.replace("merged_weight.", "") + ".weight").value();
      Fixtures.closeTo(name, weight, golden.get(name), NEAR);
    }).count();
    assertTrue(compared > 0, "merged weights to compare");
    merge.unmerge();
    Fixtures.equal("unmerged", predict(unet, data, 0), before);
  }

  private static void trained(AdapterFixture fixture, String variant) {
    fixture.withUnet(unet -> {
      Map<String, Tensor> data = fixture.golden("deft/training_data.safetensors");
      Map<String, Tensor> golden = fixture.golden("deft/" + variant + ".golden.safetensors");
      double rate = variant.equals("para") ? 1e-4 : 1e-3;
      try (AdapterSet set = fixture.set(unet, variant, fixture.golden("deft/init.safetensors"));
          Optimizer optimizer = new AdamW(set.groups(0.1, 1e-2), rate, Schedule.constant(), AdamBetas.USUAL)) {
        set.attach();
        float[] losses = golden.get("losses").toFloats();
        for (int step = 0; step < losses.length; step++) {
          assertEquals(losses[step], step(unet, data, set, optimizer, step), LOSS, "loss of step " + step);
        }
        Map<String, Tensor> matrices = fixture.trained(variant);
        if (!matrices.isEmpty()) {
          finals(set, matrices);
        }
        Fixtures.closeTo("output after training", predict(unet, data, 0), golden.get("output_after_10_steps"), OUTPUT);
        assertEquals(golden.get("loss_after_10_steps").item(), loss(unet, data, 0).item(), LOSS, "loss after training");
      }
    });
  }

  private static double step(UNet2DConditionModel unet, Map<String, Tensor> data, AdapterSet set, Optimizer optimizer,
      int step) {
    try (Scope _ = Scope.open(); Tape tape = Tape.watch(set.trainable())) {
      Tensor loss = loss(unet, data, step);
      double value = loss.item();
      optimizer.step(tape.gradients(loss));
      return value;
    }
  }

  private static void finals(AdapterSet set, Map<String, Tensor> expected) {
    long[] counts = new long[2];
    set.adapters().forEach((layer, adapter) -> adapter.tensors().forEach((matrix, tensor) -> {
      String name = layer + (AdapterFixture.isP(matrix) ? ".P" : ".R");
      Fixtures.closeTo(name, tensor, expected.get(name), PARAMETER);
      double[] a = tensor.toDoubles();
      double[] b = expected.get(name).toDoubles();
      for (int i = 0; i < a.length; i++) {
        counts[0]++;
        counts[1] += Math.abs(a[i] - b[i]) <= NEAR ? 1 : 0;
      }
    }));
    assertTrue(counts[1] >= NEAR_SHARE * counts[0], counts[1] + " of " + counts[0] + " elements within " + NEAR);
  }
}
