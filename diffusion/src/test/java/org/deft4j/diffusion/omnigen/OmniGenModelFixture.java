package org.deft4j.diffusion.omnigen;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.UnaryOperator;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.Target;
import org.deft4j.weights.WeightSource;
import org.deft4j.weights.Weights;
import org.deft4j.weights.testing.Fixtures;

/** A fixture folder of kind {@code omnigen}: a complete small model and its golden data. */
record OmniGenModelFixture(Path folder) {
  /** All of them. */
  static List<OmniGenModelFixture> all() {
    return Fixtures.folders("omnigen").stream().map(OmniGenModelFixture::new).toList();
  }

  OmniGenConfig config() {
    return config(Json.read(folder.resolve("config.json")));
  }

  OmniGenConfig config(JsonObject json) {
    try (WeightSource source = SafetensorsFile.open(folder.resolve("model.safetensors"))) {
      return OmniGenConfig.from(json, source.shape("pos_embed").size(1));
    }
  }

  /** The transformer with its weights, held in {@code type}; null: as stored. */
  OmniGenTransformer transformer(DType type) {
    return transformer(config(), type, Map.of());
  }

  /** The same of another configuration, each weight named in {@code changes} changed. */
  OmniGenTransformer transformer(OmniGenConfig config, DType type, Map<String, UnaryOperator<Tensor>> changes) {
    OmniGenTransformer model = new OmniGenTransformer(config);
    Map<String, Target> expected = new LinkedHashMap<>();
    model.parameters().forEach((name, parameter) -> expected.put(name, new Target(parameter.shape(),
        stored -> parameter.set(changes.getOrDefault(name, UnaryOperator.identity()).apply(stored)))));
    try (Scope _ = Scope.open(); WeightSource source = SafetensorsFile.open(folder.resolve("model.safetensors"))) {
      Weights.load("transformer", expected, source, type);
    }
    return model;
  }

  JsonObject cases() {
    return Json.read(folder.resolve("cases.json")).requireObject("cases");
  }

  Map<String, Tensor> golden(String name) {
    return Fixtures.golden(folder.resolve(name + ".safetensors"));
  }

  /** A tensor of a golden file. */
  Tensor golden(String file, String name) {
    try (SafetensorsFile source = SafetensorsFile.open(Fixtures.unpacked(folder.resolve(file + ".safetensors")))) {
      return source.load(name);
    }
  }

  /** Conditions, and the latents of each row's input pictures. */
  record Condition(OmniGenInput input, List<List<Tensor>> pictures) {}

  /** The same row by row. */
  List<OmniGenSampler.Row> rows(String name, Map<String, Tensor> latents) {
    return cut(name, latents).rows();
  }

  /** The same with all rows in a batch, padded as recorded. */
  Condition condition(String name, Map<String, Tensor> latents) {
    Cut cut = cut(name, latents);
    return new Condition(OmniGenInput.of(cut.rows().stream().map(OmniGenSampler.Row::tokens).toList(), cut.pad()),
        cut.rows().stream().map(OmniGenSampler.Row::pictures).toList());
  }

  private record Cut(List<OmniGenSampler.Row> rows, int pad) {}

  /**
   * A case of the recorded processor: its padded ids, cut back to each row's own; the k-th span of all is picture k of the case's
   * {@code input_latent}s.
   *
   * @param latents the golden file that has them
   */
  private Cut cut(String name, Map<String, Tensor> latents) {
    long[][] ids = rows(golden("processor", name + ".input_ids"));
    long[][] positions = rows(golden("processor", name + ".position_ids"));
    JsonObject spans = cases().requireObject(name).requireObject("image_spans");
    List<OmniGenSampler.Row> rows = new ArrayList<>();
    int picture = 0;
    int pad = config().padToken();
    for (int row = 0; row < ids.length; row++) {
      int noise = positions[row].length - ids[row].length - 1;
      int length = (int) positions[row][positions[row].length - 1] - noise;
      int padding = ids[row].length - length;
      pad = padding > 0 ? (int) ids[row][0] : pad;
      List<Integer> own = new ArrayList<>();
      for (int i = padding; i < ids[row].length; i++) {
        own.add((int) ids[row][i]);
      }
      List<ImageSpan> images = new ArrayList<>();
      List<Tensor> seen = new ArrayList<>();
      for (Object span : spans.list(String.valueOf(row))) {
        List<?> ends = (List<?>) span;
        images.add(new ImageSpan(seen.size(), ((Long) ends.get(0)).intValue() - padding, ((Long) ends.get(1)).intValue() - padding));
        seen.add(latents.get("input_latent." + picture++));
      }
      rows.add(new OmniGenSampler.Row(new OmniGenTokens(own, images), seen));
    }
    return new Cut(rows, pad);
  }

  private static long[][] rows(Tensor tensor) {
    long[] all = tensor.cast(DType.I64).toLongs();
    int width = Math.toIntExact(tensor.size(1));
    long[][] rows = new long[Math.toIntExact(tensor.size(0))][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = java.util.Arrays.copyOfRange(all, i * width, (i + 1) * width);
    }
    return rows;
  }

  /** {@code prefix.0}, {@code prefix.1}, ... of a golden file, or the rows of {@code prefix}. */
  static List<Tensor> list(Map<String, Tensor> golden, String prefix) {
    if (golden.containsKey(prefix)) {
      Tensor all = golden.get(prefix);
      return all.split(0, java.util.stream.LongStream.range(0, all.size(0)).map(i -> 1).toArray());
    }
    Map<Integer, Tensor> found = new TreeMap<>();
    golden.forEach((name, tensor) -> {
      if (name.matches(java.util.regex.Pattern.quote(prefix) + "\\.\\d+")) {
        found.put(Integer.parseInt(name.substring(prefix.length() + 1)), tensor);
      }
    });
    return List.copyOf(found.values());
  }

  @Override
  public String toString() {
    return folder.getFileName().toString();
  }
}
