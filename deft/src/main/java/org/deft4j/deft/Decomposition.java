package org.deft4j.deft;

import java.util.List;
import java.util.stream.Collectors;
import org.deft4j.tensor.Tensor;

/**
 * Turns the trainable P [out, r] into the thin factors of the part of a weight that is removed and of the basis that
 * takes its place. Written with tensor operations, so that gradients reach P by themselves. A variant is one small class;
 * its {@link #method} is the name it goes by in {@code adapter_config.json} and on the command line.
 */
public interface Decomposition {
  /** The name: {@code decomposition_method} of {@code adapter_config.json}. */
  String method();

  /**
   * The factors for {@code p} [out, r], r at most out.
   *
   * @param layer the name of the adapted layer, for errors
   */
  Factors factors(Tensor p, String layer);

  /** Those that come with the project. */
  static List<Decomposition> known() {
    return List.of(new RelaxedDecomposition(), new ReluDecomposition(), new QrDecomposition());
  }

  /**
   * The one called {@code method}.
   *
   * @throws InputException naming the known ones
   */
  static Decomposition named(String method) {
    for (Decomposition candidate : known()) {
      if (candidate.method().equals(method)) {
        return candidate;
      }
    }
    List<String> names = known().stream().map(Decomposition::method).toList();
    throw new InputException("decomposition '" + method + "' is unknown" + Nearest.hint(method, names) + "; there are "
        + names.stream().collect(Collectors.joining(", ")));
  }
}
