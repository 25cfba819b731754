package org.deft4j.diffusion;

import java.util.Arrays;
import java.util.stream.Collectors;
import org.deft4j.weights.FormatException;

/** The ways of sampling, and the diffusers class of each. */
public enum SchedulerType {
  /** Ho et al. 2020: ancestral sampling of the discrete chain. */
  DDPM("DDPMScheduler"),
  /** Song et al. 2021 (ICLR): the implicit chain, deterministic unless eta is given. */
  DDIM("DDIMScheduler"),
  /** Liu et al. 2022: pseudo linear multistep, without the Runge-Kutta start. */
  PNDM("PNDMScheduler"),
  /** Karras et al. 2022, algorithm 2 without correction: Euler steps in sigma. */
  EULER("EulerDiscreteScheduler"),
  /** Euler steps to a smaller sigma, and noise back up. */
  EULER_ANCESTRAL("EulerAncestralDiscreteScheduler"),
  /** Lu et al. 2022: DPM-Solver++, multistep. */
  DPM_SOLVER("DPMSolverMultistepScheduler");

  private final String className;

  SchedulerType(String className) {
    this.className = className;
  }

  /** The value of {@code _class_name} in scheduler_config.json. */
  public String className() {
    return className;
  }

  /**
   * The type of a diffusers class.
   *
   * @param source names the file in the error
   * @throws FormatException if it is none of these
   */
  static SchedulerType ofClass(String className, String source) {
    return Arrays.stream(values()).filter(type -> type.className.equals(className)).findFirst()
        .orElseThrow(() -> new FormatException(source + ": _class_name: the scheduler " + className
            + " is not known; known are "
            + Arrays.stream(values()).map(SchedulerType::className).collect(Collectors.joining(", "))
            + "; choose another with --scheduler"));
  }
}
