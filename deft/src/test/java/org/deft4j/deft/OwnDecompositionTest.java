package org.deft4j.deft;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.deft4j.autograd.GradCheck;
import org.deft4j.nn.Linear;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The example of CONTRIBUTING.md: a decomposition of one's own is one class, and everything works with it. */
class OwnDecompositionTest {
  /** {@code M = N N^T}, N the columns of P brought to length 1; zeros stay zeros. */
  public record UnitColumns() implements Decomposition {
    @Override
    public String method() {
      return "unit-columns";
    }

    @Override
    public Factors factors(Tensor p, String layer) {
      Tensor squares = Tensor.full(p.dtype(), 1, 1, p.size(0)).matmul(p.square());
      return Factors.symmetric(p.mul(squares.add(Float.MIN_NORMAL).rsqrt()));
    }
  }

  @Test
  void itHasItsGradientForFree() {
    try (Scope _ = Scope.open()) {
      TorchRandom random = new TorchRandom(1);
      GradCheck.check(t -> LowRankUpdate.remove(new UnitColumns().factors(t[0], "layer")).delta(new Linear(1, 1, false), null, t[1], 0.6),
          random.normal(DType.F64, 6, 2), random.normal(DType.F64, 3, 6));
    }
  }

  @Test
  void itIsWrittenAndFoundByItsName(@TempDir Path folder) throws Exception {
    try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(6, 5, DType.F32, 1);
        AdapterSet set = AdapterSet.create(model, AdapterConfig.deft(2).with(new UnitColumns()).with(Targets.suffixes(List.of("to_q"))),
            new TorchRandom(0))) {
      PeftFolder.write(folder, set, null);
      assertTrue(Files.readString(folder.resolve("adapter_config.json")).contains("unit-columns"));
      try (AdapterSet read = PeftFolder.read(folder, model)) {
        assertEquals(new UnitColumns(), read.config().decomposition());
        assertArrayEquals(set.trainable().getFirst().toFloats(), read.trainable().getFirst().toFloats());
      }
    }
  }
}
