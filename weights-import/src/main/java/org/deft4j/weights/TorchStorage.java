package org.deft4j.weights;

import org.deft4j.tensor.DType;

/** A run of {@code count} elements that tensors look into; its bytes are the zip entry {@code data/KEY}. */
record TorchStorage(String key, DType dtype, long count) implements PickleValue {}
