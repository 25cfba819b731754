package org.deft4j.tensor.internal.cuda;

import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationTargetException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.deft4j.tensor.DeviceException;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.internal.Kernels;

/** The one card of this process, opened when it is first asked for. No class that needs JCuda is touched before. */
public final class Cuda {
  /** The class of the card, if it is to be another than JCuda's: the tests have one that runs on the processor. */
  private static final String PROPERTY = "deft4j.cuda.card";
  private static final String OF_JCUDA = "org.deft4j.tensor.internal.cuda.JcudaCard";

  private static final String HOW = "build the program with them (mvn -Pcuda -DskipTests package), or put org.jcuda's jcuda, jcublas and their "
      + "natives, version 12.6.0, on the class path of your own";
  private static final Pattern LIBRARY = Pattern.compile("(lib\\w+\\.so[.\\d]*): cannot open shared object file");

  private static int number;
  private static volatile Opened opened;

  private Cuda() {}

  private record Opened(Card card, CudaKernels kernels) {}

  /**
   * Which of several cards is to be opened, counted from 0.
   *
   * @throws DeviceException if another is open
   */
  public static synchronized void choose(int card) {
    if (opened != null && card != number) {
      throw new DeviceException("device cuda:" + card + ": this process uses cuda:" + number + " already, and can use one");
    }
    number = card;
  }

  /**
   * The card.
   *
   * @throws DeviceException if there is none that can be used: what is missing, and how to get it
   */
  public static Card card() {
    return opened().card();
  }

  private static Opened opened() {
    Opened result = opened;
    return result != null ? result : open();
  }

  private static synchronized Opened open() {
    if (opened == null) {
      Card card = open(System.getProperty(PROPERTY, OF_JCUDA));
      GatheringCard gathering = new GatheringCard(card);
      opened = new Opened(gathering, new CudaKernels(gathering));
      System.getLogger("org.deft4j.tensor").log(Level.INFO, card.describe());
    }
    return opened;
  }

  /** Its kernels. */
  public static Kernels kernels() {
    return opened().kernels();
  }

  /**
   * Copies from the card, after waiting for what runs there.
   *
   * @throws NumericException if a kernel met an index out of range since the last time
   */
  public static void download(long from, MemorySegment into) {
    card().download(from, into);
    opened().kernels().faults().check();
  }

  private static Card open(String name) {
    try {
      return (Card) Class.forName(name).getDeclaredMethod("open", int.class).invoke(null, number);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof DeviceException cause) {
        throw cause;
      }
      if (e.getCause() instanceof LinkageError cause) {
        throw missing(cause);
      }
      throw new DeviceException("device cuda: " + e.getCause(), e.getCause());
    } catch (LinkageError e) {
      throw missing(e);
    } catch (ReflectiveOperationException e) {
      throw new DeviceException("device cuda: " + name + " is no card: " + e, e);
    }
  }

  /** What the loader says has the name of what is missing somewhere in it. */
  private static DeviceException missing(LinkageError e) {
    String text = String.valueOf(e.getMessage());
    Matcher library = LIBRARY.matcher(text);
    String found;
    if (library.find()) {
      found = library.group(1).startsWith("libcuda.")
          ? "there is no NVIDIA driver here (" + library.group(1) + " is missing); install it, version 525 or newer"
          : library.group(1) + " is missing; install the libraries of CUDA 12 (cuBLAS and NVRTC), and put their folder on LD_LIBRARY_PATH";
    } else if (text.contains("undefined symbol") || text.contains("No resource found")) {
      found = text.contains("undefined symbol") ? "the NVIDIA driver is older than CUDA 12; update it to version 525 or newer"
          : "JCuda's native libraries are missing; " + HOW;
    } else {
      found = "JCuda is missing; " + HOW;
    }
    return new DeviceException("device cuda: " + found, e);
  }
}
