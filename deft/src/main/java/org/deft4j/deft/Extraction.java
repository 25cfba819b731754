package org.deft4j.deft;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Module;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Rehearsal;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;

/**
 * The difference of two models as LoRAs, which make the weights of the one those of the other as nearly as their rank allows: the leading
 * singular vectors of the difference {@code D} of each layer ({@link LowRankExtraction}). Every part of the pipeline that can be adapted
 * takes part, since a merge may have changed each; layers that are equal get no LoRA. What a LoRA cannot hold, or was not asked for, and
 * differs, is told. The two models' weights are held, and beside them the difference of one layer at a time.
 */
public final class Extraction {
  private static final int SHOWN = 5;
  private static final String WEIGHT = ".weight";
  /** The elements that are compared in float64 at once. */
  private static final long BLOCK = 1 << 20;

  private final Side base;
  private final Side tuned;
  private final long rank;
  private final List<String> notices = new ArrayList<>();

  /**
   * A model.
   *
   * @param name for messages
   * @param parts those of its pipeline by their names, weights loaded
   */
  public record Side(String name, Map<String, Module> parts) {}

  private Extraction(Side base, Side tuned, long rank) {
    this.base = base;
    this.tuned = tuned;
    this.rank = rank;
  }

  /**
   * A LoRA for each part of {@code base} that differs from {@code tuned}. Its notices say for each part how many layers differ, and which
   * share {@code ||D - u v|| / ||D||} of their difference (Frobenius norms over all of them) the rank leaves out; and what else differs.
   *
   * @param adaptable the parts that adapters may belong to
   * @param targets which layers; null: all that can be adapted
   * @param rank the most that a layer gets
   * @throws InputException if no such layer differs; or listing targets without a layer, and layers that {@code tuned} has not or in
   *     another shape; or for a value that is not finite, with the layer and the model
   */
  public static PipelineAdapter of(Side base, Side tuned, Set<String> adaptable, Targets targets, long rank) {
    return new Extraction(base, tuned, rank).extract(layers(base, adaptable, targets), targets);
  }

  /** The layers of each part that are compared. */
  private static Map<String, Map<String, AdaptedLayer>> layers(Side base, Set<String> adaptable, Targets targets) {
    Map<String, Map<String, AdaptedLayer>> layers = new LinkedHashMap<>();
    adaptable.forEach(part -> layers.put(part, Targets.layers(base.parts().get(part))));
    if (targets != null) {
      Set<String> paths = new LinkedHashSet<>();
      layers.values().forEach(part -> paths.addAll(part.keySet()));
      targets.requireEachMatches(paths);
      layers.values().forEach(part -> part.entrySet().removeIf(layer -> !targets.matches(layer.getKey(), layer.getValue())));
    }
    return layers;
  }

  private PipelineAdapter extract(Map<String, Map<String, AdaptedLayer>> layers, Targets targets) {
    requireSame(layers);
    Map<String, AdapterSet> sets = new LinkedHashMap<>();
    try {
      layers.forEach((part, compared) -> {
        Map<String, LayerAdapter> loras = extract(part, compared);
        if (!loras.isEmpty()) {
          sets.put(part, AdapterFold.set(base.parts().get(part), loras));
        }
      });
      String leftOut = leftOut(layers);
      if (sets.isEmpty()) {
        throw new InputException(base.name() + " and " + tuned.name() + " do not differ in any "
            + (targets == null ? "layer that can be adapted" : "of the targeted layers")
            + (leftOut.isEmpty() ? "" : "; they differ in " + leftOut));
      }
      if (!leftOut.isEmpty()) {
        notices.add("left out, as the LoRA does not hold them: " + leftOut);
      }
    } catch (RuntimeException e) {
      sets.values().forEach(AdapterSet::close);
      throw e;
    }
    return new PipelineAdapter(sets, Map.of(), notices);
  }

