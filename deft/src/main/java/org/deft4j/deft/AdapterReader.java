package org.deft4j.deft;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.ToDoubleBiFunction;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.WeightSource;

/**
 * Fits the tensors of an adapter file to the layers of a model, and checks both ways: every tensor must belong to a layer,
 * every adapted layer must have all its tensors, and their shapes must be the layer's.
 */
final class AdapterReader {
  private static final int SHOWN = 5;

  private final String source;
  private final Module model;
  private final AdapterConfig config;
  private final Map<String, Linear> linear;
  private final Map<String, Map<String, String>> keys = new LinkedHashMap<>();
  private final List<String> foreign = new ArrayList<>();

  /** A tensor's place in the model: the layer's path, and which of its matrices it is. */
  record Place(String layer, String matrix) {}

  /** Tells a tensor's place from its name; null where the name has none. */
  @FunctionalInterface
  interface Naming {
    Place place(String name);
  }

  AdapterReader(String source, Module model, AdapterConfig config) {
    this.source = source;
    this.model = model;
    this.config = config;
    this.linear = Targets.linearLayers(model);
  }

  private List<String> matrices() {
    return switch (config.method()) {
      case DEFT -> List.of(DeftAdapter.P, DeftAdapter.R);
      case PARA -> List.of(DeftAdapter.P);
      case LORA -> List.of(LoraAdapter.A, LoraAdapter.B);
    };
  }

  /**
   * Reads the adapters.
   *
   * @param complete whether every layer that the configuration targets must be there
   * @param scale of a layer, by its path and its adapter's rank
   * @throws InputException listing everything that does not fit
   */
  Map<String, LayerAdapter> read(WeightSource file, Naming naming, boolean complete,
      ToDoubleBiFunction<String, Long> scale) {
    sort(file.names(), naming);
    List<String> problems = new ArrayList<>();
    if (keys.isEmpty() || !foreign.isEmpty()) {
      problems.add(source + ": " + foreign.size() + " of " + file.names().size() + " tensors belong to no layer of this "
          + "model" + examples() + Formats.guess(file.names()));
    }
    checkShapes(file, problems);
    if (complete && !keys.isEmpty()) {
      checkTargets(problems);
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    return build(file, scale);
  }

  private void sort(Collection<String> names, Naming naming) {
    for (String name : names) {
      Place place = naming.place(name);
      if (place == null || !linear.containsKey(place.layer()) || !matrices().contains(place.matrix())) {
        foreign.add(name);
      } else {
        keys.computeIfAbsent(place.layer(), layer -> new TreeMap<>()).put(place.matrix(), name);
      }
    }
  }

  private String examples() {
    if (foreign.isEmpty()) {
      return "";
    }
    String first = foreign.getFirst();
    Set<String> layers = linear.keySet();
    return ", such as " + String.join(", ", foreign.subList(0, Math.min(SHOWN, foreign.size()))) + "; the layers nearest to "
        + "the first are " + String.join(", ", Nearest.names(first, layers, SHOWN));
  }

  private void checkShapes(WeightSource file, List<String> problems) {
    keys.forEach((layer, names) -> {
      List<String> missing = matrices().stream().filter(matrix -> !names.containsKey(matrix)).toList();
      if (!missing.isEmpty()) {
        problems.add(source + ": layer " + layer + " lacks " + String.join(" and ", missing));
        return;
      }
      long out = linear.get(layer).outFeatures();
      long in = linear.get(layer).inFeatures();
      Shape first = file.shape(names.get(matrices().getFirst()));
      long rank = first.rank() == 2 ? first.size(config.method() == Method.LORA ? 0 : 1) : 0;
      names.forEach((matrix, name) -> {
        boolean outer = matrix.equals(DeftAdapter.P) || matrix.equals(LoraAdapter.B);
        Shape expected = outer ? Shape.of(out, rank) : Shape.of(rank, in);
        if (rank == 0 || !file.shape(name).equals(expected)) {
          problems.add(source + ": " + name + " has shape " + file.shape(name) + ", the layer needs "
              + (rank == 0 ? outer ? "[" + out + ", r]" : "[r, " + in + "]" : expected.toString()));
        }
      });
    });
  }

  private void checkTargets(List<String> problems) {
    List<String> without;
    try {
      without = config.targets().select(model).keySet().stream().filter(layer -> !keys.containsKey(layer)).toList();
    } catch (InputException e) {
      e.problems().forEach(problem -> problems.add(source + ": " + problem));
      return;
    }
    if (!without.isEmpty()) {
      problems.add(source + ": " + without.size() + " targeted layers have no tensors in the file, such as "
          + String.join(", ", without.subList(0, Math.min(SHOWN, without.size()))));
    }
  }

  /** In the model's order of layers. */
  private Map<String, LayerAdapter> build(WeightSource file, ToDoubleBiFunction<String, Long> scale) {
    Map<String, LayerAdapter> adapters = new LinkedHashMap<>();
    try (Scope _ = Scope.open()) {
      linear.forEach((layer, module) -> {
        Map<String, String> names = keys.get(layer);
        if (names != null) {
          adapters.put(layer, build(file, layer, module, names, scale));
        }
      });
    } catch (RuntimeException e) {
      adapters.values().forEach(LayerAdapter::close);
      throw e;
    }
    return adapters;
  }

  private LayerAdapter build(WeightSource file, String layer, Linear module, Map<String, String> names,
      ToDoubleBiFunction<String, Long> scale) {
    Map<String, Tensor> tensors = new TreeMap<>();
    names.forEach((matrix, name) -> tensors.put(matrix, file.load(name).cast(AdapterStart.type(module))));
    Tensor p = tensors.get(DeftAdapter.P);
    return switch (config.method()) {
      case DEFT -> new DeftAdapter(layer, p, tensors.get(DeftAdapter.R), config.decomposition(),
          scale.applyAsDouble(layer, p.size(1)));
      case PARA -> new ParaAdapter(layer, p, config.decomposition());
      case LORA -> {
        Tensor a = tensors.get(LoraAdapter.A);
        yield new LoraAdapter(layer, a, tensors.get(LoraAdapter.B), scale.applyAsDouble(layer, a.size(0)));
      }
    };
  }

  Map<String, Linear> layers(Collection<String> paths) {
    Map<String, Linear> layers = new LinkedHashMap<>();
    paths.forEach(path -> layers.put(path, linear.get(path)));
    return layers;
  }
}
