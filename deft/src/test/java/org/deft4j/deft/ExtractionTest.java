package org.deft4j.deft;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.deft4j.deft.Extraction.Side;
import org.deft4j.nn.Module;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** LoRAs of the difference of two models: every layer that was changed, in every part, and words for what no LoRA holds. */
class ExtractionTest {
  private static final Set<String> ADAPTABLE = new LinkedHashSet<>(List.of("unet", "text_encoder"));

  private static final String LEFT_OUT = "left out, as the LoRA does not hold them: ";

  private final List<Module> made = new ArrayList<>();

  @AfterEach
  void close() {
    made.forEach(Module::close);
  }

  private <M extends Module> M own(M model) {
    model.parameters().values().forEach(parameter -> Scope.release(parameter.value()));
    made.add(model);
    return model;
  }

  /** A pipeline of two parts that can be adapted, and one that cannot. */
  private Side side(String name) {
    Map<String, Module> parts = new LinkedHashMap<>();
    parts.put("unet", own(TinyUnet.create()));
    parts.put("text_encoder", own(new TwoLayers(6, 8, DType.F32, 7)));
    parts.put("vae", own(new TwoLayers(4, 5, DType.F32, 9)));
    return new Side(name, parts);
  }

  private static void set(Side side, String part, String name, Consumer<float[]> change) {
    Parameter parameter = side.parts().get(part).parameters().get(name);
    float[] values = parameter.value().toFloats();
    change.accept(values);
    parameter.set(Scope.release(Tensor.of(values, parameter.shape().toArray())));
  }

  /** Merges a DEFT of rank 2 into layers of a part. */
  private static void merge(Side side, String part, String... layers) {
    try (AdapterSet set = AdapterSet.create(side.parts().get(part),
        AdapterConfig.deft(2).with(new QrDecomposition()).with(Start.RANDOM).with(Targets.suffixes(List.of(layers))), new TorchRandom(3))) {
      Merge.into(set).close();
    }
  }

  /** The greatest difference of a weight of the two. */
  private static double distance(Side one, Side other, Set<String> parts) {
    double most = 0;
    for (String part : parts) {
      Map<String, Parameter> others = other.parts().get(part).parameters();
      for (Map.Entry<String, Parameter> parameter : one.parts().get(part).parameters().entrySet()) {
        try (Scope _ = Scope.open()) {
          most = Math.max(most, parameter.getValue().value().sub(others.get(parameter.getKey()).value()).abs().max(false).item());
        }
      }
    }
    return most;
  }

  private static String refusal(Side base, Side tuned, Targets targets) {
    return assertThrows(InputException.class, () -> Extraction.of(base, tuned, ADAPTABLE, targets, 2)).getMessage();
  }

  @Test
  void whateverAMergeChangedIsFound() {
    try (Scope _ = Scope.open()) {
      Side base = side("base");
      Side tuned = side("tuned");
      merge(tuned, "unet", "to_q", "conv1", "conv_in", "time_emb_proj");
      merge(tuned, "text_encoder", "to_q");
      try (PipelineAdapter found = Extraction.of(base, tuned, ADAPTABLE, null, 2)) {
        assertEquals(List.of("unet", "text_encoder"), List.copyOf(found.sets().keySet()));
        assertEquals(Targets.suffixes(List.of("to_q", "conv1", "conv_in", "time_emb_proj")).select(base.parts().get("unet")).keySet(),
            found.sets().get("unet").adapters().keySet());
        assertEquals(Set.of("attn.to_q"), found.sets().get("text_encoder").adapters().keySet());
        assertEquals(2, found.notices().size(), found.notices().toString());
        String text = found.notices().get(1);
        assertTrue(text.startsWith("text_encoder: 1 of 2 layers differ and were taken; rank 2 leaves out "), text);
        assertTrue(error(found.notices().getFirst()) < 1e-5, found.notices().getFirst());
        double before = distance(base, tuned, ADAPTABLE);
        found.sets().values().forEach(set -> Merge.into(set).close());
        double after = distance(base, tuned, ADAPTABLE);
        assertTrue(before > 0.1 && after < 1e-5, before + " and " + after);
      }
    }
  }

  private static double error(String notice) {
    Matcher error = Pattern.compile(" leaves out ([-.e0-9]+) of their difference").matcher(notice);
    assertTrue(error.find(), notice);
    return Double.parseDouble(error.group(1));
  }

