package org.deft4j.deft.cli;

import java.io.IOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.deft.AdapterFormat;
import org.deft4j.deft.RenamedTensors;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.TorchFile;
import org.deft4j.weights.WeightSource;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** {@code convert} and {@code merge} on the smallest models: what they write makes the same pictures. */
class ConvertAndMergeTest {
  @TempDir
  Path folder;

  private final String model = Fixtures.folders("sdxl").getFirst().toString();
  private final Path photos = Path.of(System.getProperty("deft4j.root", "..")).resolve("deft/src/demo/photos");

  private String train(String method, String name, String... more) {
    String out = folder.resolve(name).toString();
    run(List.of("train", "--model", model, "--data", photos.toString(), "--prompt", "a toy", "--method", method, "--rank", "2",
        "--steps", "2", "--size", "32", "--seed", "5", "--lr", "1e-2", "--out", out), more);
    return out;
  }

  private static Terminal run(List<String> first, String... more) {
    Terminal terminal = Terminal.run(Stream.concat(first.stream(), Stream.of(more)).toArray(String[]::new));
    assertEquals(0, terminal.status(), terminal.err());
    return terminal;
  }

  private byte[] picture(String of, String... adapters) throws IOException {
    Path out = folder.resolve("picture.png");
    run(List.of("generate", "--model", of, "--prompt", "a toy", "--steps", "2", "--width", "32", "--height", "32", "--seed", "3", "--out",
        out.toString()), adapters);
    return pixels(out);
  }

  private static byte[] pixels(Path png) {
    return org.deft4j.diffusion.image.Pictures.read(png).rgb();
  }

  private static void near(byte[] expected, byte[] actual, int allowed, String what) {
    assertEquals(expected.length, actual.length);
    for (int i = 0; i < expected.length; i++) {
      int difference = Math.abs((expected[i] & 0xff) - (actual[i] & 0xff));
      assertTrue(difference <= allowed, what + ": a value differs by " + difference);
    }
  }

  @Test
  void everyLayoutMakesTheSamePicture() throws IOException {
    String deft = train("deft", "deft", "--decomposition", "qr", "--init", "random");
    byte[] plain = picture(model);
    byte[] expected = picture(model, "--adapter", deft);
    assertFalse(Arrays.equals(plain, expected));
    for (AdapterFormat format : AdapterFormat.values()) {
      if (format == AdapterFormat.AUTHORS_SDXL) {
        continue;
      }
      String out = folder.resolve("as-" + format.label() + format.ending()).toString();
      JsonObject document = Json.parse(run(List.of("convert", "--model", model, "--adapter", deft, "--to", format.label(), "--out", out,
          "--json")).out(), "convert");
      assertEquals(format.label(), document.requireString("format"));
      near(expected, picture(model, "--adapter", out), 1, format.label());
      assertTrue(run(List.of("inspect", out)).out().contains(format == AdapterFormat.PEFT ? "PEFT" : format == AdapterFormat.AUTHORS
          ? "DEFT authors" : "LoRA"), format.label());
    }
    String sdxl = folder.resolve("project_replace.pt").toString();
    String relaxed = train("deft", "relaxed");
    run(List.of("convert", "--model", model, "--adapter", relaxed, "--to", "authors-sdxl", "--out", sdxl));
    near(picture(model, "--adapter", relaxed), picture(model, "--adapter", sdxl), 1, "authors-sdxl");
  }

