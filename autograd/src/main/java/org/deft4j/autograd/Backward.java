package org.deft4j.autograd;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/** What a {@link Rule} may look at: the gradients of the outputs, shapes and types, and the tensors it asked to be kept. */
interface Backward {
  /** The gradient of output {@code j}; null if nothing came back through it. */
  Tensor dy(int j);

  /** How many outputs there are. */
  int outputs();

  /** How many inputs there are. */
  int inputs();

  /** Whether the gradient of input {@code i} is wanted. */
  boolean needs(int i);

  /** Input {@code i}, which the rule's {@link Saves} name. */
  Tensor input(int i);

  /** Output {@code j}, which the rule's {@link Saves} name. */
  Tensor output(int j);

  /** Id, type and shape of input {@code i}. */
  Value value(int i);

  /** The operation's name, for errors. */
  String label();

  /** The gradient of output 0, the only one that can have one. */
  default Tensor dy() {
    onlyThrough(1);
    return dy(0);
  }

  /** Refuses gradients of others than the first {@code count} outputs. */
  default void onlyThrough(int count) {
    for (int j = count; j < outputs(); j++) {
      if (dy(j) != null) {
        throw new UnsupportedOperationException(label() + ": output " + j + " is not differentiable: it is there for the "
            + "gradient of output 0. Compute what you need of it from the input");
      }
    }
  }

  /** The shape of input {@code i}. */
  default Shape shape(int i) {
    return value(i).shape();
  }

  /** The type of the gradient of input {@code i}. */
  default DType gradientType(int i) {
    return value(i).gradientType();
  }

  /** Where the gradients are. */
  default Device device() {
    for (int j = 0; j < outputs(); j++) {
      if (dy(j) != null) {
        return dy(j).device();
      }
    }
    throw new IllegalStateException(label() + ": a rule was asked without any gradient");
  }

  /** Zeros in the shape of input {@code i}, to add its gradient to. */
  default Tensor zeros(int i) {
    return filled(device(), gradientType(i), shape(i), 0);
  }

  /** A zero of rank 0 in the type of output 0's gradient. */
  default Tensor zero() {
    return filled(device(), dy(0).dtype(), Shape.of(), 0);
  }

  /** A tensor of {@code value}s. */
  static Tensor filled(Device device, DType dtype, Shape shape, double value) {
    Tensor tensor = Tensor.empty(device, dtype, shape);
    Dispatch.run(new InPlace.Fill(value), tensor);
    return tensor;
  }
}
