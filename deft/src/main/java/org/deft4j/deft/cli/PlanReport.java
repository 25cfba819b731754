package org.deft4j.deft.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.weights.Json;

/** What {@code --dry-run} prints: the run as it was understood, and its memory. */
final class PlanReport {
  private PlanReport() {}

  /** Prints it; {@code run} are the settings, in the order to be shown. Returns the exit status. */
  static int print(Console console, DiffusionModel model, Map<String, Object> run, MemoryCheck check) {
    List<Map<String, Object>> parts = parts(model, check.plan());
    Map<String, Object> document = new LinkedHashMap<>();
    document.put("model", model.name());
    document.put("parts", parts);
    document.putAll(run);
    document.put("memory", check.document());
    console.document(Json.format(document));
    console.result("model " + model.name());
    for (Map<String, Object> part : parts) {
      console.result(String.format(Locale.ROOT, "  %-16s %,15d parameters  %10s  %s", part.get("part"), (long) part.get("parameters"),
          MemoryPool.describe((long) part.get("bytes")), part.get("types")));
    }
    run.forEach((key, value) -> {
      if (value != null) {
        console.result(key.replace('_', ' ') + ": " + value);
      }
    });
    console.result("memory, by phase:");
    for (MemoryPlan.Stage stage : check.plan().phases()) {
      console.result(String.format(Locale.ROOT, "  %-24s %10s  with the weights of %s", stage.phase().doing(),
          MemoryPool.describe(stage.reserved()), stage.weights().isEmpty() ? "none"
              : String.join(", ", stage.weights().keySet())));
    }
    console.result("memory, where most is taken:");
    check.lines().forEach(line -> console.result("  " + line));
    console.result(String.format(Locale.ROOT, "in all %s: tensors %s of a budget of %s, Java %s; %s",
        MemoryPool.describe(check.total()), MemoryPool.describe(check.plan().reserved() + check.window()), MemoryPool.describe(check.budget()),
        MemoryPool.describe(check.java()), check.fits() ? "it fits" : "it does not fit"));
    return check.fits() ? ExitStatus.OK : ExitStatus.MEMORY;
  }

  private static List<Map<String, Object>> parts(DiffusionModel model, MemoryPlan plan) {
    List<Map<String, Object>> parts = new ArrayList<>();
    model.parts().forEach((name, module) -> {
      Map<String, Long> types = plan.types().get(name);
      Map<String, Object> part = new LinkedHashMap<>();
      part.put("part", name);
      part.put("parameters", module.parameterCount());
      part.put("bytes", types.values().stream().mapToLong(Long::longValue).sum());
      part.put("types", types.keySet().stream().collect(Collectors.joining(", ")));
      parts.add(part);
    });
    return parts;
  }
}
