package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What is said of tensors that belong to no layer: the right names near to theirs, another part that has such layers, alphas alone. */
class StrangersTest {
  private static final String QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q";
  private static final String NEAREST = "; the layers nearest to the first are ";

  @TempDir
  Path temporary;

  private final Map<String, Module> pipeline = new LinkedHashMap<>();

  @BeforeEach
  void aPipelineOfTwoParts() {
    pipeline.put("unet", TinyUnet.create());
    try (Scope _ = Scope.open()) {
      pipeline.put("text_encoder", new TwoLayers(6, 8, DType.F32, 7));
      pipeline.get("text_encoder").parameters().values().forEach(parameter -> Scope.release(parameter.value()));
    }
  }

  @AfterEach
  void close() {
    pipeline.values().forEach(Module::close);
  }

  /** A LoRA of one part in a layout, its tensors called otherwise. */
  private Path lora(AdapterFormat format, String part, String target, UnaryOperator<String> names) throws IOException {
    Path folder = Files.createTempDirectory(temporary, "lora");
    Path out = format.isFolder() ? folder : folder.resolve("lora" + format.ending());
    try (Scope _ = Scope.open(); PipelineAdapter adapter = new PipelineAdapter(Map.of(part, AdapterSet.create(pipeline.get(part),
        AdapterConfig.lora(2).with(Targets.suffixes(List.of(target))), new TorchRandom(4))), Map.of(), List.of())) {
      format.write(out, adapter, pipeline, DType.F32, "title", "base");
    }
    Path folderOfPart = out.resolve(part);
    RenamedTensors.in(Files.isDirectory(folderOfPart) ? folderOfPart : out, names);
    return out;
  }

  private String refusal(Path adapter) {
    try (Scope _ = Scope.open()) {
      return assertThrows(InputException.class, () -> AdapterFiles.read(adapter, pipeline, ReadOptions.STRICT)).getMessage();
    }
  }

  @Test
  void aFlatNameIsComparedWithFlatNames() throws IOException {
    String message = refusal(lora(AdapterFormat.KOHYA_SGM, "unet", "time_emb_proj", name -> name.replace("input_blocks", "inputblocks")));
    assertTrue(message.contains(NEAREST + "lora_unet_input_blocks_1_0_emb_layers_1 (down_blocks.0.resnets.0.time_emb_proj), "), message);
    message = refusal(lora(AdapterFormat.KOHYA_DIFFUSERS, "unet", QUERY, name -> name.replace("attn1_to_q", "attn1_toq")));
    assertTrue(message.contains(NEAREST + "lora_unet_" + QUERY.replace('.', '_') + " (" + QUERY + "), "), message);
    message = refusal(lora(AdapterFormat.KOHYA, "text_encoder", "to_q", name -> name.replace("lora_te_", "lora_te2_")));
    assertTrue(message.contains(NEAREST + "lora_te1_attn_to_q (attn.to_q), lora_te_attn_to_q (attn.to_q), "), message);
    assertTrue(message.contains("; 2 of them are named as layers of text_encoder are"), message);
  }

  @Test
  void whatPeftPutsBeforeNamesIsNotCompared() throws IOException {
    String message = refusal(lora(AdapterFormat.PEFT, "unet", "conv_in", name -> name.replace("conv_in", "conv_inn")));
    assertTrue(message.contains(NEAREST + "conv_in, conv_out, "), message);
  }

  /** A text encoder's adapter that is read for the UNet. */
  @Test
  void layersOfAnotherPart() throws IOException {
    String found = ", such as base_model.model.attn.to_q.lora_A.weight, base_model.model.attn.to_q.lora_B.weight; 2 of them are named as "
        + "layers of text_encoder are; a folder called text_encoder is read for that part";
    Path peft = lora(AdapterFormat.PEFT, "text_encoder", "to_q", name -> name);
    Path unet = Files.createDirectory(temporary.resolve("unet"));
    for (String file : List.of(PeftFolder.CONFIG, PeftFolder.WEIGHTS)) {
      Files.copy((Files.exists(peft.resolve(file)) ? peft : peft.resolve("text_encoder")).resolve(file), unet.resolve(file));
    }
    String message = refusal(unet);
    assertTrue(message.endsWith(found), message);
    for (String part : List.of("", "unet.")) {
      message = refusal(lora(AdapterFormat.DIFFUSERS, "text_encoder", "to_q", name -> name.replace("text_encoder.", part)));
      assertTrue(message.endsWith("; 2 of them are named as layers of text_encoder are; to be read for that part, their names would begin "
          + "with 'text_encoder.'"), message);
    }
  }

  @Test
  void anAlphaWithoutMatricesBelongsToNoLayer() throws IOException {
    Path kohya = lora(AdapterFormat.KOHYA, "unet", QUERY, name -> name);
    Path diffusers = lora(AdapterFormat.DIFFUSERS, "unet", QUERY, name -> name);
    alone(kohya, "lora_unet_conv_in.alpha", "conv_in");
    alone(kohya, "lora_unet_nothing_here.alpha", null);
    alone(diffusers, "unet.conv_in.alpha", "conv_in");
    alone(diffusers, "unet.nothing.here.alpha", null);
  }

  /** One alpha more than there are layers, and alphas alone. */
  private void alone(Path lora, String alpha, String layer) throws IOException {
    Path file = Files.createTempDirectory(temporary, "alpha").resolve("lora.safetensors");
    try (Scope _ = Scope.open(); SafetensorsFile read = SafetensorsFile.open(lora)) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      read.names().forEach(name -> tensors.put(name, read.load(name)));
      tensors.put(alpha, Tensor.of(new double[] {1}, 1).reshape().cast(DType.F32));
      SafetensorsWriter.write(file, tensors, Map.of());
      String message = refusal(file);
      assertTrue(message.contains(": 1 of 3 tensors belong to no layer of this model, such as " + alpha + "; "), message);
      assertEquals(layer != null, message.contains("; the layer of the first is there, but the file has no matrices for it"), message);
      try (PipelineAdapter partial = AdapterFiles.read(file, pipeline, ReadOptions.STRICT.withPartial(true))) {
        assertTrue(partial.notices().getFirst().endsWith("; they were left out"));
      }
      tensors.keySet().removeIf(name -> !name.equals(alpha));
      SafetensorsWriter.write(file, tensors, Map.of());
      String only = refusal(file);
      assertTrue(only.contains(": 1 of 1 tensors belong to no layer of this model, such as " + alpha), only);
      SafetensorsWriter.write(file, Map.of(), Map.of());
      assertTrue(refusal(file).endsWith(": there is no tensor in it"));
      assertFalse(refusal(file).contains("0 of 0"));
    }
  }
}
