package org.deft4j.deft;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.TorchFile;
import org.deft4j.weights.WeightSource;

/**
 * What the DEFT authors' code saves, files of {@code torch.save}:
 *
 * <pre>
 *   knowledge_injection_state.bin   OmniGen, DEFT and LoRA   {@code <layer>.P .R_new .gate .Q_P_cached}, or {@code .lora_A .lora_B}
 *   para_rank_state.bin             OmniGen, PaRa            {@code <layer>.B}, or {@code .B_dense .sparse_mask}, or {@code .W .H}
 *   project_replace.pt              SDXL, DEFT and PaRa      {@code <layer>.lora_layer.P .R_new .gate}
 * </pre>
 *
 * <p>The first two have their configuration beside them, in {@code knowledge_injection_config.json} and {@code
 * para_rank_config.json}; the same is pickled in {@code *_config.bin}, which the authors' own loaders take, but may hold objects of
 * classes. The third has none: with R_new it is DEFT with {@code M = P P^T}, without it PaRa with QR, whose gate does nothing. The
 * authors' LoRA calls A what is B elsewhere.
 */
final class AuthorsFiles {
  static final String INJECTION = "knowledge_injection";
  static final String PARA = "para_rank";
  static final String SDXL = "project_replace.pt";
  static final String STATE = "_state.bin";
  static final String CONFIG = "_config.json";
  static final String PICKLED_CONFIG = "_config.bin";
  static final String LAYER = ".lora_layer";
  static final String CACHED = ".Q_P_cached";
  static final String GATE = ".gate";
  static final String LAYERS = "layer_configs";

  /** The files' names. */
  static final List<String> NAMES = List.of(INJECTION + STATE, PARA + STATE, SDXL);

  private final TorchFile file;
  private final Map<String, Module> models;
  private final ReadOptions options;
  private final Map<String, String> metadata = new LinkedHashMap<>();
  private final List<String> notices = new ArrayList<>();

  private AuthorsFiles(TorchFile file, Map<String, Module> models, ReadOptions options) {
    this.file = file;
    this.models = models;
    this.options = options;
  }

  /** Whether the file has the name of one. */
  static boolean isOne(Path path) {
    return NAMES.contains(String.valueOf(path.getFileName()));
  }

  /**
   * Reads the adapter for the first of {@code models}; not attached yet, and not in training.
   *
   * @throws InputException listing everything that does not fit
   * @throws org.deft4j.weights.FormatException if the file holds anything but tensors
   */
  static PipelineAdapter read(Path path, Map<String, Module> models, ReadOptions options) {
    try (TorchFile file = TorchFile.open(path)) {
      AuthorsFiles reader = new AuthorsFiles(file, models, options);
      return reader.adapter(reader.content(path));
    }
  }

  /**
   * What the adapter is, without its model.
   *
   * @throws InputException for what cannot be read as an adapter
   */
  static AdapterSummary summary(Path path) {
    try (TorchFile file = TorchFile.open(path)) {
      AuthorsFiles reader = new AuthorsFiles(file, Map.of(), ReadOptions.STRICT);
      Content content = reader.content(path);
      return AdapterSummary.of(content.config, content.used, name -> content.place("", name), content.scale, reader.notices);
    }
  }

  /**
   * What a file holds.
   *
   * @param used the tensors that do something
   * @param matrices which matrix a name's ending stands for
   */
  private record Content(AdapterConfig config, WeightSource used, Map<String, String> matrices, AdapterReader.Scale scale) {
    private AdapterReader.Place place(String model, String name) {
      return matrices.entrySet().stream().filter(matrix -> name.endsWith(matrix.getKey())).findFirst()
          .map(matrix -> new AdapterReader.Place(model, name.substring(0, name.length() - matrix.getKey().length()), matrix.getValue()))
          .orElse(null);
    }
  }

  private Content content(Path path) {
    return switch (path.getFileName().toString()) {
      case INJECTION + STATE -> injection(layers(path, INJECTION));
      case PARA + STATE -> para(layers(path, PARA));
      default -> sdxl();
    };
  }

  /** The configuration of each layer; all of it is kept for writing. */
  private Map<String, JsonObject> layers(Path state, String name) {
    Path path = state.resolveSibling(name + CONFIG);
    if (!Files.isRegularFile(path)) {
      throw new InputException(state + ": " + path.getFileName() + " is missing beside it; it says what the tensors mean");
    }
    JsonObject whole = Json.read(path);
    metadata.put(AdapterMetadata.AUTHORS_CONFIG, Json.format(whole.asMap()));
    JsonObject all = whole.requireObject(LAYERS);
    Map<String, JsonObject> layers = new LinkedHashMap<>();
    all.keys().forEach(layer -> layers.put(layer, all.requireObject(layer)));
    if (layers.isEmpty()) {
      throw new InputException(path + ": " + LAYERS + " is empty");
    }
    return layers;
  }

