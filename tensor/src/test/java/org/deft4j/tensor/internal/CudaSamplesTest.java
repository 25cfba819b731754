package org.deft4j.tensor.internal;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.internal.KernelSamples.Sample;
import org.deft4j.tensor.internal.cuda.CudaTests;
import org.deft4j.tensor.internal.cuda.OnCard;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
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

  /** With whatever is rounded to BF16 before a product of it, as a model has it. */
  @Test
  void everySampleInBf16() {
    CudaTests.with(Precision.BF16, () -> {
      compareAll(DType.BF16);
      return null;
    });
  }

  private static void compareAll(DType dtype) {
    List<String> wrong = new ArrayList<>();
    int compared = 0;
    try (Scope _ = Scope.open()) {
      for (Sample sample : KernelSamples.all()) {
        if (dtype == DType.BF16 && !takesBf16(sample)) {
          continue;
        }
        try (Scope _ = Scope.open()) {
          compared++;
          CudaTests.differences(sample.op(), dtype, sample.inputs()).ifPresent(text -> wrong.add(sample + ": " + text));
        }
      }
    }
    assertTrue(compared > 900, compared + " samples");
    assertEquals(List.of(), wrong.subList(0, Math.min(20, wrong.size())), wrong.size() + " of " + compared + " samples differ");
  }

  private static boolean takesBf16(Sample sample) {
    return switch (sample.op()) {
      case Decompose _ -> false;
      case InPlace.AdamUpdate _ -> false;
      case InPlace.SgdUpdate _ -> false;
      case InPlace.ClipInto _ -> false;
      case Fused.GlobalNorm() -> false;
      default -> true;
    };
  }
}
