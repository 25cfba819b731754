package org.deft4j.deft;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.diffusion.omnigen.InputPictures;
import org.deft4j.diffusion.omnigen.LlamaTokenizer;
import org.deft4j.diffusion.omnigen.OmniGenConfig;
import org.deft4j.diffusion.omnigen.OmniGenInput;
import org.deft4j.diffusion.omnigen.OmniGenProcessor;
import org.deft4j.diffusion.omnigen.OmniGenTokens;
import org.deft4j.diffusion.omnigen.OmniGenTransformer;
import org.deft4j.diffusion.omnigen.PixelSize;
import org.deft4j.diffusion.omnigen.RectifiedFlow;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.testing.Fixtures;

/** A folder of OmniGen's golden data: the model, what was recorded of its adapters, and the batches they were trained on. */
record OmniGenFixture(Path folder) {
  /** The part of the model that adapters are on. */
  static final String TRANSFORMER = "transformer";
  private static final String ADAPTER = "adapter_";
  private static final String ENDING = ".safetensors";
  private static final String START = "init.";
  private static final String TRAINED_CASE = "train";
  /** The release's own limit for input pictures. */
  private static final int MAX_INPUT = 1024;

  /** All of them. */
  static List<OmniGenFixture> all() {
    return Fixtures.folders("omnigen").stream().map(OmniGenFixture::new).toList();
  }

  /** The variants with a recorded training, by the names of their files: {@code lora}, {@code deft_qr}, ... */
  List<String> variants() {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(file -> file.getFileName().toString().startsWith(ADAPTER) && hasStart(file)).sorted()
          .map(file -> file.getFileName().toString().replace(ADAPTER, "").replace(ENDING, "")).toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static boolean hasStart(Path file) {
    try (SafetensorsFile source = SafetensorsFile.open(file)) {
      return source.names().stream().anyMatch(name -> name.startsWith(START));
    }
  }

  Map<String, Tensor> golden(String name) {
    return Fixtures.golden(folder.resolve(name + ENDING));
  }

  /** What a variant's file holds. */
  Map<String, Tensor> variant(String variant) {
    return golden(ADAPTER + variant);
  }

  /** How a variant was trained. */
  JsonObject settings(String variant) {
    return recorded(ADAPTER + variant);
  }

  private JsonObject recorded(String name) {
    return Json.read(folder.resolve("cases.json")).requireObject("cases").requireObject(name);
  }

  /** Runs {@code body} with the transformer, its weights loaded, and frees everything after it. */
  void withTransformer(Consumer<OmniGenTransformer> body) {
    try (Scope _ = Scope.open(); SafetensorsFile file = SafetensorsFile.open(folder.resolve("model.safetensors"));
        OmniGenTransformer transformer = new OmniGenTransformer(
            OmniGenConfig.from(Json.read(folder.resolve("config.json")), file.shape("pos_embed").size(1)))) {
      transformer.parameters().forEach((name, parameter) -> parameter.set(file.load(name)));
      body.accept(transformer);
    }
  }

  /** What is adapted, and how. */
  AdapterConfig config(String variant) {
    JsonObject settings = settings(variant);
    int rank = settings.requireInteger("rank");
    AdapterConfig config = settings.has("variant")
        ? AdapterConfig.deft(rank).with(Decomposition.named(settings.requireString("variant"))).with(Start.RANDOM)
        : AdapterConfig.lora(rank).withAlpha(settings.requireNumber("alpha"));
    return config.with(Targets.suffixes(settings.requireStrings("targets")));
  }

  /** The adapter as it started, its matrices those of {@code values} called {@code init.<layer>.<matrix>}. */
  AdapterSet start(OmniGenTransformer model, String variant, Map<String, Tensor> values) {
    AdapterConfig config = config(variant);
    Map<String, LayerAdapter> adapters = new LinkedHashMap<>();
    config.targets().select(model).forEach((path, layer) -> adapters.put(path, start(config, path, layer, values)));
    return new AdapterSet(model, config, adapters, Map.of());
  }

  private static LayerAdapter start(AdapterConfig config, String path, AdaptedLayer layer, Map<String, Tensor> values) {
    if (config.method() == Method.LORA) {
      Tensor a = values.get(START + key(path, LoraAdapter.A)).copy();
      return new LoraAdapter(path, layer, a, values.get(START + key(path, LoraAdapter.B)).copy(), config.scaleFor(a.size(0)));
    }
    Projection projection = new Projection(values.get(START + key(path, DeftAdapter.P)).copy(), config.decomposition());
    return new DeftAdapter(path, layer, projection, values.get(START + key(path, DeftAdapter.R)).copy(), null, 1);
  }

  /** The recorded name of a layer's matrix. */
  static String key(String layer, String matrix) {
    return layer + "." + matrix.replace("deft_", "").replace(".weight", "");
  }

  /** Prompts and pictures of a case as a user gives them, and the latents of the pictures. */
  record Condition(List<OmniGenTokens> tokens, List<List<Tensor>> pictures) {}

  /**
   * The condition of a case.
   *
   * @param latents the golden file that has the pictures' latents, {@code input_latent.<number>}, counted over all rows
   */
  Condition condition(String name, Map<String, Tensor> latents) {
    JsonObject entry = recorded(name);
    OmniGenProcessor processor = new OmniGenProcessor(LlamaTokenizer.load(folder));
    List<String> prompts = entry.requireStrings("prompts");
    List<OmniGenTokens> tokens = new ArrayList<>();
    List<List<Tensor>> pictures = new ArrayList<>();
    int picture = 0;
    for (int row = 0; row < prompts.size(); row++) {
      List<PixelSize> sizes = new ArrayList<>();
      List<Tensor> seen = new ArrayList<>();
      for (Object image : (List<?>) entry.requireList("images").get(row)) {
        sizes.add(PixelSize.of(InputPictures.fit(Pictures.read(folder.resolve("images/" + image + ".png")), MAX_INPUT)));
        seen.add(latents.get("input_latent." + picture++));
      }
      tokens.add(processor.encode(prompts.get(row), sizes));
      pictures.add(seen);
    }
    return new Condition(tokens, pictures);
  }

  /** The ten recorded batches. */
  record Training(OmniGenTransformer model, Condition condition, Map<String, Tensor> data) {
    static Training of(OmniGenFixture fixture, OmniGenTransformer model) {
      Map<String, Tensor> data = fixture.golden("adapter_data");
      return new Training(model, fixture.condition(TRAINED_CASE, data), data);
    }

    /** The loss of the batch of a step, counted from 0. */
    Tensor loss(int step) {
      Tensor t = data.get("t." + step);
      List<Tensor> x1 = new ArrayList<>();
      List<Tensor> x0 = new ArrayList<>();
      List<Tensor> xt = new ArrayList<>();
      for (int i = 0; i < t.size(0); i++) {
        x1.add(data.get("x1." + i));
        x0.add(data.get("x0." + step + "." + i));
        xt.add(RectifiedFlow.point(x1.get(i), x0.get(i), t.toFloats()[i]));
      }
      OmniGenInput input = OmniGenInput.of(condition.tokens(), model.config().padToken());
      return RectifiedFlow.loss(model.forward(input, condition.pictures(), xt, t, null), x1, x0);
    }
  }

  @Override
  public String toString() {
    return folder.getFileName().toString();
  }
}
