package org.deft4j.weights;

import java.util.Collections;
import java.util.Map;
import java.util.Set;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/** Tensors of another source under other names; closes it. {@code origins}: new name to old. */
final class RenamedSource implements WeightSource {
  private final WeightSource source;
  private final Map<String, String> origins;

  RenamedSource(WeightSource source, Map<String, String> origins) {
    this.source = source;
    this.origins = origins;
  }

  private String origin(String name) {
    String origin = origins.get(name);
    if (origin == null) {
      throw new FormatException(source() + ": has no tensor " + Text.quote(name));
    }
    return origin;
  }

  @Override
  public String source() {
    return source.source();
  }

  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(origins.keySet());
  }

  @Override
  public DType dtype(String name) {
    return source.dtype(origin(name));
  }

  @Override
  public Shape shape(String name) {
    return source.shape(origin(name));
  }

  @Override
  public Tensor load(String name, DType type) {
    return source.load(origin(name), type).named(name);
  }

  @Override
  public Map<String, String> metadata() {
    return source.metadata();
  }

  @Override
  public void close() {
    source.close();
  }
}
