package org.deft4j.deft.cli;

import java.io.IOException;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.Dropout;
import org.deft4j.deft.InputException;
import org.deft4j.deft.TrainingOptions;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Precision;
import org.deft4j.weights.JsonObject;

/**
 * All that the numbers of a training depend on, by the options that say it: what a run that goes on from another's checkpoint must have in
 * common with it. Model and data are there as digests, so that they may have moved but not changed.
 */
final class TrainingSettings {
  private static final String MODEL = "model";
  private static final String DATA = "data";
  private static final String STEPS = "steps";
  private static final String SCHEDULE = "schedule";
  private static final String SEED = "seed";
  private static final String DEVICE = "device";
  private static final String PRECISION = "precision";

  private final Map<String, Object> values;

  private TrainingSettings(Map<String, Object> values) {
    this.values = values;
  }

  /** Those of a run; {@code config} is null where no adapter is trained. */
  static TrainingSettings of(ModelArgument model, TrainingJob job, TrainingRequest request, AdapterConfig config, TrainingOptions options, long seed)
      throws IOException {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put(MODEL, ModelDigest.of(model.name()));
    values.put("weights", model.weights() == null ? null : lower(model.weights()));
    MessageDigest data = ModelDigest.sha256();
    job.identify(data);
    values.put(DATA, HexFormat.of().formatHex(data.digest()));
    values.put("size", job.description().get("size"));
    adapter(values, job, request, config);
    values.put("condition-dropout", job.description().get("condition_dropout"));
    values.put("squares", request.omniGen().squares);
    values.put("template", request.omniGen().template);
    values.put(STEPS, options.steps());
    values.put("lr", options.learningRate());
    values.put("projection-lr", options.projectionFactor());
    values.put("beta2", options.beta2());
    values.put("weight-decay", options.weightDecay());
    values.put("clip", options.clip());
    values.put(SCHEDULE, options.schedule());
    values.put("warmup", options.warmup());
    values.put("batch", options.batch());
    values.put("accumulate", options.accumulate());
    values.put(SEED, seed);
    values.put(DEVICE, lower(Device.current()));
    values.put(PRECISION, lower(Precision.current()));
    return new TrainingSettings(values);
  }

  private static void adapter(Map<String, Object> values, TrainingJob job, TrainingRequest request, AdapterConfig config) {
    values.put("method", config == null ? Learner.FULL : config.method().label());
    if (config != null) {
      Dropout dropout = config.extras().dropout();
      values.put("decomposition", config.decomposition() == null ? null : config.decomposition().method());
      values.put("variance", config.decomposition() == null ? null : config.decomposition().truncation().variance());
      values.put("rank", config.rank());
      values.put("alpha", config.alpha());
      values.put("init", config.start().label());
      values.put("dropout", dropout.wholeLayer() ? 0 : dropout.probability());
      values.put("layer-dropout", dropout.wholeLayer() ? dropout.probability() : 0);
      values.put("gate", config.extras().gate());
      values.put("sparsity", config.extras().sparsity());
      values.put("targets", request.targetsFor(job.model()));
      values.put("train-text-encoder", request.textEncoders());
    }
  }

  private static String lower(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }

  /** For {@code checkpoint.json}. */
  Map<String, Object> document() {
    return values;
  }

  /** The seed of the run that a checkpoint is of. */
  static long seed(Checkpoint checkpoint) {
    return checkpoint.settings().requireLongInteger(SEED);
  }

  /**
   * Refuses to go on from {@code checkpoint} where a run with these settings would have come elsewhere.
   *
   * @throws InputException naming all that differs
   */
  void require(Checkpoint checkpoint) {
    List<String> problems = new ArrayList<>();
    boolean elsewhere = movesFrom(checkpoint);
    values.forEach((name, value) -> {
      Object before = checkpoint.settings().get(name);
      if (name.equals(STEPS)) {
        steps(problems, checkpoint);
      } else if (!name.equals(DEVICE) && !(name.equals(PRECISION) && elsewhere) && !text(value).equals(text(before))) {
        problems.add(difference(name, value, before));
      }
    });
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
  }

  private void steps(List<String> problems, Checkpoint checkpoint) {
    long steps = (Long) values.get(STEPS);
    long asked = checkpoint.settings().requireLongInteger(STEPS);
    if (steps < checkpoint.step()) {
      problems.add("--steps " + steps + ": the checkpoint is of step " + checkpoint.step() + "; give at least as many");
    } else if (steps != asked && !values.get(SCHEDULE).equals("constant")) {
      problems.add("--steps " + steps + ": the checkpoint's run has " + asked + ", and its learning rate, which follows --schedule "
          + values.get(SCHEDULE) + ", depends on them; only with --schedule constant may they change");
    }
  }

  private static String difference(String name, Object value, Object before) {
    return switch (name) {
      case MODEL -> "--model: its weights are not those of the checkpoint's run";
      case DATA -> "--data: the examples are not those of the checkpoint's run: pictures, captions (--prompt), how often they come (--repeats), "
          + "and their order must be the same";
      default -> "--" + name + " " + text(value) + ": the checkpoint's run has " + text(before);
    };
  }

  private static String text(Object value) {
    return switch (value) {
      case null -> "none";
      case Number number when number.doubleValue() == number.longValue() -> Long.toString(number.longValue());
      case List<?> list -> String.join(",", list.stream().map(String::valueOf).toList());
      default -> value.toString();
    };
  }

  /** Whether {@code checkpoint} is of a run on the other kind of device, whose numbers are rounded otherwise. */
  boolean movesFrom(Checkpoint checkpoint) {
    JsonObject before = checkpoint.settings();
    return !values.get(DEVICE).equals(before.requireString(DEVICE));
  }
}
