package org.deft4j.autograd;

import java.util.function.Function;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What the check says and leaves behind; that it notices wrong rules is {@code MutationTest}'s part. */
@ExtendWith(LeakCheck.class)
class GradCheckTest {
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  @Test
  void acceptsACompositeAndRestoresItsInputs() {
    Tensor a = Tensor.of(new double[] {0.1, 0.2, -0.3, 0.7}, 2, 2);
    Tensor b = Tensor.of(new double[] {1.5, -0.5});
    Function<Tensor[], Tensor> f = in -> in[0].t().matmul(in[0]).add(in[1]).tanh().mul(in[1].unsqueeze(1));
    GradCheck.check(f, a, b);
    assertArrayEquals(new double[] {0.1, 0.2, -0.3, 0.7}, a.toDoubles());
  }

  /** The gradient at a kink is a choice; central differences give the mean of both sides. */
  @Test
  void namesInputElementAndValues() {
    Tensor smooth = Tensor.of(new double[] {1, 2, 3, 4, 5, 6}, 2, 3);
    Tensor kink = Tensor.of(new double[] {1, 2, 3, 4, 0, 6}, 2, 3).named("kink");
    var error = assertThrows(AssertionError.class, () -> GradCheck.check(in -> in[0].mul(in[1].relu()), smooth, kink));
    assertTrue(error.getMessage().contains("input 1") && error.getMessage().contains("kink")
        && error.getMessage().contains("[1, 1]") && error.getMessage().contains("the tape gives"), error.getMessage());
  }

  @Test
  void takesOtherTypesAsConstants() {
    Tensor x = Tensor.of(new double[] {1, 2, 3});
    Tensor index = Tensor.of(new long[] {2, 0});
    GradCheck.check(in -> in[0].indexSelect(0, in[1]).square(), x, index);
  }

  @Test
  void refusesInputsThatOverlapThemselves() {
    Tensor x = Tensor.of(new double[] {1}, 1).expand(3);
    var error = assertThrows(IllegalArgumentException.class, () -> GradCheck.check(in -> in[0].square(), x));
    assertTrue(error.getMessage().contains("share memory"), error.getMessage());
  }

  @Test
  void needsFloat64() {
    Tensor x = Tensor.of(new float[] {1, 2});
    var error = assertThrows(IllegalArgumentException.class, () -> GradCheck.check(in -> in[0].square(), x));
    assertTrue(error.getMessage().contains("must be F64"), error.getMessage());
  }
}
