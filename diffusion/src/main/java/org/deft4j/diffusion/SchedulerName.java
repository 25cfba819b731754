package org.deft4j.diffusion;

import java.util.Arrays;
import java.util.stream.Collectors;

/** What the schedulers are called on the command line: a type, and how its noise levels are spread. */
public enum SchedulerName {
  /** {@link SchedulerType#DDPM}. */
  DDPM("ddpm", SchedulerType.DDPM, false, false),
  /** {@link SchedulerType#DDIM}. */
  DDIM("ddim", SchedulerType.DDIM, false, false),
  /** {@link SchedulerType#PNDM}. */
  PNDM("pndm", SchedulerType.PNDM, false, false),
  /** {@link SchedulerType#EULER}. */
  EULER("euler", SchedulerType.EULER, false, false),
  /** {@link SchedulerType#EULER} over Karras' noise levels. */
  EULER_KARRAS("euler_karras", SchedulerType.EULER, true, false),
  /** {@link SchedulerType#EULER_ANCESTRAL}. */
  EULER_ANCESTRAL("euler_a", SchedulerType.EULER_ANCESTRAL, false, false),
  /** {@link SchedulerType#DPM_SOLVER} of second order. */
  DPMPP_2M("dpmpp_2m", SchedulerType.DPM_SOLVER, false, false),
  /** {@link SchedulerType#DPM_SOLVER} of second order over Karras' noise levels. */
  DPMPP_2M_KARRAS("dpmpp_2m_karras", SchedulerType.DPM_SOLVER, true, false),
  /** {@link SchedulerType#DPM_SOLVER} of second order with noise (SDE). */
  DPMPP_2M_SDE("dpmpp_2m_sde", SchedulerType.DPM_SOLVER, false, true),
  /** {@link SchedulerType#DPM_SOLVER} of second order with noise (SDE), over Karras' noise levels. */
  DPMPP_2M_SDE_KARRAS("dpmpp_2m_sde_karras", SchedulerType.DPM_SOLVER, true, true);

  private final String text;
  private final SchedulerType type;
  private final boolean karras;
  private final boolean stochastic;

  SchedulerName(String text, SchedulerType type, boolean karras, boolean stochastic) {
    this.text = text;
    this.type = type;
    this.karras = karras;
    this.stochastic = stochastic;
  }

  /**
   * The scheduler called {@code name}.
   *
   * @throws IllegalArgumentException if none is; the text lists all
   */
  public static SchedulerName parse(String name) {
    return Arrays.stream(values()).filter(value -> value.text.equals(name)).findFirst()
        .orElseThrow(() -> new IllegalArgumentException("scheduler '" + name + "' is unknown; use one of "
            + Arrays.stream(values()).map(value -> value.text).collect(Collectors.joining(", "))));
  }

  /** The type. */
  public SchedulerType type() {
    return type;
  }

  /** Whether the noise levels are Karras'. */
  public boolean karras() {
    return karras;
  }

  /** Whether DPM-Solver adds noise. */
  public boolean stochastic() {
    return stochastic;
  }

  /** The name on the command line. */
  @Override
  public String toString() {
    return text;
  }
}
