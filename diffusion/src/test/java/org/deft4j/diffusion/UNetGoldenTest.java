package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.nn.Losses;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The UNet against diffusers': outputs, losses, gradients, what every part gives out. */
class UNetGoldenTest {
  private static final double OUTPUT = 3e-5;
  /** What is left is the time embedding, which is float32 in the reference too. */
  private static final double OUTPUT_FLOAT64 = 5e-7;
  private static final double GRADIENT = 2e-4;

  static List<TinyModel> models() {
    return TinyModel.all();
  }

  /** A call's inputs, by the names of the golden file. */
  private record Call(Tensor sample, Tensor timestep, Tensor context, UNet2DConditionModel.Added added) {
    static Call of(Map<String, Tensor> golden, DType type) {
      Tensor pooled = golden.get("text_embeds");
      return new Call(golden.get("sample").cast(type), golden.get("timestep"),
          golden.get("encoder_hidden_states").cast(type), pooled == null ? null
              : new UNet2DConditionModel.Added(pooled.cast(type), golden.get("time_ids").cast(type)));
    }

    Tensor run(UNet2DConditionModel unet) {
      return unet.forward(sample, timestep, context, added);
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void outputs(TinyModel model) {
    int compared = 0;
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = model.unet()) {
      for (String name : model.goldens("unet_")) {
        Map<String, Tensor> golden = model.golden(name);
        if (golden.containsKey("sample")) {
          Fixtures.closeTo(name, Call.of(golden, DType.F32).run(unet), golden.get("output"), OUTPUT);
          compared++;
        }
      }
    }
    assertTrue(compared > 0, "no golden calls in " + model);
  }

  @ParameterizedTest
  @MethodSource("models")
  void outputsInFloat64(TinyModel model) {
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = model.unet(DType.F64)) {
      for (String name : model.goldens("unet_")) {
        Map<String, Tensor> golden = model.golden(name);
        if (golden.containsKey("output.float64")) {
          Tensor output = Call.of(golden, DType.F64).run(unet);
          assertEquals(DType.F64, output.dtype());
          Fixtures.closeTo(name, output, golden.get("output.float64"), OUTPUT_FLOAT64);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void outputsWithWeightsInFloat16(TinyModel model) {
    for (String name : model.goldens("unet_")) {
      if (name.endsWith("_fp16_weights")) {
        try (Scope _ = Scope.open(); UNet2DConditionModel unet = model.unet(DType.F16);
            UNet2DConditionModel rounded = model.unet(DType.F16, DType.F32)) {
          assertEquals(DType.F16, unet.parameters().get("conv_in.weight").value().dtype());
          Call call = Call.of(model.golden(name.replace("_fp16_weights", "")), DType.F32);
          Tensor output = call.run(unet);
          Fixtures.closeTo(name, output, model.golden(name).get("output"), OUTPUT);
          assertArrayEquals(call.run(rounded).toFloats(), output.toFloats(), "the product converts weights exactly");
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void lossesAndGradients(TinyModel model) {
    for (boolean checkpointing : new boolean[] {false, true}) {
      try (UNet2DConditionModel unet = model.unet()) {
        unet.setGradientCheckpointing(checkpointing);
        for (String name : model.goldens("unet_")) {
          try (Scope _ = Scope.open()) {
            Map<String, Tensor> golden = model.golden(name);
            if (golden.containsKey("loss")) {
              compareGradients(model, name, unet, golden);
            }
          }
        }
      }
    }
  }

  private static void compareGradients(TinyModel model, String name, UNet2DConditionModel unet, Map<String, Tensor> golden) {
    Call call = Call.of(golden, DType.F32);
    List<Tensor> watched = new ArrayList<>(unet.parameters().values().stream().map(Parameter::value).toList());
    watched.add(call.sample());
    watched.add(call.context());
    try (Tape tape = Tape.watch(watched)) {
      Tensor loss = Losses.mse(call.run(unet), golden.get("target"));
      Fixtures.relativelyCloseTo(name + " loss", loss, golden.get("loss"), 2e-6);
      Gradients gradients = tape.gradients(loss);
      Map<String, Tensor> expected = TinyModel.gradients(golden);
      assertTrue(expected.size() > 2);
      expected.forEach((input, gradient) -> {
        Tensor at = switch (input) {
          case "sample" -> call.sample();
          case "encoder_hidden_states" -> call.context();
          default -> unet.parameters().get(input).value();
        };
        Fixtures.relativelyCloseTo(name + " " + input, gradients.of(at), gradient, GRADIENT);
      });
      compareNorms(model, name, unet, gradients);
    }
  }

  private static void compareNorms(TinyModel model, String name, UNet2DConditionModel unet, Gradients gradients) {
    var file = model.folder().resolve("golden").resolve(name + "_all_gradient_norms.json");
    if (Fixtures.exists(file)) {
      JsonObject norms = Fixtures.json(file);
      assertEquals(unet.parameters().keySet(), norms.keys());
      unet.parameters().forEach((path, parameter) -> {
        double norm = norms.requireNumber(path);
        assertEquals(norm, gradients.of(parameter.value()).norm().item(), GRADIENT * norm, path);
      });
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void everyPartGivesTheSame(TinyModel model) {
    for (String name : model.goldens("unet_")) {
      if (name.endsWith("_activations")) {
        try (Scope _ = Scope.open(); UNet2DConditionModel unet = model.unet(); Activations activations = new Activations(unet)) {
          Call.of(model.golden(name.replace("_activations", "")), DType.F32).run(unet);
          assertTrue(activations.compare(model.golden(name), OUTPUT) > 10);
        }
      }
    }
  }
}
