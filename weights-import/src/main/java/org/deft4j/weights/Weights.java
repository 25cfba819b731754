package org.deft4j.weights;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Shape;

/** Fills a model from a source after comparing names and shapes both ways. */
public final class Weights {
  /** Most differences that an error lists one by one. */
  private static final int LISTED = 20;

  private Weights() {}

  /**
   * Hands every tensor of {@code source} to the target of its name. First, before anything is read, every difference
   * between the two is found, and all of them are refused in one {@link FormatException}: targets without a tensor,
   * tensors without a target, other shapes. Buffers that old files carry and no model has are passed over.
   *
   * @param what the model, for errors: {@code unet}
   * @param type what matrices and kernels are converted to while they are read, and vectors then to F32; null: all as stored
   */
  public static void load(String what, Map<String, Target> expected, WeightSource source, DType type) {
    Set<String> found = new LinkedHashSet<>(source.names());
    found.removeIf(name -> !expected.containsKey(name) && isBuffer(name));
    List<String> differences = new ArrayList<>();
    Set<String> missing = minus(expected.keySet(), found);
    Set<String> leftOver = minus(found, expected.keySet());
    missing.forEach(name -> differences.add("missing: " + Text.quote(name) + " " + expected.get(name).shape()
        + nearest(name, leftOver, found, "the file has ")));
    int misshapen = 0;
    for (String name : expected.keySet()) {
      Shape shape = found.contains(name) ? source.shape(name) : expected.get(name).shape();
      if (!shape.equals(expected.get(name).shape())) {
        differences.add("shape: " + Text.quote(name) + " is " + shape + ", the model needs " + expected.get(name).shape());
        misshapen++;
      }
    }
    leftOver.forEach(name -> differences.add("left over: " + Text.quote(name) + " " + source.shape(name)
        + nearest(name, missing, expected.keySet(), "the model has ")));
    if (!differences.isEmpty()) {
      throw new FormatException(describe(what, source, expected.size(),
          List.of(missing.size(), misshapen, leftOver.size()), differences));
    }
    expected.keySet().forEach(source::dtype);
    List<String> names = source.names().stream().filter(expected::containsKey).toList();
    MemoryPool.ofWeights().reserve(names.stream().mapToLong(name -> new TensorSpec(held(source, name, type), source.shape(name)).byteCount()),
        () -> "weights of " + what);
    names.forEach(name -> expected.get(name).taker().accept(source.load(name, held(source, name, type))));
  }

  private static DType held(WeightSource source, String name, DType wanted) {
    DType stored = source.dtype(name);
    return wanted == null || !stored.isFloating() ? stored : source.shape(name).rank() < 2 ? DType.F32 : wanted;
  }

  /** {@code position_ids} counts 0, 1, 2, ...: older text encoders stored it. */
  static boolean isBuffer(String name) {
    return name.equals("text_model.embeddings.position_ids");
  }

  private static Set<String> minus(Set<String> all, Set<String> others) {
    Set<String> rest = new LinkedHashSet<>(all);
    rest.removeAll(others);
    return rest;
  }

  /** Among the names that found no partner, else among all. */
  private static String nearest(String name, Collection<String> unpaired, Collection<String> all, String who) {
    String nearest = Text.nearest(name, unpaired.isEmpty() ? all : unpaired);
    return nearest == null ? "" : "; nearest: " + who + Text.quote(nearest);
  }

  private static String describe(String what, WeightSource source, int expected, List<Integer> counts,
      List<String> differences) {
    StringBuilder text = new StringBuilder(source.source()).append(": does not fit the model ").append(what).append(" of ")
        .append(expected).append(" tensors: ").append(counts.get(0)).append(" missing, ").append(counts.get(1))
        .append(" of another shape, ").append(counts.get(2)).append(" left over; check that config.json belongs to it");
    differences.stream().limit(LISTED).forEach(difference -> text.append("\n  ").append(difference));
    if (differences.size() > LISTED) {
      text.append("\n  and ").append(differences.size() - LISTED).append(" more");
    }
    return text.toString();
  }
}
