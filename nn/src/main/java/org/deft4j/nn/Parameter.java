package org.deft4j.nn;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.DTypeException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;

/** A named place in a module for a tensor of a given shape: empty until a value is loaded or drawn. */
public final class Parameter implements AutoCloseable {
  private final Module owner;
  private final String name;
  private final Shape shape;
  private final boolean isBuffer;
  private Tensor value;

  Parameter(Module owner, String name, Shape shape, boolean isBuffer) {
    this.owner = owner;
    this.name = name;
    this.shape = shape;
    this.isBuffer = isBuffer;
  }

  /** The full name, from the root of the model. */
  public String name() {
    return Module.join(owner.path(), name);
  }

  /** The shape every value must have. */
  public Shape shape() {
    return shape;
  }

  /** Whether it is a buffer, which is never trained. */
  public boolean isBuffer() {
    return isBuffer;
  }

  /** Whether there is a value. */
  public boolean isLoaded() {
    return value != null;
  }

  /**
   * The value, owned by this parameter.
   *
   * @throws IllegalStateException if there is none
   */
  public Tensor value() {
    if (value == null) {
      throw new IllegalStateException("parameter " + name() + " " + shape + " has no value; load the model's weights first");
    }
    return value;
  }

  /**
   * Takes ownership of {@code tensor} and closes the value before it. Vectors (norms, biases) in 16 bits are converted to
   * F32, in which layers compute; matrices and kernels stay as they are, and 8-bit floats become F16, which holds them
   * exactly.
   */
  public void set(Tensor tensor) {
    if (!tensor.shape().equals(shape)) {
      throw new ShapeException("parameter " + name() + ": expected shape " + shape + ", found " + tensor);
    }
    DType held = held(tensor.dtype());
    Tensor next = Scope.release(tensor.cast(held));
    if (next != tensor) {
      tensor.close();
    }
    if (value != null && value != next) {
      value.close();
    }
    value = next.named(name());
  }

  private DType held(DType stored) {
    return switch (stored) {
      case F32, F64 -> stored;
      case F16, BF16 -> shape.rank() < 2 ? DType.F32 : stored;
      case F8_E4M3, F8_E5M2 -> shape.rank() < 2 ? DType.F32 : DType.F16;
      default -> throw new DTypeException("parameter " + name() + ": expected a floating type, found " + stored);
    };
  }

  /** Closes the value and leaves the place empty. */
  @Override
  public void close() {
    if (value != null) {
      value.close();
      value = null;
    }
  }

  @Override
  public String toString() {
    return "parameter " + name() + " " + (value == null ? shape.toString() : value.dtype() + shape.toString());
  }
}
