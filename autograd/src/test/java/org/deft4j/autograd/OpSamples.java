package org.deft4j.autograd;

import java.lang.reflect.Modifier;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.deft4j.tensor.op.Op;

/**
 * Samples of every operation. A new operation fails the build until it is here: {@code OpSamplesTest} compares this list
 * with the sealed family {@link Op}.
 */
final class OpSamples {
  private OpSamples() {}

  /** Operations with a gradient. */
  static List<Sample> differentiable() {
    return Stream.of(ElementwiseSamples.all(), ShapingSamples.all(), LayerSamples.all()).flatMap(List::stream).toList();
  }

  /** The names of the operations of these samples, as {@code Unary.Neg}. */
  static Set<String> names(List<Sample> samples) {
    return samples.stream().map(sample -> name(sample.op())).collect(Collectors.toCollection(TreeSet::new));
  }

  /** The names of all concrete operations. */
  static Set<String> family() {
    Set<String> names = new TreeSet<>();
    collect(Op.class, names);
    return names;
  }

  private static void collect(Class<?> type, Set<String> names) {
    if (type.isSealed()) {
      for (Class<?> permitted : type.getPermittedSubclasses()) {
        collect(permitted, names);
      }
    } else if (!Modifier.isAbstract(type.getModifiers())) {
      names.add(name(type));
    }
  }

  private static String name(Class<?> type) {
    return type.getEnclosingClass().getSimpleName() + "." + type.getSimpleName();
  }
}
