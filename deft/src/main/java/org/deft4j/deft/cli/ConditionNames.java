package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.Iterator;
import java.util.List;
import java.util.Set;
import org.deft4j.deft.InputException;
import org.deft4j.deft.data.Condition;
import org.deft4j.deft.data.RolePictures;

/** The values of {@code --compute}, for its help, and what is done with them. */
final class ConditionNames implements Iterable<String> {
  /** All of them. */
  static final List<String> NAMES = Condition.known().stream().map(Condition::role).toList();

  @Override
  public Iterator<String> iterator() {
    return NAMES.iterator();
  }

  /** Adds a sentence for each name that is none, or comes twice. */
  static void check(List<String> problems, List<String> names) {
    Set<String> seen = new HashSet<>();
    for (String name : names) {
      Subcommand.collect(problems, () -> Condition.of(name));
      if (!seen.add(name)) {
        problems.add("condition '" + name + "' is given twice");
      }
    }
  }

  /**
   * The pictures, and with them the conditions {@code names} of those in role {@code from}, written below {@code root}.
   *
   * @throws InputException listing the pictures that cannot be read
   */
  static RolePictures add(Console console, RolePictures pictures, List<String> names, String from, Path root, long seed) {
    RolePictures more = pictures;
    for (String name : names) {
      console.message("computing " + name + " of " + Console.count(pictures.samples(List.of(from)).size(), "picture"));
      more = more.with(Condition.of(name), from, root, seed);
    }
    return more;
  }
}
