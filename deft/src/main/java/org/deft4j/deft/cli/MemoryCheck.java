package org.deft4j.deft.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Supplier;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.MemoryException;
import org.deft4j.tensor.MemoryPool;

/**
 * Whether the memory that a run will take is there.
 *
 * @param plan of the run's tensors
 * @param java bytes that the process takes beside them
 * @param budget bytes that tensors may take
 * @param machine bytes that there are, which a card's tensors take nothing of
 */
record MemoryCheck(MemoryPlan plan, long java, long budget, long machine) {
  /** Another way to run: the option that asks for it, and what it would be. */
  record Remedy(String option, DiffusionModel model, MemoryPlan.Run run) {}

  /** Against this process and this machine. */
  static MemoryCheck of(MemoryPlan plan) {
    return new MemoryCheck(plan, JavaMemory.expected(), MemoryPool.current().budget(), MemoryPool.machineBytes());
  }

  /** The most that will be resident. */
  long total() {
    return plan.reserved() + java;
  }

  boolean fits() {
    return plan.reserved() <= budget && (onCard() ? java : total()) <= machine;
  }

  private static boolean onCard() {
    return Device.current() == Device.CUDA;
  }

  /** What a run says before it starts. */
  String announcement() {
    long weights = plan.types().values().stream().flatMap(types -> types.values().stream()).mapToLong(Long::longValue).sum();
    return "loading " + MemoryPool.describe(weights) + " of weights; " + MemoryPool.describe(total())
        + " of memory will be taken at most";
  }

  /**
   * Refuses a run that does not fit; {@code remedies} are asked for only then.
   *
   * @throws MemoryException saying how much is missing, who takes most, and what would help
   */
  void require(Supplier<List<Remedy>> remedies) throws IOException {
    if (fits()) {
      return;
    }
    StringBuilder text = new StringBuilder("not enough memory: this takes ").append(MemoryPool.describe(plan.reserved()))
        .append(" for tensors and ").append(MemoryPool.describe(java)).append(" for Java; the budget for tensors is ")
        .append(MemoryPool.describe(budget)).append(", and this machine has ").append(MemoryPool.describe(machine));
    lines().forEach(line -> text.append("\n  ").append(line));
    List<String> helps = new ArrayList<>();
    for (Remedy remedy : remedies.get()) {
      long then = MemoryPlan.of(remedy.model, remedy.run).reserved();
      if (then < plan.reserved()) {
        helps.add(remedy.option + " (" + MemoryPool.describe(then) + ")");
      }
    }
    if (plan.reserved() > budget) {
      helps.add("a larger budget (DEFT_JAVA_OPTS=-D" + (onCard() ? "deft4j.cuda.memory" : "deft4j.memory") + "=BYTES)");
    }
    throw new MemoryException(text.append("\nWhat would help: ").append(String.join(", ", helps)).toString());
  }

  /** The users of memory, for people. */
  List<String> lines() {
    return plan.users().stream().map(user -> String.format(Locale.ROOT, "%-48s %10s", user.what(),
        MemoryPool.describe(user.bytes()))).toList();
  }

  /** All of it, for programs. */
  Map<String, Object> document() {
    Map<String, Object> memory = new LinkedHashMap<>();
    memory.put("tensors", plan.reserved());
    memory.put("java", java);
    memory.put("total", total());
    memory.put("budget", budget);
    memory.put("machine", machine);
    memory.put("fits", fits());
    List<Map<String, Object>> phases = new ArrayList<>();
    for (MemoryPlan.Stage stage : plan.phases()) {
      Map<String, Object> phase = new LinkedHashMap<>();
      phase.put("phase", stage.phase().doing());
      phase.put("weights_held", List.copyOf(stage.weights().keySet()));
      phase.put("live", stage.live());
      phase.put("reserved", stage.reserved());
      phases.add(phase);
    }
    memory.put("phases", phases);
    memory.put("users", plan.users().stream().map(user -> Map.of("what", user.what(), "bytes", user.bytes())).toList());
    return memory;
  }
}
