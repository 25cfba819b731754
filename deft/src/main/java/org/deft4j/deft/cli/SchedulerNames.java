package org.deft4j.deft.cli;

import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import org.deft4j.diffusion.SchedulerName;

/** The values of {@code --scheduler}, for its help. */
final class SchedulerNames implements Iterable<String> {
  /** All of them. */
  static final List<String> NAMES = Arrays.stream(SchedulerName.values()).map(SchedulerName::toString).toList();

  @Override
  public Iterator<String> iterator() {
    return NAMES.iterator();
  }
}
