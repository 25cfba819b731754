package org.deft4j.weights;

import java.util.function.Consumer;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** A place that one tensor of a model is loaded into: the shape it must have, and who takes it. */
public record Target(Shape shape, Consumer<Tensor> taker) {}
