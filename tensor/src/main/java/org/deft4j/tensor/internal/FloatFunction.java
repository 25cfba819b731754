package org.deft4j.tensor.internal;

/** A function of one float32. */
@FunctionalInterface
interface FloatFunction {
  /** {@code f(x)}. */
  float apply(float x);
}
