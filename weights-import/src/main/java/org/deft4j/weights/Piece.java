package org.deft4j.weights;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** What a tensor of a single-file checkpoint becomes in the diffusers layout: a name there, and how its data is made. */
sealed interface Piece {
  /** The name in its component. */
  String name();

  /** The shape, from that of the stored tensor. */
  Shape shape(Shape stored);

  /** The tensor in {@code type}, from the stored one of this name. */
  Tensor load(SafetensorsFile file, String stored, DType type);

  /** The same data. */
  record Copy(String name) implements Piece {
    @Override
    public Shape shape(Shape stored) {
      return stored;
    }

    @Override
    public Tensor load(SafetensorsFile file, String stored, DType type) {
      return file.load(stored, type);
    }
  }

  /** Rows {@code start} to {@code stop} (exclusive) of q, k and v stored one below the other. */
  record Rows(String name, long start, long stop) implements Piece {
    @Override
    public Shape shape(Shape stored) {
      return stored.with(0, stop - start);
    }

    @Override
    public Tensor load(SafetensorsFile file, String stored, DType type) {
      return file.loadRows(stored, start, stop, type);
    }
  }

  /** Stored as [in, out] where a linear layer has [out, in]. */
  record Transposed(String name) implements Piece {
    @Override
    public Shape shape(Shape stored) {
      return Shape.of(stored.size(1), stored.size(0));
    }

    @Override
    public Tensor load(SafetensorsFile file, String stored, DType type) {
      return Scope.run(() -> file.load(stored, type).t().copy());
    }
  }

  /** Stored as a convolution [out, in, 1, 1] where a linear layer has [out, in]. */
  record Squeezed(String name) implements Piece {
    @Override
    public Shape shape(Shape stored) {
      return stored.sub(0, 2);
    }

    @Override
    public Tensor load(SafetensorsFile file, String stored, DType type) {
      return Scope.run(() -> file.load(stored, type).reshape(shape(file.shape(stored)).toArray()));
    }
  }
}
