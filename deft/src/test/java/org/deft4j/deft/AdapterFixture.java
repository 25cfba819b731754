package org.deft4j.deft;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.diffusion.UNetConfig;
import org.deft4j.nn.Module;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.testing.Fixtures;

/** A folder of golden adapters, and the UNet they belong to. */
final class AdapterFixture {
  private static final String GOLDEN = ".golden.safetensors";
  private static final String GRADIENTS = ".grads.safetensors";
  private static final String UNET_WEIGHTS = "unet/diffusion_pytorch_model.safetensors";
  /** Those whose golden data every fixture has. */
  private static final List<String> VARIANTS = List.of("lora", "p_relu", "para", "qr", "qr_inject_p", "relaxed", "relu_relu", "tsvd",
      "tsvd_trunc_inject_p");

  /** The folder. */
  final Path folder;
  /** The model's folder. */
  final Path model;

  private AdapterFixture(Path folder, Path model) {
    this.folder = folder;
    this.model = model;
  }

  /** Every one under the fixture root, each with the SDXL model whose layers its adapters fit. */
  static List<AdapterFixture> all() {
    return Fixtures.folders("adapters").stream().map(folder -> new AdapterFixture(folder, fitting(folder))).toList();
  }

  private static Path fitting(Path folder) {
    try (SafetensorsFile init = SafetensorsFile.open(folder.resolve("deft/init.safetensors"))) {
      for (Path candidate : Fixtures.folders("sdxl")) {
        try (SafetensorsFile unet = SafetensorsFile.open(candidate.resolve(UNET_WEIGHTS))) {
          if (init.names().stream().filter(name -> name.endsWith(".R")).allMatch(name -> fits(init, unet, name))) {
            return candidate;
          }
        }
      }
    }
    throw new AssertionError("no model under " + Fixtures.root() + " fits the adapters of " + folder);
  }

  private static boolean fits(SafetensorsFile init, SafetensorsFile unet, String name) {
    String weight = name.substring(0, name.length() - 2) + ".weight";
    return unet.names().contains(weight) && unet.shape(weight).size(1) == init.shape(name).size(1);
  }

  /** The UNet, its weights loaded. */
  UNet2DConditionModel unet() {
    UNet2DConditionModel unet = new UNet2DConditionModel(UNetConfig.from(Json.read(model.resolve("unet/config.json"))));
    try (SafetensorsFile file = SafetensorsFile.open(model.resolve(UNET_WEIGHTS))) {
      for (Map.Entry<String, Parameter> parameter : unet.parameters().entrySet()) {
        parameter.getValue().set(file.load(parameter.getKey()));
      }
    }
    return unet;
  }

  /** The prediction for the golden inputs {@code in} named as the UNet's arguments. */
  static Tensor predict(UNet2DConditionModel unet, Tensor sample, Tensor timesteps, Map<String, Tensor> in) {
    Tensor t = timesteps.cast(DType.F32).reshape(-1);
    if (t.size(0) < sample.size(0)) {
      t = t.expand(sample.size(0)).contiguous();
    }
    return unet.forward(sample, t, in.get("encoder_hidden_states"),
        new UNet2DConditionModel.Added(in.get("text_embeds"), in.get("time_ids")));
  }

  /** The variants recorded in {@code deft/}; fails where one that we know is not. */
  List<String> variants() {
    List<String> found = names("deft").stream().filter(name -> name.endsWith(GOLDEN)).map(name -> name.replace(GOLDEN, "")).toList();
    if (!found.containsAll(VARIANTS)) {
      throw new AssertionError(folder + " has " + found + ", not all of " + VARIANTS);
    }
    return found;
  }

  /** Kohya's files, whichever style their names have; fails where there is none. */
  List<Path> kohyaFiles() {
    List<Path> found = names("lora").stream().filter(name -> name.startsWith("kohya_"))
        .map(name -> Fixtures.unpacked(folder.resolve("lora").resolve(name))).toList();
    if (found.isEmpty()) {
      throw new AssertionError(folder + " has no file of kohya's");
    }
    return found;
  }

