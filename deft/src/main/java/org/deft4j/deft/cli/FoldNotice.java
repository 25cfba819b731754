package org.deft4j.deft.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.deft4j.deft.AdapterFormat;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.LayerAdapter;
import org.deft4j.deft.Method;
import org.deft4j.deft.PipelineAdapter;

/**
 * Says that a DEFT, PaRa or LoRA with PaRa is written as a LoRA, and why: it can be trained on, or put on other weights, no more as what
 * it was.
 */
final class FoldNotice {
  private FoldNotice() {}

  /**
   * The sentence; empty where all that was read is LoRA.
   *
   * @param rank the value of {@code --rank}, or null
   * @param written what was made of {@code arguments}
   */
  static Optional<String> of(AdapterFormat format, AdapterArguments arguments, List<PipelineAdapter> read, Integer rank,
      PipelineAdapter written) {
    List<String> methods = read.stream().flatMap(adapter -> adapter.sets().values().stream()).map(set -> set.config().method())
        .filter(method -> !method.isLora()).map(Method::label).distinct().toList();
    if (methods.isEmpty()) {
      return Optional.empty();
    }
    String method = String.join(" or ", methods);
    long most = written.sets().values().stream().map(AdapterSet::adapters).flatMap(layers -> layers.values().stream())
        .mapToLong(LayerAdapter::rank).max().orElse(0);
    return Optional.of("what is written is a LoRA of rank " + most + ", no " + method + ", because "
        + String.join(", and ", reasons(format, arguments, rank, method)) + "; it fits no weights but this model's");
  }

  private static List<String> reasons(AdapterFormat format, AdapterArguments arguments, Integer rank, String method) {
    List<String> reasons = new ArrayList<>();
    if (format.isLora()) {
      reasons.add("the layout " + format.label() + " holds no other method");
    } else if (arguments.adapters().size() > 1) {
      reasons.add("several adapters cannot be one " + method);
    } else if (arguments.adapters().getFirst().strength() != 1) {
      reasons.add("the layout " + format.label() + " has no place for a strength");
    }
    if (rank != null) {
      reasons.add("--rank makes one");
    }
    return reasons.isEmpty() ? List.of("merge makes one where --to is given; convert keeps the method") : reasons;
  }
}
