package org.deft4j.deft;

import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.WeightSource;

/**
 * A file without some of its tensors, such as the alphas of a LoRA, which are read but belong to no matrix.
 *
 * @param hidden which names are left out
 */
record Without(WeightSource file, Predicate<String> hidden) implements WeightSource {
  @Override
  public String source() {
    return file.source();
  }

  @Override
  public Set<String> names() {
    return file.names().stream().filter(hidden.negate()).collect(Collectors.toCollection(LinkedHashSet::new));
  }

  @Override
  public DType dtype(String name) {
    return file.dtype(name);
  }

  @Override
  public Shape shape(String name) {
    return file.shape(name);
  }

  @Override
  public Tensor load(String name, DType type) {
    return file.load(name, type);
  }

  @Override
  public Map<String, String> metadata() {
    return file.metadata();
  }

  @Override
  public void close() {
    file.close();
  }
}
