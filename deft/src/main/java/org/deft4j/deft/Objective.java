package org.deft4j.deft;

import java.util.function.Supplier;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/** What training minimises: a loss over examples, for one kind of model. */
public interface Objective {
  /**
   * Draws what one forward pass is about: the next {@code batch} examples, their noise, their times.
   *
   * @return computes the pass's loss [], once, under the tape that is open then; it draws nothing more
   */
  Supplier<Tensor> draw(int batch, RandomSource random);

  /** Where it is in the order of its examples: what {@link #draw} depends on beside its random numbers, for {@link #restore}. */
  long[] position();

  /**
   * Draws on where the objective over the same examples was that {@code position} came from.
   *
   * @throws InputException if that was one of other examples
   */
  void restore(long[] position);

  /** Whether the model recomputes blocks on the way back instead of keeping what is in them. */
  void setGradientCheckpointing(boolean on);
}
