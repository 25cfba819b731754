package org.deft4j.deft.data;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.deft.InputException;

/** What is wrong with the data, collected so that all of it is told at once; of very much, the beginning and the count. */
final class Problems {
  /** Most that are told. */
  static final int TOLD = 50;

  private final List<String> told = new ArrayList<>();
  private int untold;

  void add(String problem) {
    if (told.size() < TOLD) {
      told.add(problem);
    } else {
      untold++;
    }
  }

  void addAll(List<String> problems) {
    problems.forEach(this::add);
  }

  /**
   * Ends here if anything is wrong.
   *
   * @throws InputException listing it
   */
  void throwIfAny() {
    if (untold > 0) {
      told.add("and " + untold + " more problems");
    }
    if (!told.isEmpty()) {
      throw new InputException(told);
    }
  }
}