  private void requireSame(Map<String, Map<String, AdaptedLayer>> layers) {
    List<String> problems = new ArrayList<>();
    layers.keySet().stream().filter(part -> !tuned.parts().containsKey(part))
        .forEach(part -> problems.add(tuned.name() + " has no " + part + ", as " + base.name() + " has"));
    if (problems.isEmpty()) {
      layers.forEach((part, compared) -> requireSame(problems, part, compared));
    }
    if (problems.size() > SHOWN) {
      problems.set(SHOWN, "and " + (problems.size() - SHOWN) + " more; the two are not of one kind");
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems.subList(0, Math.min(SHOWN + 1, problems.size())));
    }
  }

  private void requireSame(List<String> problems, String part, Map<String, AdaptedLayer> compared) {
    Map<String, AdaptedLayer> others = Targets.layers(tuned.parts().get(part));
    compared.forEach((path, layer) -> {
      AdaptedLayer other = others.get(path);
      if (other == null || !other.weight().shape().equals(layer.weight().shape())) {
        problems.add("layer " + path + " of the " + part + ", " + layer.weight().shape() + " in " + base.name() + ", is "
            + (other == null ? "not in " : other.weight().shape() + " in ") + tuned.name());
      }
    });
  }

  /** The LoRAs of the layers that differ. */
  private Map<String, LayerAdapter> extract(String part, Map<String, AdaptedLayer> compared) {
    Map<String, AdaptedLayer> others = Targets.layers(tuned.parts().get(part));
    Map<String, LayerAdapter> loras = new LinkedHashMap<>();
    double all = 0;
    double rest = 0;
    try {
      for (Map.Entry<String, AdaptedLayer> entry : compared.entrySet()) {
        String path = entry.getKey();
        Tensor before = entry.getValue().weight().value();
        Tensor after = others.get(path).weight().value();
        try (Scope _ = Scope.open()) {
          Tensor difference = Scope.run(() -> matrix(after).sub(matrix(before)));
          double squares = squares(difference, null);
          if (!Double.isFinite(squares)) {
            Side wrong = Double.isFinite(squares(matrix(before), null)) ? tuned : base;
            throw new InputException("layer " + path + " of the " + part + " of " + wrong.name() + " has a value that is not finite");
          }
          // A rehearsal knows no values, and is of the most that there may be to do.
          if (squares > 0 || Rehearsal.isOpen()) {
            long most = Math.min(rank, Math.min(difference.size(0), difference.size(1)));
            LowRank lora = LowRankExtraction.of(difference, most, new TorchRandom(0));
            all += squares;
            rest += squares(difference, lora);
            loras.put(path, AdapterFold.lora(path, entry.getValue(), lora));
          }
        }
      }
    } catch (RuntimeException e) {
      loras.values().forEach(LayerAdapter::close);
      throw e;
    }
    if (!compared.isEmpty()) {
      String left = loras.isEmpty() ? "" : String.format(Locale.ROOT, " and were taken; rank %d leaves out %.3g of their difference "
          + "(||difference - u v|| / ||difference||)", rank, Math.sqrt(rest / all));
      notices.add(part + ": " + loras.size() + " of " + compared.size() + " layers differ" + left);
    }
    return loras;
  }

  private static Tensor matrix(Tensor weight) {
    return LowRankUpdate.matrix(weight.cast(weight.dtype() == DType.F64 ? DType.F64 : DType.F32));
  }

  /** The sum of the squares of {@code matrix}, less {@code lora} where there is one, in float64; a block of rows at a time. */
  private static double squares(Tensor matrix, LowRank lora) {
    double sum = 0;
    long rows = Math.max(1, BLOCK / matrix.size(1));
    for (long row = 0; row < matrix.size(0); row += rows) {
      long end = Math.min(row + rows, matrix.size(0));
      try (Scope _ = Scope.open()) {
        Tensor block = matrix.slice(0, row, end).cast(DType.F64);
        Tensor left = lora == null ? block
            : block.sub(lora.u().slice(0, row, end).cast(DType.F64).matmul(lora.v().cast(DType.F64)));
        sum += left.square().sum().item();
      }
    }
    return sum;
  }

  // -------------------------------------------------------------------------------------------------------- left out

  /** What else differs, in words; empty if nothing does. */
  private String leftOut(Map<String, Map<String, AdaptedLayer>> layers) {
    List<String> names = new ArrayList<>();
    long elements = 0;
    for (Map.Entry<String, Module> part : base.parts().entrySet()) {
      Set<String> compared = layers.getOrDefault(part.getKey(), Map.of()).keySet();
      Module same = tuned.parts().get(part.getKey());
      Map<String, Parameter> others = same == null ? Map.of() : same.parameters();
      for (Map.Entry<String, Parameter> entry : part.getValue().parameters().entrySet()) {
        String name = entry.getKey();
        boolean taken = name.endsWith(WEIGHT) && compared.contains(name.substring(0, name.length() - WEIGHT.length()));
        if (!taken && differ(entry.getValue(), others.get(name))) {
          names.add(part.getKey() + "." + name);
          elements += entry.getValue().shape().elementCount();
        }
      }
    }
    return names.isEmpty() ? "" : String.format(Locale.ROOT, "%,d changed parameters in %d tensors (%s)", elements, names.size(),
        String.join(", ", names.subList(0, Math.min(SHOWN, names.size()))) + (names.size() > SHOWN ? ", ..." : ""));
  }

  /** Whether their values do; one that is not finite differs from every other. */
  private static boolean differ(Parameter one, Parameter other) {
    if (other == null || !other.shape().equals(one.shape())) {
      return true;
    }
    try (Scope _ = Scope.open()) {
      Tensor before = one.value().reshape(1, -1);
      Tensor after = other.value().reshape(1, -1);
      double sum = 0;
      for (long start = 0; start < before.size(1); start += BLOCK) {
        long end = Math.min(start + BLOCK, before.size(1));
        try (Scope _ = Scope.open()) {
          sum += after.slice(1, start, end).cast(DType.F64).sub(before.slice(1, start, end).cast(DType.F64)).abs().sum().item();
        }
      }
      return sum != 0;
    }
  }
}
