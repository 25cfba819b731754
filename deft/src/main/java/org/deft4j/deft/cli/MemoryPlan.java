package org.deft4j.deft.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.nn.Module;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Offload;
import org.deft4j.tensor.Rehearsal;
import org.deft4j.tensor.Tensor;

/**
 * The memory that a run will take: the run itself, gone through in a {@link Rehearsal}, with the pool's accounts taken down
 * whenever another part of it begins.
 */
final class MemoryPlan {
  /** The run, which tells {@code activity} where it is and leaves nothing open. */
  @FunctionalInterface
  interface Run {
    /** Does it. */
    void with(Activity activity) throws IOException;
  }

  /**
   * What one part of the run took.
   *
   * @param weights bytes of the weights that were held meanwhile, by part of the model; without those that are kept beside the card
   * @param before bytes in use at its start
   * @param after bytes in use at its end
   * @param live most bytes in use
   * @param reserved most bytes taken from the system
   */
  record Stage(Phase phase, Map<String, Long> weights, long before, long after, long live, long reserved) {
    /** What it leaves beside weights. */
    private long left() {
      return phase == Phase.LOADING ? 0 : Math.max(0, after - before);
    }

    /** What it needs for itself, at most, beside what was there and the weights. */
    private long own() {
      return live - (phase == Phase.LOADING ? after : before);
    }
  }

  /** An {@link Offload}'s window has room for so many operations' weights at least: for the one at hand, and one whose come meanwhile. */
  private static final long VISITS = 2;

  private final List<Stage> stages;
  private final Map<String, Map<String, Long>> types;
  private final long kept;
  private final long leastWindow;

  private MemoryPlan(List<Stage> stages, Map<String, Map<String, Long>> types, long kept, long leastWindow) {
    this.stages = List.copyOf(stages);
    this.types = types;
    this.kept = kept;
    this.leastWindow = leastWindow;
  }

  /** Rehearses {@code run} on {@code model}, which has no weights before and after. */
  static MemoryPlan of(DiffusionModel model, Run run) throws IOException {
    return of(model, run, false);
  }

  /** The same; {@code offload}: with an {@link Offload}, which keeps its weights beside the card. */
  static MemoryPlan of(DiffusionModel model, Run run, boolean offload) throws IOException {
    try (Rehearsal rehearsal = Rehearsal.open(offload)) {
      Recorder recorder = new Recorder(rehearsal.pool(), model);
      run.with(new Activity(recorder));
      recorder.begins(Phase.WRITING, "");
      return new MemoryPlan(recorder.stages, recorder.types, rehearsal.kept().peakReservedBytes(), VISITS * rehearsal.largestVisit());
    }
  }

  /** Bytes of this machine's memory that weights take which are kept beside the card; 0 where none are. */
  long kept() {
    return kept;
  }

  /** Bytes of the card that they go through, at least, beside what is {@link #reserved}. */
  long leastWindow() {
    return leastWindow;
  }

  /** Cuts the accounts along the activity. */
  private static final class Recorder implements Activity.Listener {
    private final List<Stage> stages = new ArrayList<>();
    private final Map<String, Map<String, Long>> types = new LinkedHashMap<>();
    private final MemoryPool pool;
    private final DiffusionModel model;
    private Phase phase = Phase.STARTING;
    private Map<String, Long> weights = Map.of();
    private long before;

    Recorder(MemoryPool pool, DiffusionModel model) {
      this.pool = pool;
      this.model = model;
    }

    @Override
    public void begins(Phase next, String detail) {
      Map<String, Long> now = weights();
      stages.add(new Stage(phase, phase == Phase.LOADING ? now : weights, before, pool.liveBytes(), pool.peakLiveBytes(),
          pool.peakReservedBytes()));
      phase = next;
      weights = now;
      before = pool.liveBytes();
      pool.resetPeak();
    }

    private Map<String, Long> weights() {
      Map<String, Long> bytes = new LinkedHashMap<>();
      model.parts().forEach((part, module) -> {
        Map<String, Long> byType = byType(module);
        if (!byType.isEmpty()) {
          types.put(part, byType);
          bytes.put(part, loaded(module).filter(weight -> !Offload.keeps(weight)).mapToLong(Recorder::bytes).sum());
        }
      });
      return bytes;
    }

    private static Stream<Tensor> loaded(Module module) {
      return module.parameters().values().stream().filter(Parameter::isLoaded).map(Parameter::value);
    }

    private static long bytes(Tensor weight) {
      return weight.elementCount() * weight.dtype().bytes();
    }

    private static Map<String, Long> byType(Module module) {
      Map<String, Long> bytes = new TreeMap<>();
      loaded(module).forEach(weight -> bytes.merge(weight.dtype().name(), bytes(weight), Long::sum));
      return bytes;
    }
  }

  /** Bytes of each part's weights by element type. */
  Map<String, Map<String, Long>> types() {
    return types;
  }

  /** The most bytes that the pool takes from the system. */
  long reserved() {
    return stages.get(peak()).reserved;
  }

  private int peak() {
    int peak = 0;
    for (int i = 1; i < stages.size(); i++) {
      peak = stages.get(i).reserved > stages.get(peak).reserved ? i : peak;
    }
    return peak;
  }

  /** Each phase once, with the most that its parts took, and all weights that were held during it. */
  List<Stage> phases() {
    Map<Phase, Stage> phases = new LinkedHashMap<>();
    for (Stage stage : stages) {
      if (!stage.phase.leaves().isEmpty()) {
        phases.merge(stage.phase, stage, MemoryPlan::joined);
      }
    }
    return List.copyOf(phases.values());
  }

  private static Stage joined(Stage a, Stage b) {
    Map<String, Long> weights = new LinkedHashMap<>(a.weights);
    weights.putAll(b.weights);
    return new Stage(a.phase, weights, a.before, b.after, Math.max(a.live, b.live), Math.max(a.reserved, b.reserved));
  }

  /** Somebody who takes memory. */
  record User(String what, long bytes) {}

  /** Who takes how much when most is taken, largest first. */
  List<User> users() {
    int peak = peak();
    Stage stage = stages.get(peak);
    Map<String, Long> users = new LinkedHashMap<>();
    stage.weights.forEach((part, bytes) -> users.put("weights of " + part, bytes));
    for (Stage earlier : stages.subList(0, peak)) {
      users.merge(earlier.phase.leaves(), earlier.left(), Long::sum);
    }
    users.put(stage.phase.needs(), stage.own());
    users.put("free room between them", stage.reserved - stage.live);
    return users.entrySet().stream().filter(user -> user.getValue() > 0)
        .map(user -> new User(user.getKey(), user.getValue()))
        .sorted(Comparator.comparingLong(User::bytes).reversed()).toList();
  }
}
