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
import org.deft4j.tensor.Offload;

/**
 * Whether the memory that a run will take is there.
 *
 * @param plan of the run's tensors
 * @param java bytes that the process takes beside them
 * @param budget bytes that tensors may take on the device
 * @param machine bytes that there are, which a card's tensors take nothing of
 */
record MemoryCheck(MemoryPlan plan, long java, long budget, long machine) {
  /** This part of a card's budget is left to what kernels need besides, as copies of factors in another type, where the window would take all. */
  private static final long SPARE = 16;

  /** Another way to run: the option that asks for it, what it would be, and whether the weights are kept beside the card. */
  record Remedy(String option, DiffusionModel model, MemoryPlan.Run run, boolean offload) {}

  /** Against this process and this machine. */
  static MemoryCheck of(MemoryPlan plan) {
    return new MemoryCheck(plan, JavaMemory.expected(), MemoryPool.current().budget(), MemoryPool.machineBytes());
  }

  /** The most that will be resident, in this machine's memory and the card's. */
  long total() {
    return plan.reserved() + window() + plan.kept() + java;
  }

  /**
   * Bytes of the card that weights go through which are kept beside it: what the rest of the run leaves, but no more than they are; 0 where
   * none are kept.
   */
  long window() {
    long least = plan.leastWindow();
    return Math.clamp(budget - plan.reserved() - budget / SPARE, least, Math.max(least, plan.kept()));
  }

  /** Does {@code work}, with weights kept beside the card where the plan has it so. */
  void with(Activity.Work work) throws IOException {
    try (Offload _ = plan.kept() == 0 ? null : Offload.open(window())) {
      work.run();
    }
  }

  boolean fits() {
    return plan.reserved() + plan.leastWindow() <= budget && (onCard() ? java + plan.kept() : total()) <= machine
        && plan.kept() <= MemoryPool.kept().budget();
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
        .append(" for tensors and ").append(keptWords()).append(MemoryPool.describe(java)).append(" for Java; the budget for tensors is ")
        .append(MemoryPool.describe(budget)).append(", and this machine has ").append(MemoryPool.describe(machine));
    lines().forEach(line -> text.append("\n  ").append(line));
    List<String> helps = new ArrayList<>();
    for (Remedy remedy : remedies.get()) {
      MemoryPlan then = MemoryPlan.of(remedy.model, remedy.run, remedy.offload);
      long device = then.reserved() + then.leastWindow();
      if (device < plan.reserved() + plan.leastWindow()) {
        helps.add(remedy.option + " (" + MemoryPool.describe(device) + (plan.kept() == then.kept() ? ""
            : ", and " + MemoryPool.describe(then.kept()) + " beside the card") + ")");
      }
    }
    if (plan.reserved() + plan.leastWindow() > budget) {
      helps.add("a larger budget (DEFT_JAVA_OPTS=-D" + (onCard() ? "deft4j.cuda.memory" : "deft4j.memory") + "=BYTES)");
    }
    throw new MemoryException(text.append("\nWhat would help: ").append(String.join(", ", helps)).toString());
  }

  private String keptWords() {
    return plan.kept() == 0 ? "" : "at least " + MemoryPool.describe(plan.leastWindow()) + " for weights on their way, "
        + MemoryPool.describe(plan.kept()) + " of this machine's memory for all of these, and ";
  }

  /** The users of memory, for people. */
  List<String> lines() {
    List<String> lines = new ArrayList<>();
    plan.users().forEach(user -> lines.add(line(user.what(), user.bytes())));
    if (plan.kept() > 0) {
      lines.add(line("window for weights on their way to layers", window()));
      lines.add(line("weights in this machine's memory", plan.kept()));
    }
    return lines;
  }

  private static String line(String what, long bytes) {
    return String.format(Locale.ROOT, "%-48s %10s", what, MemoryPool.describe(bytes));
  }

  /** All of it, for programs. */
  Map<String, Object> document() {
    Map<String, Object> memory = new LinkedHashMap<>();
    memory.put("tensors", plan.reserved());
    memory.put("java", java);
    memory.put("total", total());
    if (plan.kept() > 0) {
      memory.put("kept", plan.kept());
      memory.put("window", window());
      memory.put("least_window", plan.leastWindow());
    }
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
