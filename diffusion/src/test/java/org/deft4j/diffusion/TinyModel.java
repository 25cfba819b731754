package org.deft4j.diffusion;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.nn.Module;
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

/** A fixture folder of kind {@code sd} or {@code sdxl}: a complete small pipeline and its golden data. */
record TinyModel(Path folder) {
  /** All of them. */
  static List<TinyModel> all() {
    return Fixtures.models().stream().map(TinyModel::new).toList();
  }

  JsonObject config(String part) {
    return Json.read(folder.resolve(part).resolve("config.json"));
  }

  /** The text encoders' folders. */
  List<String> textEncoders() {
    return Stream.of("text_encoder", "text_encoder_2").filter(part -> Files.isDirectory(folder.resolve(part))).toList();
  }

  ClipTextEncoder textEncoder(String part, DType... casts) {
    return load(part, new ClipTextEncoder(ClipTextConfig.from(config(part))), casts);
  }

  UNet2DConditionModel unet(DType... casts) {
    return load("unet", new UNet2DConditionModel(UNetConfig.from(config("unet"))), casts);
  }

  AutoencoderKL vae(DType... casts) {
    return load("vae", new AutoencoderKL(VaeConfig.from(config("vae"))), casts);
  }

  /** Weights as stored, or taken through {@code casts}. */
  private <M extends Module> M load(String part, M model, DType... casts) {
    try (WeightSource source = SafetensorsFile.open(weights(part))) {
      return load(part, source, model, casts);
    }
  }

  static <M extends Module> M load(String part, WeightSource source, M model, DType... casts) {
    Map<String, Target> expected = new LinkedHashMap<>();
    model.parameters().forEach((name, parameter) -> expected.put(name, new Target(parameter.shape(), stored -> {
      Tensor value = stored;
      for (DType cast : casts) {
        value = value.cast(cast);
      }
      parameter.set(value);
    })));
    try (Scope _ = Scope.open()) {
      Weights.load(part, expected, source, null);
    }
    return model;
  }

  private Path weights(String part) {
    try (Stream<Path> files = Files.list(folder.resolve(part))) {
      return files.filter(file -> file.toString().endsWith(".safetensors")).findFirst().orElseThrow();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Whether the set has that golden file; the repository's copy leaves the largest out. */
  boolean hasGolden(String name) {
    return Files.exists(folder.resolve("golden").resolve(name + ".safetensors"));
  }

  /** A golden file, by its name without extension. */
  Map<String, Tensor> golden(String name) {
    return Fixtures.golden(folder.resolve("golden").resolve(name + ".safetensors"));
  }

  /** The golden files whose names start so, without extension. */
  List<String> goldens(String prefix) {
    try (Stream<Path> files = Files.list(folder.resolve("golden"))) {
      return files.map(file -> file.getFileName().toString())
          .filter(name -> name.startsWith(prefix) && name.endsWith(".safetensors"))
          .map(name -> name.substring(0, name.length() - ".safetensors".length())).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Every {@code grad.<name>} of a golden, by name. */
  static Map<String, Tensor> gradients(Map<String, Tensor> golden) {
    Map<String, Tensor> gradients = new LinkedHashMap<>();
    golden.forEach((name, tensor) -> {
      if (name.startsWith("grad.")) {
        gradients.put(name.substring("grad.".length()), tensor);
      }
    });
    return gradients;
  }

  @Override
  public String toString() {
    return folder.getFileName().toString();
  }
}
