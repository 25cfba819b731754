package org.deft4j.autograd;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.UnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Unary;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * Tests the test: each rule is broken on purpose, and the gradient check over the operation's samples must notice. A wrong
 * sign, a missing term, a missing factor, a wrong axis and an added constant are tried on each gradient that a rule
 * gives, and a wrong value on each tensor that it kept.
 */
@ExtendWith(LeakCheck.class)
class MutationTest {
  private static final Map<String, UnaryOperator<Tensor>> WRONG_GRADIENTS = new LinkedHashMap<>();

  static {
    WRONG_GRADIENTS.put("wrong sign", Tensor::neg);
    WRONG_GRADIENTS.put("missing term", Tensor::zerosLike);
    WRONG_GRADIENTS.put("missing factor 2", g -> g.mul(0.5));
    WRONG_GRADIENTS.put("wrong axis", MutationTest::flipped);
    WRONG_GRADIENTS.put("added constant", g -> g.add(0.1));
  }

  private static Tensor flipped(Tensor x) {
    return x.rank() == 0 ? x : x.flip(IntStream.range(0, x.rank()).toArray());
  }

  /** Other numbers, and indices in another order. */
  private static Tensor spoiled(Tensor x) {
    return x.dtype().isFloating() ? x.affine(-1.3, 0.1) : flipped(x);
  }

  /** Where a rule is broken: its gradient for an input, or what it kept. */
  private record Place(String what, int index) implements Comparable<Place> {
    static final String GRADIENT = "gradient of input";
    static final String INPUT = "kept input";
    static final String OUTPUT = "kept output";

    @Override
    public int compareTo(Place other) {
      return toString().compareTo(other.toString());
    }

    @Override
    public String toString() {
      return what + " " + index;
    }
  }

  static Stream<Class<? extends Op>> operations() {
    return OpSamples.differentiable().stream().<Class<? extends Op>>map(Sample::op).distinct();
  }

  @ParameterizedTest
  @MethodSource("operations")
  void aBrokenRuleIsNoticed(Class<? extends Op> operation) {
    Map<Place, Set<String>> unnoticed = new TreeMap<>();
    Map<Place, Set<String>> noticed = new TreeMap<>();
    for (Sample sample : OpSamples.differentiable()) {
      if (sample.op() == operation) {
        breakEachWay(sample, noticed, unnoticed);
      }
    }
    assertFalse(noticed.isEmpty());
    noticed.forEach((place, ways) -> unnoticed.get(place).removeAll(ways));
    unnoticed.values().removeIf(Set::isEmpty);
    if (operation == Unary.Sign.class) {
      // Its gradient is zero, which no factor and no axis changes: only the added constant can show.
      assertEquals(4, unnoticed.remove(new Place(Place.GRADIENT, 0)).size());
    }
    assertTrue(unnoticed.isEmpty(), () -> operation.getSimpleName() + ": no sample notices " + unnoticed);
  }

  private static void breakEachWay(Sample sample, Map<Place, Set<String>> noticed,
      Map<Place, Set<String>> tried) {
    try (Scope _ = Scope.open()) {
      Tensor[] inputs = sample.make();
      double[] upstream = GradCheck.upstream(sample.function(), inputs);
      double[][] expected = GradCheck.numeric(sample.function(), upstream, inputs);
      Spoiler intact = new Spoiler(sample.op(), null, null);
      double[][] correct = GradCheck.analytic(intact, sample.function(), upstream, false, inputs);
      assertEquals(List.of(), GradCheck.differences(expected, correct, inputs), sample::toString);
      for (Place place : intact.places) {
        for (String way : place.what.equals(Place.GRADIENT) ? WRONG_GRADIENTS.keySet() : List.of("spoiled")) {
          tried.computeIfAbsent(place, p -> new TreeSet<>()).add(way);
          UnaryOperator<Tensor> change = WRONG_GRADIENTS.getOrDefault(way, MutationTest::spoiled);
          if (isNoticed(new Spoiler(sample.op(), place, change), sample, expected, correct, upstream, inputs)) {
            noticed.computeIfAbsent(place, p -> new TreeSet<>()).add(way);
          }
        }
      }
    }
  }

  private static boolean isNoticed(Spoiler broken, Sample sample, double[][] expected, double[][] correct,
      double[] upstream, Tensor[] inputs) {
    double[][] actual;
    try {
      actual = GradCheck.analytic(broken, sample.function(), upstream, false, inputs);
    } catch (NumericException e) {
      return true;
    }
    boolean reported = !GradCheck.differences(expected, actual, inputs).isEmpty();
    if (!reported) {
      assertTrue(GradCheck.differences(correct, actual, inputs).isEmpty(),
          () -> sample + ": broken at " + broken.place + ", the gradient changed and the check did not notice: "
              + Arrays.deepToString(actual) + " for " + Arrays.deepToString(correct));
    }
    return reported;
  }

  /** The rules, with one operation's broken at one place; also lists the places where it could be. */
  private static final class Spoiler implements Tape.RuleBook {
    private final Class<? extends Op> operation;
    private final Place place;
    private final UnaryOperator<Tensor> change;
    private final TreeSet<Place> places = new TreeSet<>();

    Spoiler(Class<? extends Op> operation, Place place, UnaryOperator<Tensor> change) {
      this.operation = operation;
      this.place = place;
      this.change = change;
    }

    @Override
    public Rule of(Op op, Needs needs) {
      Rule real = Rules.of(op, needs);
      return op.getClass() != operation ? real : new Rule() {
        @Override
        public Saves saves(Needs wanted) {
          return real.saves(wanted);
        }

        @Override
        public Tensor[] gradients(Backward b) {
          note(b, real.saves(needs));
          Tensor[] gradients = real.gradients(new Spoiled(b, Spoiler.this));
          for (int i = 0; i < gradients.length; i++) {
            gradients[i] = b.needs(i) ? changed(Place.GRADIENT, i, gradients[i]) : null;
          }
          return gradients;
        }

        @Override
        public UnaryOperator<Tensor> part() {
          return real.part();
        }
      };
    }

    private void note(Backward b, Saves saves) {
      for (int i = 0; i < b.inputs(); i++) {
        if (b.needs(i)) {
          places.add(new Place(Place.GRADIENT, i));
        }
        if (saves.hasInput(i)) {
          places.add(new Place(Place.INPUT, i));
        }
      }
      for (int j = 0; j < b.outputs(); j++) {
        if (saves.hasOutput(j)) {
          places.add(new Place(Place.OUTPUT, j));
        }
      }
    }

    private Tensor changed(String what, int index, Tensor tensor) {
      return new Place(what, index).equals(place) ? change.apply(tensor) : tensor;
    }
  }

  /** What a rule may look at, with one kept tensor replaced. */
  private record Spoiled(Backward real, Spoiler spoiler) implements Backward {
    @Override
    public Tensor dy(int j) {
      return real.dy(j);
    }

    @Override
    public int outputs() {
      return real.outputs();
    }

    @Override
    public int inputs() {
      return real.inputs();
    }

    @Override
    public boolean needs(int i) {
      return real.needs(i);
    }

    @Override
    public Tensor input(int i) {
      return spoiler.changed(Place.INPUT, i, real.input(i));
    }

    @Override
    public Tensor output(int j) {
      return spoiler.changed(Place.OUTPUT, j, real.output(j));
    }

    @Override
    public Value value(int i) {
      return real.value(i);
    }

    @Override
    public String label() {
      return real.label();
    }
  }
}
