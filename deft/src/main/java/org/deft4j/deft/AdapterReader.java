package org.deft4j.deft;

import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.WeightSource;

/**
 * Fits the tensors of an adapter file to the layers of models, and checks both ways: every tensor must belong to a layer,
 * every adapted layer must have all its tensors, and their shapes must be the layer's. A partial reading leaves out what belongs nowhere,
 * and says so; that nothing belongs anywhere is always an error.
 */
final class AdapterReader {
  private static final int SHOWN = 5;

  private final String source;
  private final Map<String, Module> models;
  private final AdapterConfig config;
  private final boolean partial;
  private final Strangers strangers;
  private final Map<String, Map<String, AdaptedLayer>> layers = new LinkedHashMap<>();
  private final Map<Site, Map<String, String>> keys = new LinkedHashMap<>();
  private final List<String> foreign = new ArrayList<>();
  private final List<String> notices = new ArrayList<>();

  /** A layer, by its model's name in the pipeline and its path there. */
  record Site(String model, String layer) {}

  /** A tensor's place: the layer, and which of its matrices it is. */
  record Place(Site site, String matrix) {
    Place(String model, String layer, String matrix) {
      this(new Site(model, layer), matrix);
    }
  }

  /** Tells a tensor's place from its name; null where the name has none. */
  @FunctionalInterface
  interface Naming {
    Place place(String name);
  }

  /** The s of a layer whose adapter has this rank. */
  @FunctionalInterface
  interface Scale {
    double of(Site site, long rank);
  }

  AdapterReader(String source, Map<String, Module> models, AdapterConfig config, boolean partial, Strangers strangers) {
    this.source = source;
    this.models = models;
    this.config = config;
    this.partial = partial;
    this.strangers = strangers;
    models.forEach((name, model) -> layers.put(name, Targets.layers(model)));
  }

  /** The matrices that every layer must have. */
  private List<String> matrices() {
    List<String> matrices = switch (config.method()) {
      case DEFT -> List.of(DeftAdapter.P, DeftAdapter.R);
      case PARA -> List.of(DeftAdapter.P);
      case LORA -> List.of(LoraAdapter.A, LoraAdapter.B);
      case DORA -> List.of(LoraAdapter.A, LoraAdapter.B, DoraAdapter.MAGNITUDE);
      case LORA_PARA -> List.of(DeftAdapter.P, LoraAdapter.A, LoraAdapter.B);
    };
    return config.extras().gate() ? Stream.concat(matrices.stream(), Stream.of(DeftAdapter.GATE)).toList() : matrices;
  }

  private boolean belongs(Place place) {
    return place != null && layers.getOrDefault(place.site().model(), Map.of()).containsKey(place.site().layer())
        && (matrices().contains(place.matrix()) || (place.matrix().equals(DeftAdapter.MASK) && config.method().projects()));
  }

  private AdaptedLayer layer(Site site) {
    return layers.get(site.model()).get(site.layer());
  }

