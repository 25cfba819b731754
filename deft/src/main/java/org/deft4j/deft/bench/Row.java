package org.deft4j.deft.bench;

import java.util.function.Function;

/**
 * One line of the table.
 *
 * @param group rows of one kind
 * @param name what is measured, unique in its group
 * @param setUp makes the inputs, which live until the row was measured
 */
record Row(String group, String name, Function<Inputs, Job> setUp) {
  /** The name that a filter looks at. */
  String fullName() {
    return group + "/" + name;
  }
}