  /** The error that is told, against the norms of whole matrices, over two layers. */
  @Test
  void whatTheRankLeavesIsTold() {
    try (Scope _ = Scope.open()) {
      Side base = side("base");
      Side tuned = side("tuned");
      TorchRandom random = new TorchRandom(4);
      for (String layer : List.of("attn.to_q", "ff")) {
        Parameter weight = tuned.parts().get("text_encoder").parameters().get(layer + ".weight");
        weight.set(Scope.release(weight.value().add(random.normal(DType.F32, weight.shape().toArray()))));
      }
      double all = 0;
      double left = 0;
      try (PipelineAdapter found = Extraction.of(base, tuned, ADAPTABLE, null, 1)) {
        for (String layer : List.of("attn.to_q", "ff")) {
          Tensor change = tuned.parts().get("text_encoder").parameters().get(layer + ".weight").value()
              .sub(base.parts().get("text_encoder").parameters().get(layer + ".weight").value());
          Tensor lora = found.sets().get("text_encoder").adapters().get(layer).weightDelta(change);
          all += Math.pow(change.norm().item(), 2);
          left += Math.pow(change.sub(lora).norm().item(), 2);
        }
        assertEquals(List.of("text_encoder"), List.copyOf(found.sets().keySet()));
        assertTrue(found.notices().getFirst().startsWith("unet: 0 of "), found.notices().getFirst());
        assertEquals(Math.sqrt(left / all), error(found.notices().get(1)), 1e-3);
      }
    }
  }

  @Test
  void targetsChooseAmongTheLayersThatDiffer() {
    try (Scope _ = Scope.open()) {
      Side base = side("base");
      Side tuned = side("tuned");
      merge(tuned, "unet", "to_q", "conv1");
      merge(tuned, "text_encoder", "to_q", "ff");
      set(tuned, "unet", "conv_in.bias", values -> values[0]++);
      set(tuned, "vae", "ff.weight", values -> values[0]++);
      Map<List<String>, List<Integer>> layers = Map.of(List.of("to_q"), List.of(8, 1), List.of("ff"), List.of(0, 1), List.of("conv1", "ff"),
          List.of(8, 1), List.of("all-linear"), List.of(8, 2));
      layers.forEach((targets, counts) -> {
        try (PipelineAdapter found = Extraction.of(base, tuned, ADAPTABLE, Targets.named(targets), 2)) {
          List<Integer> taken = new ArrayList<>();
          ADAPTABLE.forEach(part -> taken.add(found.sets().containsKey(part) ? found.sets().get(part).adapters().size() : 0));
          assertEquals(counts, taken, targets.toString());
          String leftOut = found.notices().getLast();
          assertTrue(leftOut.startsWith(LEFT_OUT) && leftOut.contains(" changed parameters in "), leftOut);
        }
      });
      try (PipelineAdapter found = Extraction.of(base, tuned, ADAPTABLE, null, 2)) {
        assertEquals(LEFT_OUT + "24 changed parameters in 2 tensors (unet.conv_in.bias, vae.ff.weight)", found.notices().getLast());
      }
      assertTrue(refusal(base, tuned, Targets.named(List.of("to_q", "to_x")))
          .contains("target 'to_x' matches no layer of the model; the nearest are to_k"));
    }
  }

  @Test
  void modelsThatAreEqualOrOfAnotherKindAreRefused() {
    try (Scope _ = Scope.open()) {
      Side base = side("base");
      Side tuned = side("tuned");
      assertEquals("base and tuned do not differ in any layer that can be adapted", refusal(base, tuned, null));
      set(tuned, "unet", "conv_in.bias", values -> values[0]++);
      assertEquals("base and tuned do not differ in any layer that can be adapted; they differ in 4 changed parameters in 1 tensors "
          + "(unet.conv_in.bias)", refusal(base, tuned, null));
      assertTrue(refusal(base, tuned, Targets.named(List.of("ff"))).contains("in any of the targeted layers; "));
      Map<String, Module> parts = new LinkedHashMap<>(base.parts());
      parts.put("unet", own(new TwoLayers(3, 5, DType.F32, 1)));
      String message = refusal(base, new Side("other", parts), null);
      assertTrue(message.contains("layer conv_in of the unet, [4, 4, 3, 3] in base, is not in other"), message);
      assertEquals(6, message.lines().filter(line -> !line.isBlank()).count(), message);
      assertTrue(message.endsWith(" more; the two are not of one kind"), message);
      parts.remove("text_encoder");
      assertEquals("other has no text_encoder, as base has", refusal(base, new Side("other", parts), null));
    }
  }

  @Test
  void whatIsNotFiniteIsNamedWithItsModel() {
    for (float wrong : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
      for (boolean inBase : new boolean[] {false, true}) {
        try (Scope _ = Scope.open()) {
          Side base = side("base");
          Side tuned = side("tuned");
          merge(tuned, "unet", "to_q");
          set(inBase ? base : tuned, "text_encoder", "ff.weight", values -> values[3] = wrong);
          assertEquals("layer ff of the text_encoder of " + (inBase ? "base" : "tuned") + " has a value that is not finite",
              refusal(base, tuned, null));
        }
      }
    }
  }
}
