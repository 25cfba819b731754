package org.deft4j.deft;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.deft4j.tensor.Shape;
import org.deft4j.weights.WeightSource;

/**
 * What an adapter is, as far as its files tell without the model that it belongs to.
 *
 * @param facts method, decomposition, rank, alpha, targets and so on, under the names they are shown by; a rank or alpha is a number or,
 *     where layers have different ones, {@code "2-8, usually 4"}
 * @param parts what it adapts, by the part's name in the pipeline; the name is empty where the file tells none
 * @param notices what was assumed, a sentence each
 */
public record AdapterSummary(Map<String, Object> facts, Map<String, Part> parts, List<String> notices) {
  /** What flat names have before the last part of a layer's path: blocks with their numbers, and what they hold. */
  private static final Pattern FLAT_BLOCKS =
      Pattern.compile("^lora_(?:unet|te\\d?)_(?:.*_\\d+_(?=[a-z]))?(?:(?:attn\\d*|self_attn|mlp|ff)_)?");

  /**
   * A part of a pipeline.
   *
   * @param layers how many of its layers are adapted
   * @param parameters the numbers of their matrices; alphas and masks are none
   */
  public record Part(long layers, long parameters) {
    private Part plus(Part other) {
      return new Part(layers + other.layers, parameters + other.parameters);
    }
  }

  /** Keeps the order of {@code facts} and {@code parts}. */
  public AdapterSummary {
    facts = Collections.unmodifiableMap(new LinkedHashMap<>(facts));
    parts = Collections.unmodifiableMap(new LinkedHashMap<>(parts));
    notices = List.copyOf(notices);
  }

  /** All parts together. */
  public Part total() {
    return parts.values().stream().reduce(new Part(0, 0), Part::plus);
  }

  /** What {@code naming} finds in {@code file}, an adapter of this configuration but for the rank, which its matrices tell. */
  static AdapterSummary of(AdapterConfig config, WeightSource file, AdapterReader.Naming naming, AdapterReader.Scale scale,
      List<String> notices) {
    Map<AdapterReader.Site, Map<String, Shape>> layers = new LinkedHashMap<>();
    file.names().forEach(name -> {
      AdapterReader.Place place = naming.place(name);
      if (place != null) {
        layers.computeIfAbsent(place.site(), _ -> new TreeMap<>()).put(place.matrix(), file.shape(name));
      }
    });
    List<Number> ranks = new ArrayList<>();
    List<Number> alphas = new ArrayList<>();
    Map<String, Part> parts = new LinkedHashMap<>();
    TreeSet<String> targets = new TreeSet<>();
    layers.forEach((site, matrices) -> {
      long rank = rank(config, matrices);
      ranks.add(rank);
      alphas.add(Double.parseDouble(Float.toString((float) (AdapterReader.finite(file.source(), site, scale.of(site, rank)) * rank))));
      targets.add(target(site.layer()));
      long parameters = matrices.entrySet().stream().filter(matrix -> !matrix.getKey().equals(DeftAdapter.MASK))
          .mapToLong(matrix -> matrix.getValue().elementCount()).sum();
      parts.merge(site.model(), new Part(1, parameters), Part::plus);
    });
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("method", config.method().label());
    if (config.method().projects()) {
      facts.put("decomposition", config.decomposition().method());
      truncation(facts, config.decomposition().truncation());
    }
    facts.put("rank", ranks.isEmpty() ? config.rank() : range(ranks));
    facts.put("alpha", config.method().isLora() && !alphas.isEmpty() ? range(alphas) : config.alpha());
    extras(facts, config.extras());
    facts.put("targets", List.copyOf(targets));
    return new AdapterSummary(facts, parts, notices);
  }

  private static void truncation(Map<String, Object> facts, Truncation truncation) {
    if (truncation.columns() < Long.MAX_VALUE) {
      facts.put("kept columns", truncation.columns());
    }
    if (truncation.variance() < 1) {
      facts.put("kept variance", truncation.variance());
    }
  }

  private static void extras(Map<String, Object> facts, AdapterExtras extras) {
    if (extras.gate()) {
      facts.put("gate", true);
    }
    if (extras.sparsity() > 0) {
      facts.put("sparsity", extras.sparsity());
    }
    if (extras.dropout().probability() > 0) {
      facts.put(extras.dropout().wholeLayer() ? "layer dropout" : "dropout", extras.dropout().probability());
    }
  }

  /** r, from whichever matrix is there; 0 where none tells it. */
  private static long rank(AdapterConfig config, Map<String, Shape> matrices) {
    Shape rows = matrices.getOrDefault(LoraAdapter.A, matrices.get(DeftAdapter.R));
    Shape columns = matrices.getOrDefault(LoraAdapter.B, matrices.get(DeftAdapter.P));
    if (rows != null && rows.rank() > 1) {
      return rows.size(0);
    }
    return columns == null || columns.rank() < 2 ? 0
        : columns.size(1) / (config.method().projects() ? config.decomposition().columns(1) : 1);
  }

  /** The one value, or {@code "2-8, usually 4"}. */
  private static Object range(List<Number> values) {
    List<Number> all = values.stream().sorted(Comparator.comparingDouble(Number::doubleValue)).toList();
    Number usual = AdapterReader.usual(all);
    return all.getFirst().equals(all.getLast()) ? usual : all.getFirst() + "-" + all.getLast() + ", usually " + usual;
  }

  /**
   * The last part of a layer's path, with the one before it where it is a number: {@code to_q}, {@code to_out.0}. A flat name does not
   * tell where its parts end, and what follows the blocks is taken: {@code to_out_0}.
   */
  private static String target(String layer) {
    String flat = FLAT_BLOCKS.matcher(layer).replaceFirst("");
    if (!flat.equals(layer)) {
      return flat;
    }
    List<String> path = List.of(layer.split("\\."));
    int numbered = path.size() > 1 && path.getLast().matches("\\d+") ? 2 : 1;
    return String.join(".", path.subList(path.size() - numbered, path.size()));
  }
}
