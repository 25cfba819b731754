package org.deft4j.diffusion.omnigen;

/** A prompt and pictures that do not make a condition; the text says in one sentence what is wrong and what is needed. */
public final class ConditionException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  ConditionException(String message) {
    super(message);
  }
}
