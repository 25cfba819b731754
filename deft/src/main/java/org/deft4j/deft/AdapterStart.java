package org.deft4j.deft;

import org.deft4j.nn.Linear;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * The values an adapter starts with: {@code P ~ N(0, 0.02^2)}; R the one that makes the layer start as it was (PEFT) or
 * {@code N(0, (0.02 initScale)^2)} (the authors); LoRA's {@code A ~ N(0, 1/r^2)} and {@code B = 0} (diffusers' gaussian
 * start).
 */
final class AdapterStart {
  private static final double DEVIATION = 0.02;

  private AdapterStart() {}

  /** A new adapter for {@code layer}, its values drawn from {@code random}. */
  static LayerAdapter create(String path, Linear layer, AdapterConfig config, RandomSource random) {
    long out = layer.outFeatures();
    long in = layer.inFeatures();
    long r = config.rankFor(out);
    double scale = config.scaleFor(r);
    DType type = type(layer);
    try (Scope _ = Scope.open()) {
      return switch (config.method()) {
        case LORA -> new LoraAdapter(path, normal(random, type, 1.0 / r, r, in), Tensor.zeros(type, out, r), scale);
        case PARA -> new ParaAdapter(path, normal(random, type, DEVIATION, out, r), config.decomposition());
        case DEFT -> {
          Tensor p = normal(random, type, DEVIATION, out, r);
          Tensor input = config.identityStart()
              ? DeftAdapter.identityInput(config.decomposition(), p, layer.weight().value(), scale, path)
              : normal(random, type, DEVIATION * config.initScale(), r, in);
          yield new DeftAdapter(path, p, input, config.decomposition(), scale);
        }
      };
    }
  }

  /** Adapters are float32 over whatever is stored, float64 over float64. */
  static DType type(Linear layer) {
    return layer.weight().value().dtype() == DType.F64 ? DType.F64 : DType.F32;
  }

  private static Tensor normal(RandomSource random, DType type, double deviation, long... sizes) {
    return random.normal(type, sizes).mul(deviation);
  }
}