  /** What is in a folder, packed files by the names they have unpacked. */
  private List<String> names(String below) {
    try (Stream<Path> files = Files.list(folder.resolve(below))) {
      return files.map(file -> file.getFileName().toString().replaceFirst("\\.gz$", "")).sorted().toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Whether a variant's gradients are there: of the repository's copy not all, the others being in OmniGen's golden data. */
  boolean hasGradients(String variant) {
    return Fixtures.exists(folder.resolve("deft/" + variant + GRADIENTS));
  }

  /** A variant's gradients at the start, {@code <module>.P} and {@code <module>.R}. */
  Map<String, Tensor> gradients(String variant) {
    return golden("deft/" + variant + GRADIENTS);
  }

  /**
   * A variant's matrices after training, by the same names; where they are not by themselves, from PEFT's folder. None where the
   * repository's copy has neither.
   */
  Map<String, Tensor> trained(String variant) {
    String own = "deft/" + variant + ".final.safetensors";
    if (Fixtures.exists(folder.resolve(own))) {
      return golden(own);
    }
    String peft = "deft/peft_" + variant.replace("p_relu", "relu") + "/" + PeftFolder.WEIGHTS;
    Map<String, Tensor> named = new LinkedHashMap<>();
    if (!Fixtures.exists(folder.resolve(peft))) {
      return named;
    }
    golden(peft)
        .forEach((name, tensor) -> named.put(name.replace("base_model.model.", "").replace(".deft_", "."), tensor));
    return named;
  }

  private static AdapterConfig config(String variant, int rank) {
    return switch (variant) {
      case "relaxed" -> AdapterConfig.deft(rank);
      case "p_relu" -> AdapterConfig.deft(rank).with(new ReluDecomposition());
      case "relu_relu" -> AdapterConfig.deft(rank).with(new RectifiedDecomposition());
      case "qr" -> AdapterConfig.deft(rank).with(new QrDecomposition());
      case "qr_inject_p" -> AdapterConfig.deft(rank).with(new InjectedThroughP(new QrDecomposition()));
      case "tsvd" -> AdapterConfig.deft(rank).with(new SvdDecomposition(Truncation.NONE));
      case "tsvd_trunc_inject_p" -> AdapterConfig.deft(rank).with(new InjectedThroughP(new SvdDecomposition(Truncation.columns(rank - 1))));
      case "para" -> AdapterConfig.para(rank);
      case "lora" -> AdapterConfig.lora(rank);
      default -> throw new AssertionError(variant);
    };
  }

  /** The set of a variant from {@code <module>.P} and {@code <module>.R} tensors. */
  AdapterSet set(Module unet, String variant, Map<String, Tensor> values) {
    int rank = Math.toIntExact(values.entrySet().stream().filter(e -> e.getKey().endsWith(".P")).findFirst().orElseThrow()
        .getValue().size(1));
    AdapterConfig config = config(variant, rank);
    Map<String, LayerAdapter> adapters = new LinkedHashMap<>();
    config.targets().select(unet).forEach((path, layer) -> {
      Tensor p = values.get(path + ".P").copy();
      Supplier<Tensor> r = () -> values.get(path + ".R").copy();
      Projection projection = new Projection(p, config.decomposition());
      adapters.put(path, switch (config.method()) {
        case DEFT -> new DeftAdapter(path, layer, projection, r.get(), null, 1);
        case PARA -> new ParaAdapter(path, layer, projection);
        case LORA -> new LoraAdapter(path, layer, r.get(), p, 1);
        case DORA, LORA_PARA -> throw new AssertionError(variant);
      });
    });
    return new AdapterSet(unet, config, adapters, Map.of());
  }

  /** Whether a matrix of ours is called P (else R) in the fixture. */
  static boolean isP(String matrix) {
    return matrix.equals(DeftAdapter.P) || matrix.equals(LoraAdapter.B);
  }

  /** A golden file's tensors, in a scope of the caller. */
  Map<String, Tensor> golden(String file) {
    return Fixtures.golden(folder.resolve(file));
  }

  /** Runs {@code body} with a fresh UNet, and frees everything after it. */
  void withUnet(java.util.function.Consumer<UNet2DConditionModel> body) {
    try (Scope _ = Scope.open(); UNet2DConditionModel unet = unet()) {
      body.accept(unet);
    }
  }

  @Override
  public String toString() {
    return folder.getFileName().toString();
  }
}
