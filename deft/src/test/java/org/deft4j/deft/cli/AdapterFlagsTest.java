package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.deft4j.deft.testing.Dense;
import org.deft4j.deft.testing.JacobiSvd;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What the options of {@code train} about the adapter itself leave in the files, and that a wrong value of each is told by its name. */
class AdapterFlagsTest {
  private static final int RANK = 4;
  private static final String PREFIX = "base_model.model.";
  /** More than a step at this rate changes in a product of P and a column of a weight. */
  private static final String RATE = "1e-5";
  private static final double NEAR = 2e-4;

  @TempDir
  Path folder;

  private final Path model = Fixtures.folders("sdxl").getFirst();
  private final Path photos = Path.of(System.getProperty("deft4j.root", "..")).resolve("deft/src/demo/photos");

  private Terminal run(String name, String... flags) {
    List<String> command = new ArrayList<>(List.of("train", "--model", model.toString(), "--data", photos.toString(), "--prompt", "a toy",
        "--rank", String.valueOf(RANK), "--targets", "attn1.to_v,attn2.to_v", "--steps", "1", "--size", "32", "--seed", "5", "--out",
        folder.resolve(name).toString()));
    command.addAll(List.of(flags));
    return Terminal.run(command.toArray(String[]::new));
  }

  private Path train(String name, String... flags) {
    Terminal terminal = run(name, flags);
    assertEquals(0, terminal.status(), terminal.err());
    return folder.resolve(name);
  }

  /** The adapter as a file of diffusers or kohya. */
  private Path convert(Path adapter, String format) {
    Path out = folder.resolve(adapter.getFileName() + "-" + format + ".safetensors");
    Terminal terminal = Terminal.run("convert", "--model", model.toString(), "--adapter", adapter.toString(), "--to", format, "--out",
        out.toString());
    assertEquals(0, terminal.status(), terminal.err());
    return out;
  }

  private static JsonObject config(Path adapter) {
    return Json.read(adapter.resolve("adapter_config.json"));
  }

  private static double firstLoss(Path adapter) {
    return Json.read(adapter.resolve("run.json")).requireNumber("first_loss");
  }

  private static Map<String, Tensor> tensors(Path adapter) {
    return Fixtures.golden(adapter.resolve("adapter_model.safetensors"));
  }

  /** The layers that have a matrix of this name, all that were asked for. */
  private static Set<String> layers(Map<String, Tensor> tensors, String matrix) {
    Set<String> layers = new TreeSet<>();
    tensors.keySet().stream().filter(name -> name.endsWith("." + matrix))
        .forEach(name -> layers.add(name.substring(0, name.length() - matrix.length() - 1)));
    assertTrue(layers.stream().anyMatch(layer -> layer.endsWith("attn1.to_v")) && layers.stream().allMatch(layer ->
        layer.endsWith("attn1.to_v") || layer.endsWith("attn2.to_v")), layers.toString());
    return layers;
  }

  /** That every layer of a DEFT changed nothing when its training began: {@code factor R = P^T W}, to what a step changes. */
  private void assertStartedAsTheIdentity(Path adapter, double factor) {
    try (Scope _ = Scope.open(); SafetensorsFile unet = SafetensorsFile.open(model.resolve("unet/diffusion_pytorch_model.safetensors"))) {
      Map<String, Tensor> tensors = tensors(adapter);
      for (String layer : layers(tensors, "deft_R")) {
        Dense w = Dense.of(unet.load(layer.replace(PREFIX, "") + ".weight"));
        Dense removed = Dense.of(tensors.get(layer + ".deft_P")).t().times(w);
        assertTrue(removed.frobenius() > 100 * NEAR, layer);
        assertEquals(0, removed.minus(Dense.of(tensors.get(layer + ".deft_R")).times(factor)).frobenius(), NEAR * RANK, layer);
      }
    }
  }