  /** What scales rows goes into the files that hold it and into the model, and is refused where only a LoRA would do. */
  @Test
  void aDoraKeepsItsLengths() throws IOException {
    String dora = train("dora", "dora");
    byte[] expected = picture(model, "--adapter", dora);
    assertFalse(Arrays.equals(picture(model), expected));
    for (String format : List.of("peft", "diffusers", "diffusers-older", "kohya", "kohya-diffusers")) {
      String out = folder.resolve("as-" + format + AdapterFormat.named(format).ending()).toString();
      run(List.of("convert", "--model", model, "--adapter", dora, "--to", format, "--out", out));
      near(expected, picture(model, "--adapter", out), 1, format);
      assertTrue(run(List.of("inspect", out)).out().contains(format.equals("peft") ? "dora" : "DoRA"), format);
    }
    String merged = folder.resolve("merged-dora").toString();
    run(List.of("merge", "--model", model, "--adapter", dora, "--out", merged));
    near(expected, picture(merged), 1, "merged");
    Terminal narrow = Terminal.run("convert", "--model", model, "--adapter", dora, "--rank", "1", "--to", "kohya", "--out",
        folder.resolve("narrow.safetensors").toString());
    assertEquals(2, narrow.status());
    assertTrue(narrow.err().contains("scales the rows"), narrow.err());
  }

  @Test
  void aMergedModelNeedsNoAdapter() throws IOException {
    String deft = train("deft", "deft");
    String para = train("para", "para");
    for (String compose : List.of("sum", "sequence")) {
      byte[] expected = picture(model, "--adapter", deft + ":0.5", "--adapter", para, "--compose", compose);
      String merged = folder.resolve("merged-" + compose).toString();
      run(List.of("merge", "--model", model, "--adapter", deft + ":0.5", "--adapter", para, "--compose", compose, "--out", merged));
      near(expected, picture(merged), 1, "merged by " + compose);
      String folded = folder.resolve(compose + ".safetensors").toString();
      run(List.of("merge", "--model", model, "--adapter", deft + ":0.5", "--adapter", para, "--compose", compose, "--to", "kohya", "--out",
          folded));
      near(expected, picture(model, "--adapter", folded), 1, "folded by " + compose);
      String extracted = folder.resolve("extracted-" + compose + ".safetensors").toString();
      run(List.of("convert", "--model", model, "--tuned", merged, "--rank", "4", "--to", "diffusers", "--out", extracted));
      near(expected, picture(model, "--adapter", extracted), 1, "extracted after " + compose);
    }
  }

  @Test
  void aModelInAnotherType() throws IOException {
    String half = folder.resolve("half").toString();
    run(List.of("convert", "--model", model, "--weights", "bf16", "--out", half));
    assertArrayEquals(picture(model, "--weights", "bf16"), picture(half));
    assertTrue(Files.size(Path.of(half, "unet", "diffusion_pytorch_model.safetensors"))
        < 0.7 * Files.size(Path.of(model, "unet", "diffusion_pytorch_model.safetensors")));
  }

  /** An option that would have no effect is refused. */
  @Test
  void whatMeansNothingToAModel() {
    for (List<String> option : List.of(List.of("--dtype", "bf16"), List.of("--rank", "3"), List.of("--allow-partial"),
        List.of("--compose", "sequence"), List.of("--authors-none", "relaxed"), List.of("--redact"), List.of("--targets", "to_q"))) {
      Terminal terminal = Terminal.run(Stream.concat(Stream.of("convert", "--model", model, "--out", folder.resolve("out").toString()),
          option.stream()).toArray(String[]::new));
      assertEquals(2, terminal.status(), option.toString());
      assertTrue(terminal.err().contains(option.getFirst()), terminal.err());
      assertFalse(Files.exists(folder.resolve("out")));
    }
  }

  /** {@code --weights}: what the stored weight and the adapter make is rounded once, not the weight before and the sum again. */
  @Test
  void aMergedWeightIsRoundedOnce() {
    String qr = train("deft", "qr", "--decomposition", "qr", "--init", "random");
    String whole = folder.resolve("whole").toString();
    String half = folder.resolve("half").toString();
    run(List.of("merge", "--model", model, "--adapter", qr, "--out", whole));
    run(List.of("merge", "--model", model, "--adapter", qr, "--weights", "bf16", "--out", half));
    Path unet = Path.of("unet", "diffusion_pytorch_model.safetensors");
    try (Scope _ = Scope.open(); SafetensorsFile exact = SafetensorsFile.open(Path.of(whole).resolve(unet));
        SafetensorsFile rounded = SafetensorsFile.open(Path.of(half).resolve(unet))) {
      for (String name : exact.names()) {
        if (exact.shape(name).rank() > 1) {
          assertEquals(DType.BF16, rounded.dtype(name), name);
          Fixtures.equal(name, rounded.load(name), exact.load(name).cast(DType.BF16));
        }
      }
    }
  }

