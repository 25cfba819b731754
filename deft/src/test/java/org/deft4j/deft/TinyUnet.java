package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.diffusion.Scheduler;
import org.deft4j.diffusion.UNet2DConditionModel;
import org.deft4j.diffusion.UNetConfig;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.Json;

/** The smallest UNet with every kind of part, random weights, and something to train it on. */
final class TinyUnet {
  private static final String CONFIG = """
      {"_class_name": "UNet2DConditionModel", "in_channels": 4, "out_channels": 4, "block_out_channels": [4, 8],
       "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
       "mid_block_type": "UNetMidBlock2DCrossAttn", "layers_per_block": 1, "attention_head_dim": 2, "cross_attention_dim": 6,
       "norm_num_groups": 2, "sample_size": 4}
      """;

  private TinyUnet() {}

  static UNet2DConditionModel create() {
    UNet2DConditionModel unet = new UNet2DConditionModel(UNetConfig.from(Json.parse(CONFIG, "tiny")));
    RandomSource random = new TorchRandom(1);
    try (Scope _ = Scope.open()) {
      unet.parameters().values().forEach(parameter -> {
        double mean = parameter.name().contains("norm") && parameter.name().endsWith("weight") ? 1 : 0;
        parameter.set(random.normal(DType.F32, parameter.shape().toArray()).mul(0.3).add(mean));
      });
    }
    return unet;
  }

  static List<TrainingExample> examples(int count, double mean) {
    RandomSource random = new TorchRandom(2);
    List<TrainingExample> examples = new ArrayList<>();
    try (Scope _ = Scope.open()) {
      for (int i = 0; i < count; i++) {
        examples.add(new TrainingExample(Scope.release(random.normal(DType.F32, 1, 4, 4, 4).add(mean)),
            Scope.release(Tensor.full(DType.F32, 0.1, 1, 4, 4, 4)), Scope.release(random.normal(DType.F32, 1, 5, 6)), null,
            null));
      }
    }
    return examples;
  }

  /** 20 timesteps from little noise to almost nothing else. */
  static Scheduler scheduler() {
    return Scheduler.of(Json.parse("""
        {"_class_name": "DDPMScheduler", "num_train_timesteps": 20, "beta_start": 0.01, "beta_end": 0.4}
        """, "tiny"));
  }
}
