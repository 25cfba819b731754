package org.deft4j.deft.cli;

import java.util.Iterator;
import java.util.List;
import org.deft4j.deft.Nearest;

/** The values of {@code --weights}. */
final class WeightTypes implements Iterable<String> {
  /** All of them. */
  static final List<String> NAMES = List.of("f32", "bf16", "f16");

  @Override
  public Iterator<String> iterator() {
    return NAMES.iterator();
  }

  /** Adds a sentence where {@code name} is given and none of them. */
  static void check(List<String> problems, String name) {
    if (name != null && !NAMES.contains(name)) {
      problems.add("--weights: '" + name + "' is unknown" + Nearest.hint(name, NAMES) + "; there are "
          + String.join(", ", NAMES));
    }
  }
}
