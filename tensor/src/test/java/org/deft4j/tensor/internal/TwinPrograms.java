package org.deft4j.tensor.internal;

import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A program that runs the tests of the products and copies, for a Java with other flags than this one, and says how wide its vectors are. */
final class TwinPrograms {
  private static final List<Class<?>> TESTS =
      List.of(VectorProductsTest.class, VectorConvolutionTest.class, VectorAttentionTest.class, VectorRankUpdateTest.class, VectorDoubleProductsTest.class,
      ThinQrTest.class, QrGradientTest.class, StridedCopyTest.class);

  private TwinPrograms() {}

  public static void main(String[] args) throws ReflectiveOperationException {
    for (Class<?> test : TESTS) {
      List<Method> methods = new ArrayList<>();
      for (Class<?> type = test; type != Object.class; type = type.getSuperclass()) {
        methods.addAll(List.of(type.getDeclaredMethods()));
      }
      methods.sort(Comparator.comparing(Method::getName));
      for (Method method : methods) {
        if (method.isAnnotationPresent(Test.class)) {
          method.invoke(test.getDeclaredConstructor().newInstance());
        }
      }
    }
    System.out.println("same bits at " + VectorKernels.bits());
  }
}
