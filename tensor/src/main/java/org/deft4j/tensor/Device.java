package org.deft4j.tensor;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.deft4j.tensor.internal.cuda.Cuda;

/** Where a tensor's data is and its operations run. */
public enum Device {
  /** Native memory of this process, computed by the scalar or vector kernels. */
  CPU,
  /** The memory of an NVIDIA card, computed by the CUDA kernels and cuBLAS. A process uses one card. */
  CUDA,
  /** Nowhere: only shapes, types and bytes are followed. A program run on it is its own memory estimate. */
  META;

  private static final Pattern CARD = Pattern.compile("cuda(?::(\\d{1,4}))?");

  private static volatile Device current = parse(System.getProperty("deft4j.device", "cpu"));

  /**
   * Where tensors are made that nothing else is said of: those of Java arrays and numbers, of random draws, and what is read
   * from files. What {@code -Ddeft4j.device} says, the CPU if nothing, until {@link #use}.
   */
  public static Device current() {
    return current;
  }

  /**
   * Makes tensors of the whole process on {@code device} from now on. A program chooses once, before it makes any: an operation
   * takes no inputs from two devices.
   *
   * @throws DeviceException if the card cannot be used; what is missing, and how to get it
   */
  public static void use(Device device) {
    if (device == CUDA) {
      Cuda.card();
    }
    current = device;
  }

  /** Waits for all that was asked of the device of {@link #current}: a card works while the program goes on. */
  public static void synchronize() {
    if (current == CUDA) {
      Cuda.card().synchronize();
    }
  }

  /**
   * Reads {@code cpu} or {@code cuda[:n]}, n being the card's number as the driver counts them, which the process then uses.
   *
   * @throws IllegalArgumentException for another name
   * @throws DeviceException if the process uses another card already
   */
  public static Device parse(String name) {
    String text = name.toLowerCase(Locale.ROOT);
    if (text.equals("cpu")) {
      return CPU;
    }
    Matcher card = CARD.matcher(text);
    if (!card.matches()) {
      throw new IllegalArgumentException("device '" + name + "' is unknown; use cpu, cuda or cuda:1");
    }
    Cuda.choose(card.group(1) == null ? 0 : Integer.parseInt(card.group(1)));
    return CUDA;
  }
}
