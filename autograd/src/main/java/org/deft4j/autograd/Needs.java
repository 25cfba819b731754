package org.deft4j.autograd;

import java.util.BitSet;

/** Which inputs of an operation need a gradient. */
final class Needs {
  private final BitSet wanted = new BitSet();

  Needs(boolean... inputs) {
    for (int i = 0; i < inputs.length; i++) {
      wanted.set(i, inputs[i]);
    }
  }

  /** Whether input {@code i} does. */
  boolean has(int i) {
    return wanted.get(i);
  }

  /** Whether any does. */
  boolean any() {
    return !wanted.isEmpty();
  }

  /** Whether one of the first {@code count} does. */
  boolean anyBefore(int count) {
    int first = wanted.nextSetBit(0);
    return first >= 0 && first < count;
  }
}
