package org.deft4j.tensor.internal;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.internal.KernelSamples.Sample;
import org.deft4j.tensor.internal.cuda.CudaTests;
import org.deft4j.tensor.internal.cuda.OnCard;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * The kernels of a card give what the plain ones do, but for the rounding of other functions and of sums in another order: every sample of
 * the twins, in both types. Without a card the sources run on the processor.
 */
@ExtendWith(OnCard.class)
class CudaSamplesTest {
  @Test
  void everySampleInFloat32() {
    compareAll(DType.F32);
  }

  @Test
  void everySampleInFloat64() {
    compareAll(DType.F64);
  }

  private static void compareAll(DType dtype) {
    List<String> wrong = new ArrayList<>();
    int compared = 0;
    try (Scope _ = Scope.open()) {
      for (Sample sample : KernelSamples.all()) {
        try (Scope _ = Scope.open()) {
          compared++;
          CudaTests.differences(sample.op(), dtype, sample.inputs()).ifPresent(text -> wrong.add(sample + ": " + text));
        }
      }
    }
    assertTrue(compared > 1000, compared + " samples");
    assertEquals(List.of(), wrong.subList(0, Math.min(20, wrong.size())), wrong.size() + " of " + compared + " samples differ");
  }
}