  /**
   * Reads the adapters of each model that the file adapts, in the models' order.
   *
   * @param complete whether every layer that the configuration targets must be there
   * @throws InputException listing everything that does not fit
   */
  Map<String, AdapterSet> read(WeightSource file, Naming naming, boolean complete, Scale scale, Map<String, Object> peftFields) {
    sort(file.names(), naming);
    List<String> problems = new ArrayList<>();
    String words = foreign.size() + " of " + file.names().size() + " tensors belong to no layer of this model"
        + (foreign.isEmpty() ? "" : strangers.describe(foreign, naming, config.method()));
    if (file.names().isEmpty()) {
      problems.add(source + ": there is no tensor in it");
    } else if (keys.isEmpty() || (!foreign.isEmpty() && !partial)) {
      problems.add(source + ": " + words
          + (strangers.explains(foreign, naming) ? Formats.unsupported(file.names()) : Formats.guess(file.names())));
    } else if (!foreign.isEmpty()) {
      notices.add(source + ": " + words + "; they were left out");
    }
    checkShapes(file, problems);
    if (complete && !keys.isEmpty()) {
      checkTargets(partial ? notices : problems);
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    return build(file, scale, peftFields);
  }

  /** What was left out. */
  List<String> notices() {
    return notices;
  }

  private void sort(Collection<String> names, Naming naming) {
    for (String name : names) {
      Place place = naming.place(name);
      if (belongs(place)) {
        keys.computeIfAbsent(place.site(), layer -> new TreeMap<>()).put(place.matrix(), name);
      } else {
        foreign.add(name);
      }
    }
  }

  private void checkShapes(WeightSource file, List<String> problems) {
    keys.forEach((site, names) -> {
      List<String> missing = matrices().stream().filter(matrix -> !names.containsKey(matrix)).toList();
      if (!missing.isEmpty()) {
        problems.add(source + ": layer " + site.layer() + " lacks " + String.join(" and ", missing));
        return;
      }
      Shape weight = layer(site).weight().shape();
      long rank = rank(file, names);
      names.forEach((matrix, name) -> {
        if (rank == 0 || !fits(matrix, file.shape(name), shape(matrix, weight, rank))) {
          problems.add(source + ": " + name + " has shape " + file.shape(name) + ", the layer needs "
              + (rank == 0 ? "a matrix with a rank r of at least 1" : shape(matrix, weight, rank).toString()));
        }
      });
    });
  }

  /** As the first of the matrices has it; 0 where it has none. */
  private long rank(WeightSource file, Map<String, String> names) {
    Shape first = file.shape(names.get(matrices().getFirst()));
    if (first.rank() < 2) {
      return 0;
    }
    return config.method().isLora() ? first.size(0) : first.size(1) / config.decomposition().columns(1);
  }

  /** The shape of a matrix on a layer of this weight. */
  private Shape shape(String matrix, Shape weight, long rank) {
    return switch (matrix) {
      case DeftAdapter.P, DeftAdapter.MASK -> Shape.of(weight.size(0), config.decomposition().columns(rank));
      case DeftAdapter.GATE -> Shape.of(1);
      case DoraAdapter.MAGNITUDE -> Shape.of(weight.size(0));
      case LoraAdapter.B -> Shape.of(weight.size(0), rank);
      default -> weight.with(0, rank);
    };
  }

  /** DoRA's lengths are as many numbers, whichever of their sizes they stand along: [1, out, 1, 1] in PEFT, [out, 1] elsewhere. */
  private static boolean fits(String matrix, Shape found, Shape needed) {
    return matrix.equals(DoraAdapter.MAGNITUDE)
        ? found.elementCount() == needed.elementCount() && LongStream.of(found.toArray()).anyMatch(size -> size == needed.size(0))
        : sizes(found).equals(sizes(needed));
  }

  /** Without the ones at the end, so that a linear layer's matrices fit the 1x1 convolution that does the same, and the other way round. */
  private static List<Long> sizes(Shape shape) {
    List<Long> sizes = new ArrayList<>();
    for (long size : shape.toArray()) {
      sizes.add(size);
    }
    while (sizes.size() > 2 && sizes.getLast() == 1) {
      sizes.removeLast();
    }
    return sizes;
  }

  private void checkTargets(List<String> problems) {
    List<String> without = new ArrayList<>();
    for (Map.Entry<String, Module> model : models.entrySet()) {
      try {
        config.targets().select(model.getValue()).keySet().stream().map(path -> new Site(model.getKey(), path))
            .filter(site -> !keys.containsKey(site)).forEach(site -> without.add(site.layer()));
      } catch (InputException e) {
        e.problems().forEach(problem -> problems.add(source + ": " + problem));
      }
    }
    if (!without.isEmpty()) {
      problems.add(source + ": " + without.size() + " targeted layers have no tensors in the file, such as "
          + String.join(", ", without.subList(0, Math.min(SHOWN, without.size()))));
    }
  }

  /** In the models' order of layers. */
  private Map<String, AdapterSet> build(WeightSource file, Scale scale, Map<String, Object> peftFields) {
    DType stored = storedType(file);
    Map<String, AdapterSet> sets = new LinkedHashMap<>();
    List<LayerAdapter> built = new ArrayList<>();
    try (Scope _ = Scope.open()) {
      models.forEach((name, model) -> {
        Map<String, LayerAdapter> adapters = new LinkedHashMap<>();
        layers.get(name).forEach((path, layer) -> {
          Map<String, String> names = keys.get(new Site(name, path));
          if (names != null) {
            built.add(build(file, new Site(name, path), layer, names, scale));
            adapters.put(path, built.getLast());
          }
        });
        if (!adapters.isEmpty()) {
          AdapterConfig own = config.method().isLora() && peftFields.isEmpty() ? described(adapters).with(config.extras()) : config;
          List<String> paths = List.copyOf(adapters.keySet());
          // What was left out is no target of what was read.
          sets.put(name, (notices.isEmpty() ? new AdapterSet(model, own, adapters, peftFields, stored)
              : new AdapterSet(model, own.with(Targets.suffixes(paths)), adapters, PeftConfig.targeting(peftFields, paths), stored))
              .setTraining(false));
        }
      });
    } catch (RuntimeException e) {
      built.forEach(LayerAdapter::close);
      throw e;
    }
    return sets;
  }

  /** F16 or BF16 where all its tensors are, else F32. */
  private DType storedType(WeightSource file) {
    Set<DType> types = keys.values().stream().flatMap(names -> names.values().stream()).map(file::dtype).collect(Collectors.toSet());
    return types.equals(Set.of(DType.F16)) || types.equals(Set.of(DType.BF16)) ? types.iterator().next() : DType.F32;
  }

  /** The value that occurs most often, the first of several. */
  static <T> T usual(List<T> values) {
    Map<T, Integer> counts = new LinkedHashMap<>();
    values.forEach(value -> counts.merge(value, 1, Integer::sum));
    return Collections.max(counts.entrySet(), Map.Entry.comparingByValue()).getKey();
  }

  /** A LoRA or DoRA of a file without configuration: the rank and alpha of most of its layers, and each layer by its path. */
  static AdapterConfig described(Map<String, LayerAdapter> adapters) {
    List<Double> usual = usual(adapters.values().stream()
        .map(adapter -> List.of((double) adapter.rank(), LoraAdapter.of(adapter).alpha())).toList());
    Double alpha = usual.get(1).equals(usual.getFirst()) || usual.get(1) <= 0 ? null : usual.get(1);
    Method method = adapters.values().iterator().next() instanceof DoraAdapter ? Method.DORA : Method.LORA;
    return AdapterConfig.of(method, usual.getFirst().intValue()).withAlpha(alpha).with(Targets.suffixes(List.copyOf(adapters.keySet())));
  }

  /** The scale of a layer, which must be a number. */
  static double finite(String source, Site site, double scale) {
    if (!Double.isFinite(scale)) {
      throw new InputException(source + ": layer " + site.layer() + " has the scale " + scale + ", a finite number is needed; its alpha is wrong");
    }
    return scale;
  }

  private LayerAdapter build(WeightSource file, Site site, AdaptedLayer layer, Map<String, String> names, Scale scale) {
    long rank = rank(file, names);
    Map<String, Tensor> tensors = new TreeMap<>();
    names.forEach((matrix, name) -> tensors.put(matrix, Finite.require(file.load(name), source + ": " + name)
        .cast(AdapterStart.type(layer)).reshape(shape(matrix, layer.weight().shape(), rank).toArray())));
    Projection projection = config.method().projects()
        ? new Projection(tensors.get(DeftAdapter.P), tensors.get(DeftAdapter.MASK), config.decomposition()) : null;
    Tensor a = tensors.get(LoraAdapter.A);
    Tensor b = tensors.get(LoraAdapter.B);
    Tensor gate = tensors.get(DeftAdapter.GATE);
    String path = site.layer();
    double s = finite(source, site, scale.of(site, rank));
    return switch (config.method()) {
      case DEFT -> new DeftAdapter(path, layer, projection, tensors.get(DeftAdapter.R), gate, s);
      case PARA -> new ParaAdapter(path, layer, projection);
      case LORA -> new LoraAdapter(path, layer, a, b, gate, s);
      case DORA -> new DoraAdapter(path, layer, a, b, s, tensors.get(DoraAdapter.MAGNITUDE));
      case LORA_PARA -> new LoraParaAdapter(path, layer, projection, a, b, gate, s);
    };
  }
}
