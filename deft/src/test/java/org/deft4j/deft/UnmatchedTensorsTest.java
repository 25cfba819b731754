package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Adapters of every format, some or all of whose tensors belong to no layer of the model. */
class UnmatchedTensorsTest {
  private static final Targets LINEAR = Targets.suffixes(List.of("to_q", "to_out.0", "time_emb_proj"));
  private static final Map<AdapterFormat, String> GUESSES = Map.of(AdapterFormat.DIFFUSERS, "the names are diffusers'",
      AdapterFormat.KOHYA, "the names are kohya's", AdapterFormat.KOHYA_SGM, "the names are kohya's",
      AdapterFormat.PEFT, "the names are PEFT's", AdapterFormat.AUTHORS, "the names are those of the DEFT authors' code");
  private static final String MIDDLE = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q";
  private static final String NEAREST = "; the layers nearest to the first are ";

  @TempDir
  Path temporary;

  /** Another name for the tensors of {@link #MIDDLE}. */
  private static String one(String name) {
    return name.replaceFirst("^(.*mid.*)attn1(.to_q.*)$", "$1attn9$2");
  }

  /** Another name for every tensor, since each layer is in an attention or projects the time, which SGM has a name of its own for. */
  private static String all(String name) {
    return name.replaceFirst("attn|time_emb_proj|emb_layers", "other");
  }

  private static Map<String, Module> models(Module unet) {
    return Map.of("unet", unet);
  }

  /** A file or folder of {@code format} with tensors that are called otherwise. */
  private Path written(AdapterFormat format, AdapterConfig config, UNet2DConditionModel unet, UnaryOperator<String> names)
      throws IOException {
    Path folder = Files.createTempDirectory(temporary, format.label());
    Path out = format.isFolder() ? folder : folder.resolve("lora" + format.ending());
    try (PipelineAdapter adapter = new PipelineAdapter(
        Map.of("unet", AdapterSet.create(unet, config.with(LINEAR), new TorchRandom(4))), Map.of(), List.of())) {
      format.write(out, adapter, models(unet), DType.F32, "title", "base");
    }
    RenamedTensors.in(out, names);
    return out;
  }

  private static String refusal(Path adapter, UNet2DConditionModel unet, ReadOptions options) {
    return assertThrows(InputException.class, () -> AdapterFiles.read(adapter, models(unet), options)).getMessage();
  }

  /** The layers after {@link #NEAREST}; kohya's names for them come first. */
  private static List<String> nearest(String message) {
    int start = message.indexOf(NEAREST) + NEAREST.length();
    return List.of(message.substring(start, message.indexOf(';', start)).replaceAll("lora_\\w+ \\(([^)]+)\\)", "$1").split(", "));
  }

  @Test
  void theErrorSaysHowManyAndWhatIsNearAndWhoseNamesTheyAre() throws IOException {
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = TinyUnet.create()) {
      int tensors = 2 * LINEAR.select(unet).size();
      Set<String> layers = Targets.layers(unet).keySet();
      for (Map.Entry<AdapterFormat, String> format : GUESSES.entrySet()) {
        Path adapter = written(format.getKey(), AdapterConfig.lora(2), unet, UnmatchedTensorsTest::one);
        String message = refusal(adapter, unet, ReadOptions.STRICT);
        assertTrue(message.contains(": 2 of " + tensors + " tensors belong to no layer of this model, such as "), message);
        assertTrue(message.contains(format.getValue()), message);
        assertEquals(5, nearest(message).size(), message);
        assertTrue(layers.containsAll(nearest(message)), message);
        assertTrue(nearest(message).contains(MIDDLE), message);
      }
    }
  }

  @Test
  void aPartialReadingLeavesThemOutAndSaysSo() throws IOException {
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = TinyUnet.create()) {
      Set<String> expected = LINEAR.select(unet).keySet();
      for (AdapterFormat format : GUESSES.keySet()) {
        try (PipelineAdapter read = AdapterFiles.read(written(format, AdapterConfig.lora(2), unet, UnmatchedTensorsTest::one), models(unet),
            ReadOptions.STRICT.withPartial(true))) {
          Set<String> found = read.sets().get("unet").adapters().keySet();
          assertTrue(expected.containsAll(found) && !found.contains(MIDDLE), format.label());
          assertEquals(expected.size() - 1, found.size(), format.label());
          String notice = read.notices().getFirst();
          assertTrue(notice.contains(": 2 of ") && notice.endsWith("; they were left out"), notice);
        }
      }
    }
  }

  @Test
  void thatNothingFitsIsAlwaysAnError() throws IOException {
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = TinyUnet.create()) {
      int tensors = 2 * LINEAR.select(unet).size();
      for (Map.Entry<AdapterFormat, String> format : GUESSES.entrySet()) {
        Path adapter = written(format.getKey(), AdapterConfig.lora(2), unet, UnmatchedTensorsTest::all);
        for (boolean partial : new boolean[] {false, true}) {
          String message = refusal(adapter, unet, ReadOptions.STRICT.withPartial(partial));
          assertTrue(message.contains(": " + tensors + " of " + tensors + " tensors belong to no layer"), message);
          assertTrue(message.contains(format.getValue()), message);
        }
      }
    }
  }

  /** The authors' code has other names for each method. */
  @Test
  void theAuthorsNamesAreKnownWhateverTheMethod() throws IOException {
    AdapterConfig para = AdapterConfig.para(2);
    List<AdapterConfig> configs = List.of(AdapterConfig.deft(2), AdapterConfig.deft(2).with(new FrozenQrDecomposition()),
        AdapterConfig.lora(2), para, para.with(Decomposition.named("nmf")),
        para.with(Decomposition.named("tsvd")).with(new AdapterExtras(Dropout.NONE, false, 0.25)));
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = TinyUnet.create()) {
      for (AdapterConfig config : configs) {
        Path adapter = written(AdapterFormat.AUTHORS, config, unet, UnmatchedTensorsTest::all);
        String message = refusal(adapter, unet, ReadOptions.STRICT.withPartial(true));
        assertTrue(message.contains(GUESSES.get(AdapterFormat.AUTHORS)), message);
      }
    }
  }
}
