package org.deft4j.tensor.internal;

import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.Test;

/** A program that runs the tests of the products and copies, for a Java with other flags than this one, and says how wide its vectors are. */
final class TwinPrograms {
  private static final List<Class<?>> TESTS =
      List.of(VectorProductsTest.class, VectorConvolutionTest.class, VectorAttentionTest.class, VectorRankUpdateTest.class, VectorDoubleProductsTest.class,
      ThinQrTest.class, StridedCopyTest.class);

  private TwinPrograms() {}

  public static void main(String[] args) throws ReflectiveOperationException {
    for (Class<?> test : TESTS) {
      Method[] methods = test.getDeclaredMethods();
      Arrays.sort(methods, Comparator.comparing(Method::getName));
      for (Method method : methods) {
        if (method.isAnnotationPresent(Test.class)) {
          method.invoke(test.getDeclaredConstructor().newInstance());
        }
      }
    }
    System.out.println("same bits at " + VectorKernels.bits());
  }
}
