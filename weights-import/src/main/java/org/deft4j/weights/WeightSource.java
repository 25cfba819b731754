package org.deft4j.weights;

import java.util.Map;
import java.util.Set;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** Named tensors that a model is loaded from: what they are is known at once, their data is read when asked for. */
public interface WeightSource extends AutoCloseable {
  /** Where the tensors come from, for errors: a file or a folder. */
  String source();

  /** The names, in the order of the data. */
  Set<String> names();

  /** The stored element type; refuses a type no tensor can have. */
  DType dtype(String name);

  /** The shape. */
  Shape shape(String name);

  /** Reads one tensor in its stored type; it belongs to the innermost scope. */
  default Tensor load(String name) {
    return load(name, dtype(name));
  }

  /**
   * Reads one tensor and converts it to {@code type} while reading; it belongs to the innermost scope.
   *
   * @throws FormatException if a value would leave the range of {@code type}
   */
  Tensor load(String name, DType type);

  /** The text entries that the file carries beside its tensors. */
  Map<String, String> metadata();

  @Override
  void close();
}
