package org.deft4j.deft;

import java.util.List;
import org.deft4j.nn.ParameterGroup;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/** What is trained: an adapter, or a whole model. */
public interface Trainable {
  /** What its tensors are called in messages: matrices, parameters. */
  String word();

  /** Every tensor that is trained, F32 or F64, in a fixed order. */
  List<Tensor> trainable();

  /** The same for an optimizer; DEFT's P learns at {@code projectionFactor} times the rate of all else. */
  List<ParameterGroup> groups(double projectionFactor, double weightDecay);

  /**
   * Whether a pass may leave tensors without a gradient, which then stay as they are: parts of a model that some examples do not use.
   * Otherwise a tensor without one is a defect, for it would never learn.
   */
  boolean mayLackGradients();

  /** Whether the tensors may change between forward passes. */
  Trainable setTraining(boolean training);

  /**
   * Works out, under the tapes that listen, what the layers make of the tensors that are trained alone. Until it is closed, which is when the
   * gradients are there, they take that, and gradients go through it.
   */
  Prepared prepare();

  /** See {@link #prepare}. */
  @FunctionalInterface
  interface Prepared extends AutoCloseable {
    /** From now on each layer does it for itself. */
    @Override
    void close();

    /** What no layer has asked for so far: its gradient is no more than zeros, though there may be one. */
    default List<Tensor> unused() {
      return List.of();
    }
  }

  /** A forward pass of a training begins, for which dropout, if there is any, draws from {@code random} what it drops. */
  void startPass(RandomSource random);
}