  @Test
  void aGateIsTrainedAndHalvesNothingAtTheStart() {
    Path adapter = train("gated", "--gate", "--lr", RATE);
    assertEquals("DEFT4J", config(adapter).requireString("peft_type"));
    assertTrue(config(adapter).requireBool("gate"));
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = tensors(adapter);
      for (String layer : layers(tensors, "deft_P")) {
        Tensor gate = tensors.get(layer + ".deft_gate");
        assertEquals("[1]", gate.shape().toString());
        assertEquals(0.5, gate.item(), 1e-4);
        assertNotEquals(0.5, gate.item(), layer + " has learned");
      }
    }
    assertStartedAsTheIdentity(adapter, 1 / (1 + Math.exp(-0.5)));
  }

  @Test
  void alphaScalesWhatIsInjected() {
    Path plain = train("plain", "--lr", RATE);
    assertFalse(config(plain).has("alpha"));
    assertTrue(config(plain).requireBool("init_weights"));
    assertStartedAsTheIdentity(plain, 1);
    Path scaled = train("scaled", "--alpha", "12", "--lr", RATE);
    assertEquals(12, config(scaled).requireNumber("alpha"));
    assertStartedAsTheIdentity(scaled, 3);
  }

  /** LoRA and DoRA: {@code A / sqrt(R)} is written as the alpha that gives it. */
  @Test
  void alphaByTheRankOrByItsRoot() {
    for (String method : List.of("lora", "dora")) {
      alpha(train(method, "--method", method, "--alpha", "6"), 6);
      alpha(train(method + "-root", "--method", method, "--alpha", "6", "--rslora"), 12);
    }
  }

  private void alpha(Path adapter, double expected) {
    assertEquals(expected, config(adapter).requireNumber("lora_alpha"));
    assertFalse(config(adapter).requireBool("use_rslora"));
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> kohya = Fixtures.golden(convert(adapter, "kohya"));
      List<String> alphas = kohya.keySet().stream().filter(name -> name.endsWith(".alpha")).toList();
      assertEquals(layers(tensors(adapter), "lora_A.weight").size(), alphas.size());
      alphas.forEach(name -> assertEquals(expected, kohya.get(name).item(), name));
    }
  }

  /** Two runs that differ in how far they go agree where P is held at 0, and there alone. */
  @Test
  void aShareOfPIsHeldAtZero() {
    Path near = train("near", "--sparsity", "0.25", "--weight-decay", "0", "--lr", "1e-3");
    Path far = train("far", "--sparsity", "0.25", "--weight-decay", "0", "--lr", "1e-2");
    assertEquals("DEFT4J", config(near).requireString("peft_type"));
    assertEquals(0.25, config(near).requireNumber("sparsity"));
    double elements = 0;
    double zeros = 0;
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = tensors(near);
      Map<String, Tensor> others = tensors(far);
      for (String layer : layers(tensors, "deft_P")) {
        double[] mask = tensors.get(layer + ".deft_mask").toDoubles();
        assertArrayEquals(mask, others.get(layer + ".deft_mask").toDoubles(), layer);
        double[] p = tensors.get(layer + ".deft_P").toDoubles();
        double[] q = others.get(layer + ".deft_P").toDoubles();
        assertEquals(p.length, mask.length);
        for (int i = 0; i < mask.length; i++) {
          assertTrue(mask[i] == 0 || mask[i] == 1);
          assertEquals(mask[i] == 0, p[i] == q[i], layer + " element " + i);
          zeros += 1 - mask[i];
          elements++;
        }
      }
    }
    assertEquals(0.25, zeros / elements, 6 * Math.sqrt(0.25 * 0.75 / elements));
  }

  /** A dropout that drops nothing draws the same random numbers, so that nothing but what is dropped makes a difference. */
  @Test
  void dropoutOfWhatIsInjectedOrOfTheWholeLayer() {
    Path none = train("none", "--dropout", "1e-9");
    Path injected = train("injected", "--dropout", "0.5");
    Path wholeNone = train("whole-none", "--layer-dropout", "1e-9");
    Path whole = train("whole", "--layer-dropout", "0.5");
    assertEquals(0.5, config(injected).requireNumber("deft_dropout"));
    assertFalse(config(injected).has("layer_dropout"));
    assertEquals(0.5, config(whole).requireNumber("layer_dropout"));
    assertEquals(0, config(whole).requireNumber("deft_dropout"));
    assertEquals(firstLoss(none), firstLoss(wholeNone), 1e-5);
    assertNotEquals(firstLoss(none), firstLoss(injected), 1e-4);
    assertNotEquals(firstLoss(none), firstLoss(whole), 1e-4);
    assertNotEquals(firstLoss(injected), firstLoss(whole), 1e-4);
  }

  /** PaRa injects nothing: what is removed has its dropout then, for which PEFT has no field. */
  @Test
  void dropoutOfWhatParaRemoves() {
    Path none = train("none", "--method", "para", "--dropout", "1e-9");
    Path removed = train("removed", "--method", "para", "--dropout", "0.5");
    assertEquals(0.5, config(removed).requireNumber("removal_dropout"));
    assertEquals(0, config(removed).requireNumber("deft_dropout"));
    assertEquals("DEFT", config(removed).requireString("peft_type"));
    assertNotEquals(firstLoss(none), firstLoss(removed), 1e-4);
  }

  /** Of each layer as many singular vectors are removed as carry the share; the LoRA of it has their number for its rank. */
  @Test
  void varianceDecidesTheRankOfEachLayer() {
    Path all = train("all", "--method", "para", "--decomposition", "svd");
    Path adaptive = train("adaptive", "--method", "para", "--decomposition", "svd", "--variance", "0.7");
    assertFalse(config(all).has("kept_variance"));
    assertEquals(0.7, config(adaptive).requireNumber("kept_variance"));
    assertEquals("DEFT4J", config(adaptive).requireString("peft_type"));
    assertEquals(Set.of(RANK), Set.copyOf(ranks(all, 1)));
    assertTrue(Set.copyOf(ranks(adaptive, 0.7)).size() > 1, "layers differ");
  }

  private List<Integer> ranks(Path adapter, double variance) {
    List<Integer> ranks = new ArrayList<>();
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = tensors(adapter);
      Map<String, Tensor> lora = Fixtures.golden(convert(adapter, "diffusers"));
      for (String layer : layers(tensors, "deft_P")) {
        int kept = kept(JacobiSvd.of(Dense.of(tensors.get(layer + ".deft_P"))).s(), variance);
        assertEquals(kept, lora.get("unet." + layer.replace(PREFIX, "") + ".lora_A.weight").size(0), layer);
        ranks.add(kept);
      }
    }
    return ranks;
  }

  private static int kept(double[] s, double variance) {
    double total = Stream.iterate(0, i -> i < s.length, i -> i + 1).mapToDouble(i -> s[i] * s[i]).sum();
    double sum = 0;
    int kept = 0;
    while (kept < s.length && (variance == 1 || sum < variance * total)) {
      sum += s[kept] * s[kept++];
    }
    return kept;
  }

  /** The spread of R where DEFT starts at random; that of P where PaRa does, and as the authors' code does, {@code U(-1/2, 1/2)}. */
  @Test
  void starts() {
    Path random = train("random", "--init", "random", "--lr", RATE);
    assertFalse(config(random).requireBool("init_weights"));
    assertEquals(0.02, spread(random, "deft_R"), 1e-3);
    assertEquals(0.02, spread(train("para", "--method", "para", "--init", "random", "--lr", RATE), "deft_P"), 1e-3);
    Path official = train("official", "--method", "para", "--init", "official", "--lr", RATE);
    assertEquals(Math.sqrt(1 / 12.0), spread(official, "deft_P"), 0.01);
    assertEquals("official", Json.read(official.resolve("run.json")).requireString("start"));
  }

  private static double spread(Path adapter, String matrix) {
    double squares = 0;
    double count = 0;
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = tensors(adapter);
      for (String layer : layers(tensors, matrix)) {
        squares += tensors.get(layer + "." + matrix).square().sum().item();
        count += tensors.get(layer + "." + matrix).elementCount();
      }
    }
    return Math.sqrt(squares / count);
  }

  @Test
  void mistakes() throws IOException {
    mistake("--sparsity", "sparsity 1.0: at least 0 and below 1 is needed", "--sparsity", "1");
    mistake("--sparsity", "method lora has no P to make sparse", "--method", "lora", "--sparsity", "0.5");
    mistake("--gate", "method para takes no gate; deft, lora and lora-para do", "--method", "para", "--gate");
    mistake("--dropout", "--dropout: dropout 1.0: at least 0 and below 1 is needed", "--dropout", "1");
    mistake("--layer-dropout", "--layer-dropout: dropout 1.5: at least 0", "--layer-dropout", "1.5");
    mistake("--layer-dropout", "--layer-dropout: dropout -0.5: at least 0", "--layer-dropout", "-0.5");
    mistake("--layer-dropout", "--dropout and --layer-dropout drop the same input", "--dropout", "0.1", "--layer-dropout", "0.1");
    mistake("--variance", "--variance: kept variance 0.0: above 0 and at most 1 is needed", "--decomposition", "svd", "--variance", "0");
    mistake("--variance", "--variance: kept variance 1.5: above 0", "--decomposition", "svd", "--variance", "1.5");
    mistake("--variance", "--variance: decomposition qr has no singular values", "--decomposition", "qr", "--variance", "0.5");
    mistake("--variance", "--method lora takes no --variance", "--method", "lora", "--variance", "0.5");
    mistake("--alpha", "alpha -2.0: a positive number is needed", "--alpha", "-2");
    mistake("--alpha", "--method para takes no --alpha", "--method", "para", "--alpha", "2");
    mistake("--rslora", "--rslora scales by alpha / sqrt(rank): it needs --alpha", "--method", "lora", "--rslora");
    mistake("--rslora", "--rslora scales by alpha / sqrt(rank)", "--method", "deft", "--alpha", "2", "--rslora");
    mistake("--init", "--init: start 'identty' is unknown; did you mean 'identity'?", "--init", "identty");
  }

  /** Before a picture is read. */
  @Test
  void aStartThatCannotBe() {
    Terminal terminal = Terminal.run("train", "--model", model.toString(), "--data", folder.toString(), "--prompt", "a toy", "--decomposition",
        "relu-relu", "--out", folder.resolve("none").toString());
    assertEquals(2, terminal.status());
    assertTrue(terminal.err().contains("decomposition relu-relu cannot start as the identity"), terminal.err());
    assertFalse(terminal.err().contains("picture"), "an empty folder would be told of next");
  }

  private void mistake(String option, String sentence, String... flags) {
    Terminal terminal = run("mistaken", flags);
    assertEquals(2, terminal.status(), option + ": " + terminal.err());
    assertEquals(1, terminal.err().lines().filter(line -> !line.contains("CpuKernels") && !line.startsWith("INFO")).count(), terminal.err());
    assertTrue(terminal.err().contains(sentence), terminal.err());
    assertFalse(Files.exists(folder.resolve("mistaken")), option);
  }

  /** Each with a sentence of its own, where nothing would have come of any. */
  @Test
  void whatIsSaidOfAnAdapterThatIsNone() {
    Terminal terminal = run("mistaken", "--method", "full", "--gate", "--sparsity", "0.5", "--dropout", "0.5", "--alpha", "2", "--variance",
        "0.5");
    assertEquals(2, terminal.status(), terminal.err());
    for (String option : List.of("--targets", "--gate", "--sparsity", "--dropout", "--alpha", "--variance")) {
      assertTrue(terminal.err().contains("--method full takes no " + option + "\n"), option + " in " + terminal.err());
    }
    Terminal layer = run("mistaken", "--method", "full", "--layer-dropout", "0.5");
    assertTrue(layer.status() == 2 && layer.err().contains("--method full takes no --layer-dropout"), layer.err());
  }
}
