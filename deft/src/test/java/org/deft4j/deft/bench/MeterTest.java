package org.deft4j.deft.bench;

import java.util.List;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.diffusion.UNetConfig;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What a measurement says about work that is known. */
class MeterTest {
  private static final Meter SHORT = new Meter(0, 0, 2);

  @Test
  void timeWorkMemoryAndComparison() {
    Row row = new Row("test", "sleep", in -> {
      Tensor a = in.draw(64, 32);
      Tensor b = in.draw(32, 16);
      return Job.arithmetic(() -> {
        sleep(30);
        return a.matmul(b);
      }).against("nap", () -> {
        sleep(300);
        return a;
      });
    });
    long before = MemoryPool.cpu().liveBytes();
    Measurement result = SHORT.measure(row);
    assertEquals(2.0 * 64 * 32 * 16, result.work());
    assertTrue(result.seconds() >= 0.03, "" + result.seconds());
    assertEquals(result.work() / result.seconds(), result.rate(), 1e-6 * result.rate());
    assertTrue(result.share() < 0.1 && result.share() > 0, "" + result.share());
    assertEquals("nap", result.against().orElseThrow().name());
    assertTrue(result.against().orElseThrow().ratio() < 1, "30 ms against 300 ms");
    assertEquals(1, result.limit().rounds(), "no seconds to measure for");
    long expected = 4 * (64 * 32 + 32 * 16 + 64 * 16);
    long peak = result.peakBytes() - before;
    assertTrue(peak >= expected && peak <= expected + expected / 4, "" + peak);
  }

  private static void sleep(long millis) {
    try {
      Thread.sleep(millis);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  @Test
  void aModelForwardAndBack() {
    UNetConfig config = UNetConfig.from(Json.parse("""
        {"_class_name": "UNet2DConditionModel", "block_out_channels": [8, 16], "layers_per_block": 1, "norm_num_groups": 4,
         "attention_head_dim": 2, "cross_attention_dim": 24, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
         "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"]}
        """, "tiny"));
    long before = MemoryPool.cpu().liveBytes();
    List<Measurement> results = Models.rows("tiny", () -> config, 16).stream().map(SHORT::measure).toList();
    assertEquals(List.of("tiny 2x4x16x16 forward", "tiny 2x4x16x16 forward and back"),
        results.stream().map(result -> result.row().name()).toList());
    double ratio = results.get(1).work() / results.get(0).work();
    // Each product of the way forward has one on the way back, but none that ends in a weight; attention has 2.5 for 1.
    assertTrue(ratio > 1.9 && ratio < 3.5, "" + ratio);
    assertTrue(results.get(1).peakBytes() > results.get(0).peakBytes());
    assertEquals(before, MemoryPool.cpu().liveBytes(), "model, inputs and results are closed");
  }

  @Test
  void aStepOfPaRaAgainstOneOfLora() {
    Measurement step = SHORT.measure(Steps.attention("PaRa", AdapterConfig.para(4), 1));
    assertEquals("PaRa rank 4 SDXL attention", step.row().name());
    assertTrue(step.work() > 25e9, "the frozen products forward, and most of them back");
    Measurement.Comparison lora = step.against().orElseThrow();
    assertEquals("LoRA", lora.name());
    assertTrue(lora.ratio() > 0.2 && lora.ratio() < 5, "" + lora.ratio());
  }
}
