package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.nn.Module;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Offload;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.op.InPlace;

/** Made-up inputs and weights for one row, and what else is to be closed after it. */
final class Inputs implements AutoCloseable {
  private static final double BIAS = 0.02;
  private static final long PATTERN = 1 << 20;

  private final RandomSource random = new TorchRandom(0);
  private final List<Runnable> closers = new ArrayList<>();

  /** F32 from the standard normal distribution. */
  Tensor draw(long... sizes) {
    return random.normal(DType.F32, sizes);
  }

  /** The same as models hold it between their layers. */
  Tensor held(long... sizes) {
    return Precision.current().held(draw(sizes));
  }

  /** The same, rounded to another floating type. */
  Tensor draw(DType type, long... sizes) {
    return draw(sizes).cast(type);
  }

  /** Gives {@code model} weights that keep a signal's variance: products by their width, norms as the identity. */
  <M extends Module> M weights(M model) {
    model.parameters().forEach((name, parameter) -> parameter.set(weight(name, parameter)));
    closers.add(model::close);
    return model;
  }

  /**
   * The same for a model too large to draw in a moment: matrices are held in {@code type}, and those of more than {@link #PATTERN} numbers
   * repeat so many.
   */
  <M extends Module> M weights(M model, DType type) {
    model.parameters().forEach((name, parameter) -> {
      try (Scope scope = Scope.open()) {
        boolean matrix = parameter.shape().rank() > 1;
        Tensor value = parameter.shape().elementCount() > PATTERN ? repeated(parameter.shape(), type) : weight(name, parameter);
        parameter.set(scope.keep(matrix ? held(value, type) : value));
      }
    });
    closers.add(model::close);
    return model;
  }

  /** Converted, and where weights are kept beside the card, among these. */
  private static Tensor held(Tensor matrix, DType type) {
    Tensor converted = matrix.cast(type);
    if (!Offload.isOn()) {
      return converted;
    }
    try (Offload.Loading _ = Offload.weights()) {
      return converted.copy();
    }
  }

  private Tensor repeated(Shape shape, DType type) {
    long count = shape.elementCount();
    Tensor some = draw(1, PATTERN).mul(1 / Math.sqrt((double) count / shape.size(0)));
    Tensor many = Tensor.empty(type, Shape.of((count + PATTERN - 1) / PATTERN, PATTERN));
    Dispatch.run(new InPlace.CopyInto(), many, some);
    return many.flatten(0, 1).slice(0, 0, count).reshape(shape.toArray()).copy();
  }

  private Tensor weight(String name, Parameter parameter) {
    Shape shape = parameter.shape();
    Tensor value = Tensor.empty(DType.F32, shape);
    if (shape.rank() == 1 && name.endsWith("weight")) {
      random.fillUniform(value, 1, 1);
    } else {
      random.fillNormal(value, 0, shape.rank() == 1 ? BIAS : 1 / Math.sqrt((double) shape.elementCount() / shape.size(0)));
    }
    return value;
  }

  /** Random numbers for whatever else starts at random. */
  RandomSource random() {
    return random;
  }

  /** Has {@code resource} closed after the row; returns it. */
  <C extends AutoCloseable> C closing(C resource) {
    closers.add(() -> {
      try {
        resource.close();
      } catch (Exception e) {
        throw new IllegalStateException(e);
      }
    });
    return resource;
  }

  @Override
  public void close() {
    closers.reversed().forEach(Runnable::run);
  }
}
