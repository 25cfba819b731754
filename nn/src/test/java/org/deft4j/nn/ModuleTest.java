package org.deft4j.nn;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.DTypeException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

class ModuleTest {
  private static final class Net extends Module {
    private final Linear first = child("layers.0", new Linear(2, 3));
    private final LayerNorm norm = child("norm", new LayerNorm(3, 1e-5));
    private final Parameter scale = parameter("scale", 1);

    Tensor forward(Tensor x) {
      return observed(norm.forward(observed("act", first.forward(x).silu())).mul(scale.value()));
    }

    void sameAgain() {
      child("norm", new LayerNorm(3, 1e-5));
    }

    void steal(Linear linear) {
      child("stolen", linear);
    }
  }

  private static final class Outer extends Module {
    private final Net inner = child("net", new Net());
  }

  @Test
  void namesAreThePathsOfThePlacesInOrder() {
    Outer outer = new Outer();
    assertEquals(List.of("net.scale", "net.layers.0.weight", "net.layers.0.bias", "net.norm.weight", "net.norm.bias"),
        List.copyOf(outer.parameters().keySet()));
    assertEquals(List.of("net", "net.layers.0", "net.norm"), List.copyOf(outer.modules().keySet()));
    assertEquals("net.layers.0.weight", outer.inner.first.weight().name());
    assertEquals(List.of("weight", "bias"), List.copyOf(outer.inner.first.parameters().keySet()));
    assertEquals(Shape.of(3, 2), outer.parameters().get("net.layers.0.weight").shape());
    assertEquals(1 + 6 + 3 + 3 + 3, outer.parameterCount());
  }

  @Test
  void aNameIsGivenOnceAndAModuleHasOneParent() {
    Net net = new Net();
    assertThrows(IllegalStateException.class, net::sameAgain);
    assertThrows(IllegalStateException.class, () -> new Net().steal(net.first));
  }

  @Test
  void listenersHearOutputsByPathUntilClosed() {
    Outer outer = new RandomWeights(2).fill(new Outer());
    Map<String, Shape> fromRoot = new LinkedHashMap<>();
    Map<String, Shape> fromNet = new LinkedHashMap<>();
    try (Scope _ = Scope.open()) {
      Tensor x = Tensor.of(new double[] {1, 2}, 1, 2);
      try (Module.Listening _ = outer.listen((path, output) -> fromRoot.put(path, output.shape()));
          Module.Listening _ = outer.inner.listen((path, output) -> fromNet.put(path, output.shape()))) {
        outer.inner.forward(x);
      }
      assertEquals(List.of("net.layers.0", "net.act", "net.norm", "net"), List.copyOf(fromRoot.keySet()));
      assertEquals(List.of("layers.0", "act", "norm", ""), List.copyOf(fromNet.keySet()));
      assertEquals(Shape.of(1, 3), fromRoot.get("net.act"));
      fromRoot.clear();
      outer.inner.forward(x);
      assertTrue(fromRoot.isEmpty());
    }
  }

  @Test
  void aParameterWithoutValueSaysItsName() {
    Outer outer = new Outer();
    assertFalse(outer.inner.first.weight().isLoaded());
    IllegalStateException e = assertThrows(IllegalStateException.class, () -> outer.inner.first.weight().value());
    assertTrue(e.getMessage().contains("net.layers.0.weight"), e.getMessage());
  }

  @Test
  void aValueOutlivesItsScopeAndReplacesTheOneBefore() {
    Linear linear = new Linear(2, 1);
    Tensor first;
    try (Scope _ = Scope.open()) {
      first = Tensor.of(new float[] {1, 2}, 1, 2);
      linear.weight().set(first);
    }
    assertArrayEquals(new float[] {1, 2}, linear.weight().value().toFloats());
    try (Scope _ = Scope.open()) {
      linear.weight().set(Tensor.of(new float[] {3, 4}, 1, 2));
    }
    assertFalse(first.isOpen());
    assertArrayEquals(new float[] {3, 4}, linear.weight().value().toFloats());
    linear.close();
    assertFalse(linear.weight().isLoaded());
  }

  @Test
  void vectorsAreHeldInF32AndMatricesAsTheyAre() {
    try (Scope _ = Scope.open(); Linear linear = new Linear(2, 3)) {
      for (DType type : List.of(DType.F16, DType.BF16)) {
        linear.weight().set(Tensor.full(type, 0.5, 3, 2));
        linear.bias().set(Tensor.full(type, 0.5, 3));
        assertEquals(type, linear.weight().value().dtype());
        assertEquals(DType.F32, linear.bias().value().dtype());
        assertArrayEquals(new float[] {0.5f, 0.5f, 0.5f}, linear.bias().value().toFloats());
      }
      linear.weight().set(Tensor.full(DType.F8_E5M2, 0.75, 3, 2));
      assertEquals(DType.F16, linear.weight().value().dtype());
      assertEquals(0.75, linear.weight().value().toDoubles()[5]);
    }
  }

  @Test
  void valuesOfAnotherShapeOrTypeAreRefused() {
    try (Scope _ = Scope.open()) {
      Linear linear = new Linear(2, 3);
      ShapeException shape = assertThrows(ShapeException.class, () -> linear.weight().set(Tensor.zeros(DType.F32, 2, 3)));
      assertTrue(shape.getMessage().contains("weight: expected shape [3, 2]"), shape.getMessage());
      assertThrows(DTypeException.class, () -> linear.weight().set(Tensor.zeros(DType.I64, 3, 2)));
    }
  }
}
