package org.deft4j.weights;

import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/** Files that only Python's pickle can read, which runs whatever program they hold: never read here. */
final class Pickles {
  private static final List<String> ENDINGS = List.of(".ckpt", ".pt", ".pth", ".bin", ".pkl");
  static final String REMEDY = "Python pickles can run programs and are never read; convert it to safetensors";

  /** {@code PK\3\4}: torch.save writes zip archives. */
  private static final int ZIP = 0x04034B50;
  private static final int HIGHEST_PROTOCOL = 5;

  private Pickles() {}

  /** Whether the name is that of a pickle. */
  static boolean isPickle(Path path) {
    String name = String.valueOf(path.getFileName()).toLowerCase(Locale.ROOT);
    return ENDINGS.stream().anyMatch(name::endsWith);
  }

  /** What to add to an error about {@code path}, whose first eight bytes are given: nothing, or what to do with a pickle. */
  static String hint(Path path, long start) {
    boolean zip = (int) start == ZIP;
    boolean raw = (start & 0xFF) == 0x80 && (start >>> 8 & 0xFF) <= HIGHEST_PROTOCOL;
    return isPickle(path) ? ". " + REMEDY : zip || raw ? ". It begins like a Python pickle. " + REMEDY : "";
  }

  /** The refusal of a pickle as a model. */
  static FormatException refuse(Path path) {
    return FormatException.of(path, REMEDY);
  }
}
