package org.deft4j.autograd;

import java.util.List;
import java.util.TreeSet;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What holds for every operation, over all samples. */
@ExtendWith(LeakCheck.class)
class OpSamplesTest {
  @Test
  void everyOperationHasSamples() {
    var names = new TreeSet<String>();
    for (List<Sample> samples : List.of(OpSamples.differentiable(), OtherSamples.constant(),
        OtherSamples.firstOrderOnly(), OtherSamples.inPlace())) {
      names.addAll(OpSamples.names(samples));
    }
    assertEquals(OpSamples.family(), names);
  }

  static List<Sample> differentiable() {
    return OpSamples.differentiable();
  }

  static List<Sample> constant() {
    return OtherSamples.constant();
  }

  static List<Sample> firstOrderOnly() {
    return OtherSamples.firstOrderOnly();
  }

  static List<Sample> inPlace() {
    return OtherSamples.inPlace();
  }

  @ParameterizedTest
  @MethodSource("differentiable")
  void gradientIsTheCentralDifference(Sample sample) {
    try (Scope _ = Scope.open()) {
      GradCheck.check(sample.function(), sample.make());
    }
  }

  /** A rule gives the same bits whichever gradients are wanted, with only what it then asks to be kept. */
  @ParameterizedTest
  @MethodSource("differentiable")
  void eachGradientIsTheSameWhenAskedForAlone(Sample sample) {
    try (Scope _ = Scope.open()) {
      Tensor[] inputs = sample.make();
      double[] upstream = GradCheck.upstream(sample.function(), inputs);
      double[][] all = GradCheck.analytic(Rules::of, sample.function(), upstream, false, inputs);
      for (int i = 0; i < inputs.length; i++) {
        if (inputs[i].dtype() == DType.F64) {
          try (Scope _ = Scope.open(); Tape tape = Tape.watch(inputs[i])) {
            Tensor y = Scope.run(() -> sample.function().apply(inputs));
            Gradients gradients = tape.gradients(y, Tensor.of(upstream).reshape(y.shape().toArray()));
            assertArrayEquals(all[i], gradients.of(inputs[i]).toDoubles(), "input " + i);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("differentiable")
  void memoryIsBackAfterwards(Sample sample) {
    long before = MemoryPool.cpu().liveBytes();
    try (Scope _ = Scope.open()) {
      Tensor[] inputs = sample.make();
      double[] upstream = GradCheck.upstream(sample.function(), inputs);
      long made = MemoryPool.cpu().liveBytes();
      GradCheck.analytic(Rules::of, sample.function(), upstream, false, inputs);
      assertEquals(made, MemoryPool.cpu().liveBytes());
    }
    assertEquals(before, MemoryPool.cpu().liveBytes());
  }

  @ParameterizedTest
  @MethodSource("constant")
  void integersAndTruthValuesAreNotFollowed(Sample sample) {
    try (Scope _ = Scope.open()) {
      Tensor[] inputs = sample.make();
      try (Tape tape = Tape.watch(inputs)) {
        Tensor y = sample.function().apply(inputs).cast(DType.F64);
        var error = assertThrows(IllegalArgumentException.class, () -> tape.gradients(y, y.zerosLike()));
        assertTrue(error.getMessage().contains("does not depend on a watched tensor"), error.getMessage());
      }
    }
  }

  @ParameterizedTest
  @MethodSource("firstOrderOnly")
  void gradientsOfGradientsAreRefused(Sample sample) {
    try (Scope _ = Scope.open()) {
      Tensor[] inputs = sample.make();
      assertTrue(sample.function().apply(inputs).isOpen());
      for (int i = 0; i < inputs.length; i++) {
        if (inputs[i].dtype().isFloating()) {
          try (Tape _ = Tape.watch(inputs[i])) {
            var error = assertThrows(UnsupportedOperationException.class, () -> sample.function().apply(inputs));
            assertTrue(error.getMessage().contains("not differentiable"), error.getMessage());
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("inPlace")
  void changesInPlaceAreRefused(Sample sample) {
    try (Scope _ = Scope.open()) {
      Tensor[] inputs = sample.make();
      for (Tensor input : inputs) {
        try (Tape _ = Tape.watch(input)) {
          var error = assertThrows(IllegalStateException.class, () -> sample.function().apply(inputs));
          assertTrue(error.getMessage().contains("does not record operations in place"), error.getMessage());
        }
      }
    }
  }

  @Test
  void operationsInPlaceHaveNoRule() {
    var error = assertThrows(UnsupportedOperationException.class, () -> Rules.of(new InPlace.Fill(0), new Needs(true)));
    assertTrue(error.getMessage().contains("not recorded"), error.getMessage());
  }
}
