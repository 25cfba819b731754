package org.deft4j.diffusion;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.JsonObject;

/**
 * What {@code scheduler_config.json} says, with the defaults of the diffusers class where it says nothing.
 *
 * @param type the way of sampling
 * @param betas how much noise each training step adds
 * @param spacing which of the training's timesteps are visited
 * @param stepsOffset added to the timesteps of the leading spacing
 * @param prediction what the model's output is
 * @param clip the limit of |x_0| predicted by DDPM and DDIM; infinite for none
 * @param alphaToOne whether DDIM and PNDM end at the clean picture rather than at the first training step's
 * @param variance the noise of DDPM
 * @param levels how Euler and DPM-Solver spread their noise levels
 * @param solver what only DPM-Solver knows
 */
public record SchedulerConfig(SchedulerType type, Betas betas, Spacing spacing, int stepsOffset, Prediction prediction,
    double clip, boolean alphaToOne, Variance variance, Levels levels, Solver solver) {
  /** More training steps than anybody uses: a bound for tables. */
  private static final int MOST_STEPS = 1_000_000;

  /** How beta grows from the first to the last training step. */
  public enum BetaSchedule {
    /** Evenly. */
    LINEAR,
    /** Its square root evenly. */
    SCALED_LINEAR,
    /** Nichol and Dhariwal 2021: from a squared cosine, at most 0.999. */
    SQUAREDCOS_CAP_V2
  }

  /** Which timesteps are visited: table 2 of Lin et al. 2023 (common diffusion noise schedules are flawed). */
  public enum Spacing {
    /** From the last to the first, evenly. */
    LINSPACE,
    /** Multiples of a whole step from the first. */
    LEADING,
    /** Steps back from the last. */
    TRAILING
  }

  /** What the model's output is. */
  public enum Prediction {
    /** The noise. */
    EPSILON,
    /** The clean sample. */
    SAMPLE,
    /** {@code sqrt(a) noise - sqrt(1 - a) x_0} (Salimans and Ho 2022). */
    V_PREDICTION
  }

  /** The variance DDPM draws noise with. */
  public enum Variance {
    /** That of the posterior given x_0. */
    FIXED_SMALL,
    /** Beta. */
    FIXED_LARGE
  }

  /** The betas: {@code given}, or {@code steps} of them by {@code schedule}; rescaled to no signal at the end if wished. */
  public record Betas(int steps, double start, double end, BetaSchedule schedule, List<Double> given, boolean zeroSnr) {
    /** {@code given} empty means: by the schedule. */
    public Betas {
      given = List.copyOf(given);
    }
  }

  /** Karras' or Lu's spread of noise levels, and whether the last level is the training's smallest rather than zero. */
  public record Levels(boolean karras, boolean lu, boolean endAtSmallest) {}

  /**
   * DPM-Solver++'s settings.
   *
   * @param order 1 or 2
   * @param heun the second order by Heun's rule rather than the midpoint's
   * @param stochastic with noise (SDE-DPM-Solver++)
   * @param lowerOrderFinal first order in the last of fewer than 15 steps
   * @param eulerAtFinal first order in the last step
   * @param smallestLambda training steps with a log signal-to-noise ratio below are not visited
   */
  public record Solver(int order, boolean heun, boolean stochastic, boolean lowerOrderFinal, boolean eulerAtFinal,
      double smallestLambda) {}

  /**
   * The configuration in {@code json}, of the class it names.
   *
   * @throws FormatException if a value is impossible, or asks for something that is not known here
   */
  public static SchedulerConfig of(JsonObject json) {
    SchedulerType type = SchedulerType.ofClass(json.requireString("_class_name"), json.source());
    requireKnown(json, type);
    return of(json, type, json.bool("use_karras_sigmas", false), algorithm(json, type));
  }

  /** The noise of the configuration in {@code json}, of whatever class it is, sampled by {@code name}. */
  public static SchedulerConfig of(JsonObject json, SchedulerName name) {
    return of(json, name.type(), name.karras(), name.stochastic());
  }

  private static SchedulerConfig of(JsonObject json, SchedulerType type, boolean karras, boolean stochastic) {
    boolean leading = type == SchedulerType.DDPM || type == SchedulerType.DDIM || type == SchedulerType.PNDM;
    boolean clips = (type == SchedulerType.DDPM || type == SchedulerType.DDIM) && json.bool("clip_sample", true);
    Levels levels = new Levels(karras, !karras && type == SchedulerType.DPM_SOLVER && json.bool("use_lu_lambdas", false),
        choice(json, "final_sigmas_type", FinalSigmas.ZERO) == FinalSigmas.SIGMA_MIN);
    int order = json.integer("solver_order", 2);
    Solver solver = new Solver(order, choice(json, "solver_type", SolverRule.MIDPOINT) == SolverRule.HEUN, stochastic,
        json.bool("lower_order_final", true), json.bool("euler_at_final", false),
        json.numberOrInfinity("lambda_min_clipped", Double.NEGATIVE_INFINITY));
    if (type == SchedulerType.DPM_SOLVER && (order < 1 || order > 2)) {
      throw new FormatException(json.source() + ": solver_order: 1 and 2 are known, found " + order);
    }
    return new SchedulerConfig(type, betas(json), choice(json, "timestep_spacing", leading ? Spacing.LEADING : Spacing.LINSPACE),
        json.integer("steps_offset", 0), choice(json, "prediction_type", Prediction.EPSILON),
        clips ? json.number("clip_sample_range", 1) : Double.POSITIVE_INFINITY,
        json.bool("set_alpha_to_one", type == SchedulerType.DDIM),
        type == SchedulerType.DDPM ? choice(json, "variance_type", Variance.FIXED_SMALL) : Variance.FIXED_SMALL, levels, solver);
  }

  private static Betas betas(JsonObject json) {
    List<Double> given = json.has("trained_betas") ? json.requireNumbers("trained_betas") : List.of();
    int steps = given.isEmpty() ? json.integer("num_train_timesteps", 1000) : given.size();
    Betas betas = new Betas(steps, json.number("beta_start", 1e-4), json.number("beta_end", 0.02),
        choice(json, "beta_schedule", BetaSchedule.LINEAR), given, json.bool("rescale_betas_zero_snr", false));
    if (steps < 1 || steps > MOST_STEPS) {
      throw new FormatException(json.source() + ": num_train_timesteps: expected 1 to " + MOST_STEPS + ", found " + steps);
    }
    if (!(betas.start > 0 && betas.start <= betas.end && betas.end < 1)) {
      throw new FormatException(json.source() + ": beta_start, beta_end: expected 0 < start <= end < 1, found " + betas.start
          + " and " + betas.end);
    }
    if (given.stream().anyMatch(beta -> !(beta > 0 && beta < 1))) {
      throw new FormatException(json.source() + ": trained_betas: expected numbers between 0 and 1");
    }
    return betas;
  }

  /** {@code final_sigmas_type}. */
  private enum FinalSigmas {
    ZERO, SIGMA_MIN
  }

  /** {@code solver_type}; diffusers takes the last three for the first. */
  private enum SolverRule {
    MIDPOINT, HEUN, LOGRHO, BH1, BH2
  }

  private static boolean algorithm(JsonObject json, SchedulerType type) {
    String algorithm = json.string("algorithm_type", "dpmsolver++");
    if (type == SchedulerType.DPM_SOLVER && !List.of("dpmsolver++", "sde-dpmsolver++", "deis").contains(algorithm)) {
      throw new FormatException(json.source() + ": algorithm_type: dpmsolver++ and sde-dpmsolver++ are known, found "
          + algorithm);
    }
    return type == SchedulerType.DPM_SOLVER && algorithm.equals("sde-dpmsolver++");
  }

  /** Refuses what diffusers' classes can do and these cannot, rather than ignoring it. */
  private static void requireKnown(JsonObject json, SchedulerType type) {
    for (String key : List.of("thresholding", "use_exponential_sigmas", "use_beta_sigmas", "use_flow_sigmas",
        "use_dynamic_shifting")) {
      if (json.bool(key, false)) {
        throw new FormatException(json.source() + ": " + key + " = true is not known here; choose another scheduler with "
            + "--scheduler");
      }
    }
    if (type == SchedulerType.PNDM && !json.bool("skip_prk_steps", false)) {
      throw new FormatException(json.source() + ": skip_prk_steps: PNDM's Runge-Kutta steps are not known here; set it to "
          + "true, or choose another scheduler with --scheduler");
    }
    requireOnly(json, "interpolation_type", "linear");
    requireOnly(json, "timestep_type", "discrete");
    for (String key : List.of("sigma_min", "sigma_max")) {
      if (json.has(key)) {
        throw new FormatException(json.source() + ": " + key + ": noise levels are taken from the training steps; null is "
            + "expected");
      }
    }
  }

  private static void requireOnly(JsonObject json, String key, String value) {
    if (!json.string(key, value).equals(value)) {
      throw new FormatException(json.source() + ": " + key + ": only " + value + " is known, found " + json.get(key));
    }
  }

  private static <E extends Enum<E>> E choice(JsonObject json, String key, E otherwise) {
    String text = json.string(key, lower(otherwise));
    E[] all = otherwise.getDeclaringClass().getEnumConstants();
    return Arrays.stream(all).filter(value -> lower(value).equals(text)).findFirst()
        .orElseThrow(() -> new FormatException(json.source() + ": " + key + ": expected one of "
            + Arrays.stream(all).map(SchedulerConfig::lower).collect(Collectors.joining(", ")) + ", found '" + text + "'"));
  }

  private static String lower(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT);
  }
}
