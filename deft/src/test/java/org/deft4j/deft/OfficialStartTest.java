package org.deft4j.deft;

import java.util.Arrays;
import java.util.List;
import java.util.stream.DoubleStream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What adapters start with where the authors' code is followed, by range and deviation of many draws. */
class OfficialStartTest {
  private static final int OUT = 400;
  private static final int IN = 300;
  private static final int RANK = 16;

  /** The matrix of the one layer of a new adapter; null where it has none of that name. */
  private static double[] start(AdapterConfig config, String matrix) {
    try (Scope _ = Scope.open(); TwoLayers model = new TwoLayers(IN, OUT, DType.F32, 1);
        AdapterSet set = AdapterSet.create(model, config.with(Targets.suffixes(List.of("to_q"))), new TorchRandom(3))) {
      Tensor value = set.adapters().get("attn.to_q").tensors().get(matrix);
      return value == null ? null : value.toDoubles();
    }
  }

  private static AdapterConfig official(Method method) {
    return AdapterConfig.of(method, RANK).with(Start.OFFICIAL);
  }

  private static void assertUniform(double[] values) {
    double bound = 1 / Math.sqrt(RANK);
    assertEquals(bound, Arrays.stream(values).map(Math::abs).max().orElseThrow(), 1e-3);
    assertEquals(bound / Math.sqrt(3), deviation(values), 0.02 * bound);
  }

  private static double deviation(double[] values) {
    return Math.sqrt(DoubleStream.of(values).map(x -> x * x).average().orElseThrow());
  }

  private static void assertZero(double[] values) {
    assertTrue(Arrays.stream(values).allMatch(x -> x == 0));
  }

  /** {@code kaiming_uniform_(a=sqrt 5)} of what is B here, zeros of what is A: PEFT's start has it the other way round. */
  @Test
  void lora() {
    assertUniform(start(official(Method.LORA), LoraAdapter.B));
    assertZero(start(official(Method.LORA), LoraAdapter.A));
    assertEquals(1.0 / RANK, deviation(start(AdapterConfig.lora(RANK), LoraAdapter.A)), 0.02 / RANK);
    assertZero(start(AdapterConfig.lora(RANK), LoraAdapter.B));
  }

  @Test
  void loraWithPara() {
    assertUniform(start(official(Method.LORA_PARA), LoraAdapter.B));
    assertZero(start(official(Method.LORA_PARA), LoraAdapter.A));
    assertEquals(0.02, deviation(start(official(Method.LORA_PARA), DeftAdapter.P)), 5e-4);
  }

  @Test
  void para() {
    assertUniform(start(official(Method.PARA), DeftAdapter.P));
  }

  /** {@code R ~ N(0, (0.02 initScale)^2)}. */
  @Test
  void deft() {
    assertEquals(0.02, deviation(start(official(Method.DEFT), DeftAdapter.P)), 5e-4);
    assertEquals(0.02, deviation(start(official(Method.DEFT), DeftAdapter.R)), 5e-4);
    AdapterConfig smaller = new AdapterConfig(Method.DEFT, new QrDecomposition(), RANK, null, Targets.ATTENTION, Start.OFFICIAL, 0.25,
        AdapterExtras.NONE);
    assertEquals(0.005, deviation(start(smaller, DeftAdapter.R)), 1.5e-4);
  }

  /** 0.5 in the OmniGen code, 0 in the SDXL code, which alone has {@code P P^T}. */
  @Test
  void theGate() {
    AdapterExtras gate = new AdapterExtras(Dropout.NONE, true, 0);
    assertEquals(0, start(official(Method.DEFT).with(gate), DeftAdapter.GATE)[0]);
    assertEquals(0.5, start(official(Method.DEFT).with(new QrDecomposition()).with(gate), DeftAdapter.GATE)[0]);
    assertEquals(0.5, start(AdapterConfig.deft(RANK).with(gate), DeftAdapter.GATE)[0]);
  }

  /** What no layer could start as is refused before there is one. */
  @Test
  void aStartThatCannotBe() {
    for (Decomposition decomposition : Decomposition.known()) {
      boolean can = !(decomposition instanceof RectifiedDecomposition) && !decomposition.equals(new NmfDecomposition(true));
      AdapterConfig config = AdapterConfig.deft(64).with(decomposition);
      config.with(Start.RANDOM).requireStart();
      if (can) {
        config.requireStart();
      } else {
        InputException error = assertThrows(InputException.class, config::requireStart);
        assertTrue(error.getMessage().contains(decomposition.method() + " cannot start as the identity"), error.getMessage());
      }
    }
  }
}
