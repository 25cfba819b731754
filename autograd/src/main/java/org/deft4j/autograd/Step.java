package org.deft4j.autograd;

/** One entry of a tape: how gradients get from its outputs to its inputs. Used once. */
interface Step extends AutoCloseable {
  /** Takes the gradients of its outputs from {@code sums} and adds those of its inputs; then lets go of what it kept. */
  void back(GradientSums sums);

  /** Lets go of what it kept. */
  @Override
  void close();
}
