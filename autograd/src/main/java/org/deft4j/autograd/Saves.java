package org.deft4j.autograd;

/**
 * A set of inputs and outputs of one operation: those a rule needs again on the way back. What is not in it is free to
 * be closed as soon as the forward pass has done with it. Bit i is input i, bit 32 + j is output j.
 */
record Saves(long bits) {
  private static final int FIRST_OUTPUT = 32;

  /** Nothing is needed but shapes and types. */
  static final Saves NOTHING = new Saves(0);

  /** Input {@code i}. */
  static Saves input(int i) {
    return new Saves(1L << i);
  }

  /** The first {@code count} inputs. */
  static Saves inputs(int count) {
    return new Saves((1L << count) - 1);
  }

  /** Output {@code j}. */
  static Saves output(int j) {
    return new Saves(1L << (FIRST_OUTPUT + j));
  }

  /** Both. */
  Saves and(Saves other) {
    return new Saves(bits | other.bits);
  }

  boolean hasInput(int i) {
    return i < FIRST_OUTPUT && (bits >>> i & 1) != 0;
  }

  boolean hasOutput(int j) {
    return (bits >>> (FIRST_OUTPUT + j) & 1) != 0;
  }
}
