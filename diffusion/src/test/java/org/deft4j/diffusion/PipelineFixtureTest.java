package org.deft4j.diffusion;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.deft4j.diffusion.StableDiffusion.Conditioning;
import org.deft4j.diffusion.StableDiffusionPipeline.Inputs;
import org.deft4j.diffusion.StableDiffusionPipeline.Prompts;
import org.deft4j.diffusion.StableDiffusionPipeline.Settings;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PictureTensors;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Whole sampling loops of every golden pipeline: each step, the final latents, the decoded picture and its PNG. */
class PipelineFixtureTest {
  private static final double LATENT_LIMIT = 3e-5;
  private static final double DECODED_LIMIT = 1e-4;

  @TestFactory
  Stream<DynamicNode> loops() {
    return Fixtures.models().stream().map(folder ->
        DynamicContainer.dynamicContainer(folder.getFileName().toString(), goldens(folder)
            .map(golden -> DynamicTest.dynamicTest(golden.getFileName().toString(), () -> reproduce(folder, golden)))));
  }

  private static Stream<Path> goldens(Path folder) {
    try (Stream<Path> files = Files.list(folder.resolve("golden"))) {
      List<Path> loops = files.filter(file -> file.getFileName().toString().matches("loop_.*\\.safetensors")).sorted().toList();
      assertTrue(!loops.isEmpty(), folder + " has no sampling loops");
      return loops.stream();
    } catch (IOException e) {
      throw new java.io.UncheckedIOException(e);
    }
  }

  private static void reproduce(Path folder, Path file) {
    JsonObject fixture = Json.read(folder.resolve("fixture.json"));
    String name = file.getFileName().toString().replaceAll("loop_(.*)\\.safetensors", "$1");
    JsonObject loop = fixture.requireObject("loops").requireObject(name);
    JsonObject call = loop.requireObject("call");
    try (StableDiffusion model = StableDiffusion.load(folder.toString()); Scope _ = Scope.open()) {
      Map<String, Tensor> golden = Fixtures.golden(file);
      double guidance = call.number("guidance_scale", fixture.requireNumber("guidance_scale"));
      Settings settings = new Settings("", null, fixture.requireInteger("width"), fixture.requireInteger("height"),
          fixture.requireInteger("steps"), guidance, call.number("guidance_rescale", 0),
          SamplerOptions.ofEta(call.number("eta", 0)));
      Inputs inputs = inputs(model, folder, fixture, golden.get("noise"), guidance > 1, call.asMap().containsKey("negative_prompt"));
      List<Tensor> noises = steps(golden, "noise");
      List<Tensor> previous = steps(golden, "prev_sample");
      int[] seen = new int[1];
      Tensor latents = new StableDiffusionPipeline(model, scheduler(loop)).sample(settings, inputs, noises::removeFirst,
          (step, count, latent) -> {
            assertEquals(previous.size(), count);
            Fixtures.relativelyCloseTo("step " + (step - 1), latent, previous.get(step - 1), LATENT_LIMIT);
            seen[0] = step;
          });
      assertEquals(previous.size(), seen[0]);
      Fixtures.relativelyCloseTo("final latents", latents, golden.get("final_latents"), LATENT_LIMIT);
      if (golden.containsKey("decoded")) {
        Tensor decoded = model.vae().decode(model.vae().unscale(latents));
        Fixtures.closeTo("decoded", decoded, golden.get("decoded"), DECODED_LIMIT);
        samePng(decoded, folder.resolve("golden/loop_" + name + ".png"));
      }
    }
  }

  private static Scheduler scheduler(JsonObject loop) {
    Map<String, Object> config = new LinkedHashMap<>(loop.requireObject("scheduler_config").asMap());
    config.put("_class_name", loop.requireString("class"));
    return Scheduler.of(Json.parse(Json.format(config), "fixture.json"));
  }

  /** Conditions from the recorded token ids: the prompts' rows, the negative prompts' rows, the row of the empty text. */
  private static Inputs inputs(StableDiffusion model, Path folder, JsonObject fixture, Tensor noise, boolean guided,
      boolean withoutNegative) {
    Map<String, Tensor> texts = Fixtures.golden(folder.resolve("golden/text_encoders.safetensors"));
    List<String> rows = fixture.requireStrings("prompts");
    long n = noise.size(0);
    Conditioning positive = encode(model, texts, rows(rows, row -> row.startsWith("prompt"), n));
    Conditioning negative = null;
    if (guided && withoutNegative && model.isXl()) {
      negative = new Conditioning(positive.context().zerosLike(), positive.pooled().zerosLike());
    } else if (guided) {
      negative = encode(model, texts, rows(rows, withoutNegative ? String::isEmpty : row -> row.startsWith("negative"), n));
    }
    double[] ids = model.isXl() ? fixture.requireNumbers("time_ids").stream().mapToDouble(id -> id).toArray() : new double[6];
    Tensor timeIds = Tensor.of(ids, 1, 6).cast(noise.dtype()).expand(n, 6).contiguous();
    return new Inputs(new Prompts(positive, negative), timeIds, noise);
  }

  private static long[] rows(List<String> names, Predicate<String> wanted, long n) {
    List<Long> found = new ArrayList<>();
    for (int i = 0; i < names.size(); i++) {
      if (wanted.test(names.get(i))) {
        found.add((long) i);
      }
    }
    long[] rows = new long[Math.toIntExact(n)];
    for (int i = 0; i < n; i++) {
      rows[i] = found.get(i % found.size());
    }
    return rows;
  }

  private static Conditioning encode(StableDiffusion model, Map<String, Tensor> texts, long[] rows) {
    Tensor index = Tensor.of(rows);
    Tensor second = texts.get("input_ids_2");
    return model.encode(new StableDiffusion.TokenIds(texts.get("input_ids").indexSelect(0, index),
        second == null ? null : second.indexSelect(0, index)));
  }

  private static List<Tensor> steps(Map<String, Tensor> golden, String what) {
    List<Tensor> found = new ArrayList<>();
    for (int i = 0; golden.containsKey("step." + i + ".prev_sample"); i++) {
      Tensor tensor = golden.get("step." + i + "." + what);
      if (tensor != null) {
        found.add(tensor);
      }
    }
    return found;
  }

  /** Levels differ by one at most. */
  private static void samePng(Tensor decoded, Path png) {
    Picture expected = Pictures.read(png);
    Picture actual = PictureTensors.toPicture(decoded.slice(0, 0, 1));
    assertEquals(expected.width(), actual.width());
    assertEquals(expected.height(), actual.height());
    byte[] a = actual.rgb();
    byte[] b = expected.rgb();
    for (int i = 0; i < a.length; i++) {
      assertTrue(Math.abs((a[i] & 0xFF) - (b[i] & 0xFF)) <= 1, "value " + i + " of " + png + ": " + (a[i] & 0xFF) + ", expected "
          + (b[i] & 0xFF));
    }
  }
}
