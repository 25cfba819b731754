package org.deft4j.deft;

import java.util.List;

/** A mistake in what was asked or given: an option, a configuration, a file. Carries every mistake that was found. */
public final class InputException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final transient List<String> problems;

  /** One mistake. */
  public InputException(String problem) {
    this(List.of(problem));
  }

  /** One mistake, found by way of {@code cause}. */
  public InputException(String problem, Throwable cause) {
    super(problem, cause);
    this.problems = List.of(problem);
  }

  /** All mistakes, one sentence each. */
  public InputException(List<String> problems) {
    super(String.join("\n", problems));
    this.problems = List.copyOf(problems);
  }

  /** The mistakes, one sentence each. */
  public List<String> problems() {
    return problems == null ? List.of(getMessage()) : problems;
  }
}