  /** What {@code config} makes of each layer, which must be the same for all. */
  private <T> T same(Map<String, JsonObject> layers, String what, Function<JsonObject, T> config) {
    Set<T> values = new LinkedHashSet<>();
    layers.values().forEach(layer -> values.add(config.apply(layer)));
    if (values.size() > 1) {
      throw new InputException(file.source() + ": its layers have different values of " + what + ", " + values
          + ", which one adapter cannot have here");
    }
    return values.iterator().next();
  }

  // ---------------------------------------------------------------------------------------------------- OmniGen, DEFT

  private Content injection(Map<String, JsonObject> layers) {
    String method = same(layers, "injection_method", layer -> layer.string("injection_method", "residual_projection"));
    double dropout = same(layers, "lora_dropout", layer -> layer.number("lora_dropout", 0));
    boolean gate = same(layers, "use_gating", layer -> layer.bool("use_gating", false));
    int rank = usualRank(layers);
    if (method.equals("additive_update")) {
      return additive(layers, rank, dropout, gate);
    }
    if (!method.equals("residual_projection") && !method.equals("project_replace")) {
      throw new InputException(file.source() + ": injection_method '" + method
          + "' is unknown; there are residual_projection, project_replace, additive_update");
    }
    boolean cached = file.names().stream().anyMatch(name -> name.endsWith(CACHED));
    AdapterConfig config = targeting(layers.keySet(), AdapterConfig.deft(rank)).with(Start.RANDOM).with(decomposition(layers, cached))
        .with(new AdapterExtras(new Dropout(dropout, true), gate, 0));
    // A cached Q is what the layer computes with, and P is dead.
    Predicate<String> dead = ending(".lora_A", ".lora_B", cached ? ".P" : CACHED);
    noticeDead(dead);
    WeightSource used = new Without(file, gate ? dead : dead.or(ending(GATE)));
    Map<String, String> matrices = Map.of(cached ? CACHED : ".P", DeftAdapter.P, ".R_new", DeftAdapter.R, GATE, DeftAdapter.GATE);
    return new Content(config, used, matrices, (_, _) -> 1);
  }

  /** Their code saves matrices that nothing computes with. */
  private void noticeDead(Predicate<String> dead) {
    List<String> names = file.names().stream().filter(dead).toList();
    if (!names.isEmpty()) {
      notices.add(file.source() + ": " + names.size() + " tensors that nothing computes with, such as " + names.getFirst()
          + ", are not kept");
    }
  }

  private static int usualRank(Map<String, JsonObject> layers) {
    return AdapterReader.usual(layers.values().stream().map(layer -> layer.requireInteger("r")).toList());
  }

  private Content additive(Map<String, JsonObject> layers, int rank, double dropout, boolean gate) {
    AdapterConfig config = targeting(layers.keySet(), AdapterConfig.lora(rank))
        .with(new AdapterExtras(new Dropout(dropout, false), gate, 0));
    Map<String, String> matrices = Map.of(".lora_B", LoraAdapter.A, ".lora_A", LoraAdapter.B, GATE, DeftAdapter.GATE);
    Predicate<String> dead = ending(".P", ".R_new", CACHED);
    noticeDead(dead);
    return new Content(config, new Without(file, gate ? dead : dead.or(ending(GATE))), matrices, (site, r) -> {
      JsonObject layer = layers.get(site.layer());
      return layer == null ? 1 : layer.number("lora_alpha", (double) r) / r;
    });
  }

  private Decomposition decomposition(Map<String, JsonObject> layers, boolean cached) {
    String name = same(layers, "decomposition_method", layer -> layer.string("decomposition_method", "None"));
    return switch (name) {
      case "None" -> {
        notices.add(file.source() + ": decomposition_method None was taken to be " + options.unnamed().method()
            + "; the file does not say whether it is relaxed, relu or relu-relu");
        yield options.unnamed();
      }
      case "qr" -> cached ? new FrozenQrDecomposition() : new QrDecomposition();
      case "svd" -> {
        if (!cached) {
          throw new InputException(file.source() + ": decomposition_method svd without " + CACHED.substring(1)
              + ": the signs of singular vectors are free, so what R was trained against cannot be computed again");
        }
        yield new FrozenQrDecomposition();
      }
      default -> throw new InputException(file.source() + ": decomposition_method '" + name + "' is unknown; there are None, qr, svd");
    };
  }

  // ---------------------------------------------------------------------------------------------------- OmniGen, PaRa