  /** What was read is kept, and said to tell of a disk; on request it is left out. */
  @Test
  void metadataThatTellOfADisk() {
    Path told = folder.resolve("told.safetensors");
    try (Scope _ = Scope.open(); SafetensorsFile file = converted("diffusers", train("lora", "lora"))) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      file.names().forEach(name -> tensors.put(name, file.load(name)));
      SafetensorsWriter.write(told, tensors, Map.of("ss_train_data_dir", "pictures", "ss_output_name", "dog", "note", "see /home/me/dog"));
    }
    for (String format : List.of("kohya", "diffusers", "peft")) {
      Path out = folder.resolve(format + "-told" + AdapterFormat.named(format).ending());
      List<String> convert = List.of("convert", "--model", model, "--adapter", told.toString(), "--to", format, "--out", out.toString());
      assertTrue(run(convert).err().contains("(note, ss_train_data_dir)"));
      assertTrue(metadata(out).keySet().containsAll(List.of("ss_train_data_dir", "ss_output_name", "note")), metadata(out).toString());
      assertFalse(run(convert, "--redact").err().contains("folders of the disk"));
      assertTrue(metadata(out).containsKey("ss_output_name"));
      assertFalse(metadata(out).containsKey("ss_train_data_dir") || metadata(out).containsKey("note"), metadata(out).toString());
    }
    Terminal wrong = Terminal.run("convert", "--model", model, "--adapter", told.toString(), "--to", "authors", "--redact", "--out",
        folder.resolve("authors").toString());
    assertEquals(2, wrong.status());
    assertTrue(wrong.err().contains("--redact"), wrong.err());
  }

  private SafetensorsFile converted(String format, String adapter) {
    Path out = folder.resolve(format + "-converted.safetensors");
    run(List.of("convert", "--model", model, "--adapter", adapter, "--to", format, "--out", out.toString()));
    return SafetensorsFile.open(out);
  }

  private static Map<String, String> metadata(Path adapter) {
    Path file = Files.isDirectory(adapter) ? adapter.resolve("adapter_model.safetensors") : adapter;
    try (SafetensorsFile open = SafetensorsFile.open(file)) {
      return open.metadata();
    }
  }

  /** Every tensor, rounded once. */
  @Test
  void anAdapterInAnotherType() {
    String lora = train("lora", "lora", "--alpha", "3");
    for (String format : List.of("kohya", "kohya-diffusers", "diffusers", "diffusers-older", "authors", "peft")) {
      try (Scope _ = Scope.open(); WeightSource exact = numbers(lora, format)) {
        for (DType type : List.of(DType.F32, DType.F16, DType.BF16)) {
          try (WeightSource rounded = numbers(lora, format, "--dtype", type.name().toLowerCase(Locale.ROOT))) {
            assertEquals(exact.names(), rounded.names());
            exact.names().forEach(name -> {
              assertEquals(type, rounded.dtype(name), format + " " + name);
              Fixtures.equal(name, rounded.load(name), exact.load(name).cast(type));
            });
          }
        }
      }
    }
  }

  /** The tensors of the adapter's file in a format. */
  private WeightSource numbers(String adapter, String format, String... options) {
    Path out = folder.resolve(String.join("", options) + format + AdapterFormat.named(format).ending());
    run(Stream.concat(Stream.of("convert", "--model", model, "--adapter", adapter, "--to", format, "--out", out.toString()),
        Stream.of(options)).toList());
    return format.equals("authors") ? TorchFile.open(out.resolve("knowledge_injection_state.bin"))
        : SafetensorsFile.open(format.equals("peft") ? out.resolve("adapter_model.safetensors") : out);
  }

  /** The DEFT authors' files do not say which decomposition it is: what is said is what is read, and relu where nothing is. */
  @Test
  void whatNoneIsInTheAuthorsFiles() throws IOException {
    String much = ":300"; // Adapters that were trained this little do not differ by a grey level.
    for (String name : List.of("relaxed", "relu", "relu-relu")) {
      String deft = train("deft", name, "--decomposition", name, "--init", "random");
      String authors = folder.resolve("authors-" + name).toString();
      run(List.of("convert", "--model", model, "--adapter", deft, "--to", "authors", "--out", authors));
      byte[] expected = picture(model, "--adapter", deft + much);
      near(expected, picture(model, "--adapter", authors + much, "--authors-none", name), 1, name);
      for (String other : List.of("relaxed", "relu", "relu-relu")) {
        byte[] read = picture(model, "--adapter", authors + much, "--authors-none", other);
        assertEquals(other.equals(name), Arrays.equals(expected, read), name + " read as " + other);
      }
      assertEquals(name.equals("relu"), Arrays.equals(expected, picture(model, "--adapter", authors + much)), name);
      String peft = folder.resolve("peft-" + name).toString();
      Terminal told = run(List.of("convert", "--model", model, "--adapter", authors, "--authors-none", name, "--to", "peft", "--out",
          peft));
      assertEquals(name, Json.read(Path.of(peft, "adapter_config.json")).requireString("decomposition_method"));
      assertTrue(told.err().contains("decomposition_method None was taken to be " + name + ";"), told.err());
    }
  }

  /** What another tool said in the configuration is still there, as it said it, and the tensors are. */
  @Test
  void fieldsThatNobodyKnowsAreKept() throws IOException {
    Map<String, Object> invented = new LinkedHashMap<>();
    Map<String, String> words = Map.of("\u043A\u043B\u044E\u0447", "\u2603 \uD83D\uDE00 \"\\\n");
    invented.put("nested", Map.of("list", Arrays.asList(1L, 2.5, null, true, words), "object", Map.of(), "none", List.of()));
    invented.put("small", 1e-7);
    invented.put("exact", 9007199254740993L);
    invented.put("large", new BigInteger("-123456789012345678901234567890"));
    invented.put("nothing", null);
    String text = """
        {"nested": {"list": [1, 2.5, null, true, {"\u043A\u043B\u044E\u0447": "\\u2603 \\ud83d\\ude00 \\"\\\\\\n"}],
        "object": {}, "none": []}, "small": 1e-7, "exact": 9007199254740993, "large": -123456789012345678901234567890, "nothing": null,
        """;
    for (String method : List.of("deft", "para", "lora-para", "dora")) {
      Path adapter = Path.of(train(method, method));
      Path config = adapter.resolve("adapter_config.json");
      Map<String, Object> expected = new LinkedHashMap<>(invented);
      expected.putAll(Json.read(config).asMap());
      Files.writeString(config, text + Files.readString(config).substring(1));
      Path out = folder.resolve(method + "-again");
      run(List.of("convert", "--model", model, "--adapter", adapter.toString(), "--to", "peft", "--out", out.toString()));
      assertEquals(expected, Json.read(out.resolve("adapter_config.json")).asMap());
      assertEquals(-1, Files.mismatch(adapter.resolve("adapter_model.safetensors"), out.resolve("adapter_model.safetensors")), method);
    }
  }

  /** Neither the file or folder nor those above it, unless they were there. */
  @Test
  void whatIsRefusedLeavesNoFolder() throws IOException {
    String lora = train("lora", "lora");
    String convolutions = train("deft", "convolutions", "--targets", "conv1");
    Files.createDirectory(folder.resolve("empty"));
    for (String above : List.of("new/deeper", "empty")) {
      refused(lora, "authors-sdxl", folder.resolve(above).resolve("project_replace.pt"));
      refused(convolutions, "authors", folder.resolve(above).resolve("authors"));
      assertFalse(Files.exists(folder.resolve("new")));
      try (var left = Files.list(folder.resolve("empty"))) {
        assertEquals(List.of(), left.toList());
      }
    }
    Path written = folder.resolve("new/deeper/lora.safetensors");
    run(List.of("convert", "--model", model, "--adapter", lora, "--to", "kohya", "--out", written.toString()));
    assertTrue(Files.exists(written));
  }

  private void refused(String adapter, String format, Path out) {
    Terminal terminal = Terminal.run("convert", "--model", model, "--adapter", adapter, "--to", format, "--out", out.toString());
    assertEquals(2, terminal.status(), terminal.err());
    assertTrue(terminal.err().contains("the DEFT authors'"), terminal.err());
  }

  /** Refused, read without them on demand, and refused all the same where none fits: in every format that adapters are read from. */
  @Test
  void tensorsThatFitNoLayer() {
    String lora = train("lora", "lora");
    Map<String, String> guesses = Map.of("diffusers", "diffusers'", "kohya", "kohya's", "peft", "PEFT's", "authors",
        "those of the DEFT authors' code");
    guesses.forEach((format, guess) -> {
      Path adapter = folder.resolve("some-" + format + AdapterFormat.named(format).ending());
      run(List.of("convert", "--model", model, "--adapter", lora, "--to", format, "--out", adapter.toString()));
      RenamedTensors.in(adapter, name -> name.replaceFirst("attn1(.to_q)", "attn9$1"));
      unmatched(convert(adapter), guess);
      Terminal partial = convert(adapter, "--allow-partial");
      assertEquals(0, partial.status(), partial.err());
      assertTrue(partial.err().contains("belong to no layer") && partial.err().contains("; they were left out"), partial.err());
      RenamedTensors.in(adapter, name -> name.replaceFirst("attn", "other"));
      unmatched(convert(adapter), guess);
      unmatched(convert(adapter, "--allow-partial"), guess);
    });
  }

  private static void unmatched(Terminal terminal, String guess) {
    assertEquals(2, terminal.status(), terminal.err());
    assertTrue(terminal.err().contains("belong to no layer") && terminal.err().contains("; the names are " + guess), terminal.err());
  }

  private Terminal convert(Path adapter, String... more) {
    List<String> command = List.of("convert", "--model", model, "--adapter", adapter.toString(), "--to", "kohya", "--out",
        folder.resolve("converted.safetensors").toString());
    return Terminal.run(Stream.concat(command.stream(), Stream.of(more)).toArray(String[]::new));
  }

  @Test
  void mistakes() {
    Terminal terminal = Terminal.run("convert", "--model", model, "--adapter", folder.resolve("none").toString(), "--to", "khoya",
        "--compose", "sums", "--out", folder.resolve("x").toString());
    assertEquals(2, terminal.status());
    assertEquals(3, terminal.err().lines().count(), terminal.err());
    assertTrue(terminal.err().contains("did you mean 'kohya'"), terminal.err());
    Terminal ending = Terminal.run("merge", "--model", model, "--to", "kohya", "--out", folder.resolve("x").toString());
    assertEquals(2, ending.status());
    assertTrue(ending.err().contains("--adapter is missing") && ending.err().contains(".safetensors"), ending.err());
    Terminal both = Terminal.run("convert", "--model", model, "--tuned", model, "--out", folder.resolve("y").toString());
    assertTrue(both.err().contains("--rank is missing") && both.err().contains("--to is missing"), both.err());
    Terminal values = Terminal.run("convert", "--model", model, "--adapter", model, "--authors-none", "reluu", "--to", "kohya", "--dtype",
        "f61", "--out", folder.resolve("z.safetensors").toString());
    assertEquals(2, values.status());
    assertEquals(2, values.err().lines().count(), values.err());
    assertTrue(values.err().contains("--authors-none: 'reluu' is unknown; there are relu, relaxed, relu-relu"), values.err());
    assertTrue(values.err().contains("--dtype: 'f61' is unknown; there are f32, bf16, f16"), values.err());
    Terminal picture = Terminal.run("generate", "--model", model, "--prompt", "x", "--authors-none", "qr", "--out",
        folder.resolve("z.png").toString());
    assertEquals(2, picture.status());
    assertTrue(picture.err().contains("--authors-none: 'qr' is unknown"), picture.err());
  }
}