  private Content para(Map<String, JsonObject> layers) {
    String name = same(layers, "decomposition_method", layer -> layer.string("decomposition_method", "qr"));
    boolean svd = same(layers, "truncated_svd", layer -> layer.bool("truncated_svd", false));
    boolean sparse = same(layers, "sparse_parameterization", layer -> layer.bool("sparse_parameterization", false));
    boolean adaptive = same(layers, "adaptive_rank", layer -> layer.bool("adaptive_rank", false));
    double variance = same(layers, "variance_threshold", layer -> layer.number("variance_threshold", 0.95));
    double zeros = same(layers, "sparsity_factor", layer -> layer.number("sparsity_factor", 0.1));
    Truncation truncation = adaptive ? Truncation.variance(variance) : Truncation.NONE;
    Decomposition decomposition = switch (svd ? "tsvd" : name) {
      case "qr" -> new QrDecomposition();
      case "tsvd" -> new TsvdDecomposition(truncation);
      case "lrmf" -> new LrmfDecomposition(truncation);
      case "eigen" -> new EigenDecomposition(truncation);
      case "nmf" -> new NmfDecomposition(true);
      default -> throw new InputException(file.source() + ": decomposition_method '" + name
          + "' is unknown; there are qr, tsvd, lrmf, eigen, nmf");
    };
    boolean factored = decomposition instanceof NmfDecomposition;
    int rank = usualRank(layers);
    AdapterConfig config = targeting(layers.keySet(), AdapterConfig.para(rank)).with(decomposition)
        .with(new AdapterExtras(Dropout.NONE, false, sparse && !factored ? zeros : 0));
    WeightSource used = factored ? new Factored(new Without(file, ending(".B", ".B_dense", ".sparse_mask"))) : file;
    Map<String, String> matrices = factored ? Map.of(".W", DeftAdapter.P)
        : Map.of(".B", DeftAdapter.P, ".B_dense", DeftAdapter.P, ".sparse_mask", DeftAdapter.MASK);
    return new Content(config, used, matrices, (_, _) -> 1);
  }

  /** W [out, r] and H [r, out] as the one matrix [out, 2 r] that {@link NmfDecomposition} takes, called W. */
  private record Factored(WeightSource file) implements WeightSource {
    private static String h(String w) {
      return w.substring(0, w.length() - 1) + "H";
    }

    @Override
    public String source() {
      return file.source();
    }

    @Override
    public Set<String> names() {
      Set<String> names = new LinkedHashSet<>(file.names());
      names.removeIf(name -> name.endsWith(".H"));
      return names;
    }

    @Override
    public DType dtype(String name) {
      return file.dtype(name);
    }

    @Override
    public Shape shape(String name) {
      Shape w = file.shape(name);
      return file.names().contains(h(name)) && w.rank() == 2 ? w.with(1, 2 * w.size(1)) : w;
    }

    @Override
    public Tensor load(String name, DType type) {
      return Tensor.concat(1, file.load(name, type), file.load(h(name), type).t());
    }

    @Override
    public Map<String, String> metadata() {
      return file.metadata();
    }

    @Override
    public void close() {
      file.close();
    }
  }

  // ------------------------------------------------------------------------------------------------------------- SDXL

  private Content sdxl() {
    boolean injects = file.names().stream().anyMatch(name -> name.endsWith(LAYER + ".R_new"));
    boolean gate = injects && file.names().stream().anyMatch(name -> name.endsWith(LAYER + GATE));
    Set<String> layers = new LinkedHashSet<>();
    int rank = 1;
    for (String name : file.names()) {
      if (name.endsWith(LAYER + ".P") && file.shape(name).rank() == 2) {
        layers.add(name.substring(0, name.length() - (LAYER + ".P").length()));
        rank = Math.toIntExact(Math.max(rank, file.shape(name).size(1)));
      }
    }
    AdapterConfig usual = injects ? AdapterConfig.deft(rank).with(Start.RANDOM) : AdapterConfig.para(rank);
    AdapterConfig config = (layers.isEmpty() ? usual : targeting(layers, usual)).with(new AdapterExtras(Dropout.NONE, gate, 0));
    WeightSource used = gate ? file : new Without(file, ending(LAYER + GATE));
    Map<String, String> matrices = Map.of(LAYER + ".P", DeftAdapter.P, LAYER + ".R_new", DeftAdapter.R, LAYER + GATE, DeftAdapter.GATE);
    return new Content(config, used, matrices, (_, _) -> 1);
  }

  // ----------------------------------------------------------------------------------------------------------- common

  private static AdapterConfig targeting(Set<String> layers, AdapterConfig config) {
    return config.with(Targets.suffixes(List.copyOf(layers)));
  }

  private static Predicate<String> ending(String... ends) {
    return name -> List.of(ends).stream().anyMatch(name::endsWith);
  }

  private PipelineAdapter adapter(Content content) {
    String model = models.keySet().iterator().next();
    AdapterReader reader = new AdapterReader(file.source(), Map.of(model, models.get(model)), content.config, options.partial(),
        Strangers.byPath(Set.of(model), models, ""));
    Map<String, AdapterSet> sets = reader.read(content.used, name -> content.place(model, name), true, content.scale, Map.of());
    notices.addAll(reader.notices());
    return new PipelineAdapter(sets, metadata, notices);
  }
}
