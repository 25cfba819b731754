package org.deft4j.deft;

import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Linear;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;

/**
 * The values an adapter starts with: P as its {@link Decomposition} says; R the one that makes the layer start as it was (PEFT) or
 * {@code N(0, (0.02 initScale)^2)} (the authors); the gate's number 0.5, and 0 where the authors' SDXL code is followed; LoRA's
 * {@code A ~ N(0, 1/r^2)} and {@code B = 0} (diffusers' gaussian start) or {@code A = 0} and {@code B ~ U(-1/sqrt(r), 1/sqrt(r))} (the
 * authors), and DoRA's with lengths as the weight's rows have them.
 */
final class AdapterStart {
  private static final double DEVIATION = 0.02;
  private static final double GATE = 0.5;
  /** Of the small layer. */
  private static final int SIDE = 16;

  private final String path;
  private final AdaptedLayer layer;
  private final AdapterConfig config;
  private final RandomSource random;
  private final DType type;
  private final long out;
  private final long rank;

  private AdapterStart(String path, AdaptedLayer layer, AdapterConfig config, RandomSource random) {
    this.path = path;
    this.layer = layer;
    this.config = config;
    this.random = random;
    this.type = type(layer);
    this.out = layer.weight().shape().size(0);
    this.rank = config.rankFor(out);
  }

  /** A new adapter for {@code layer}, its values drawn from {@code random}. */
  static LayerAdapter create(String path, AdaptedLayer layer, AdapterConfig config, RandomSource random) {
    try (Scope _ = Scope.open()) {
      return new AdapterStart(path, layer, config, random).create();
    }
  }

  /** Starts an adapter of a small layer, of no more columns than leave room for what R cannot put back, and forgets it. */
  static void rehearse(AdapterConfig config) {
    AdapterConfig narrow = new AdapterConfig(config.method(), config.decomposition(), Math.min(config.rank(), SIDE / 4), config.alpha(),
        config.targets(), config.start(), config.initScale(), config.extras());
    RandomSource random = new TorchRandom(0);
    try (Scope _ = Scope.open(); Linear layer = new Linear(SIDE, SIDE, false)) {
      layer.weight().set(Scope.release(random.normal(DType.F32, SIDE, SIDE)));
      create("layer", layer, narrow, random).close();
    }
  }

  private LayerAdapter create() {
    double scale = config.scaleFor(rank);
    return switch (config.method()) {
      case LORA -> new LoraAdapter(path, layer, a(), b(), newGate(), scale);
      case DORA -> DoraAdapter.start(path, layer, a(), b(), scale);
      case PARA -> new ParaAdapter(path, layer, projection(official()));
      case LORA_PARA -> new LoraParaAdapter(path, layer, projection(false), a(), b(), newGate(), scale);
      case DEFT -> {
        Projection projection = projection(false);
        double injected = config.extras().gate() ? scale / (1 + Math.exp(-gate())) : scale;
        Tensor r = config.start() == Start.IDENTITY
            ? DeftAdapter.identityInput(projection, layer.weight().value(), injected, path) : thin(DEVIATION * config.initScale());
        yield new DeftAdapter(path, layer, projection, r, newGate(), scale);
      }
    };
  }

  private Projection projection(boolean official) {
    Decomposition decomposition = config.decomposition();
    Tensor p = official ? decomposition.officialStart(random, type, out, rank) : decomposition.start(random, type, out, rank);
    double sparsity = config.extras().sparsity();
    if (sparsity == 0) {
      return new Projection(p, decomposition);
    }
    Tensor kept = Tensor.of(new double[] {sparsity}, 1).cast(type).less(random.uniform(type, p.shape().toArray()));
    return new Projection(p, kept.cast(type), decomposition);
  }

  private boolean official() {
    return config.start() == Start.OFFICIAL;
  }

  private Tensor newGate() {
    return config.extras().gate() ? Tensor.of(new double[] {gate()}, 1).cast(type) : null;
  }

  /** {@code P P^T} is their SDXL code's alone. */
  private double gate() {
    return official() && config.method() == Method.DEFT && config.decomposition() instanceof RelaxedDecomposition ? 0 : GATE;
  }

  private Tensor a() {
    return official() ? Tensor.zeros(type, thinSizes()) : thin(1.0 / rank);
  }

  /** {@code U(-1/sqrt(r), 1/sqrt(r))}: Kaiming's start of a matrix with r columns, {@code a = sqrt(5)}, as in the authors' code. */
  static Tensor uniform(RandomSource random, DType type, long out, long columns, long rank) {
    return random.uniform(type, out, columns).affine(2, -1).mul(1 / Math.sqrt((double) rank));
  }

  private Tensor b() {
    return official() ? uniform(random, type, out, rank, rank) : Tensor.zeros(type, out, rank);
  }

  /** A normal draw for R or A: the shape of the weight, with r outputs. */
  private Tensor thin(double deviation) {
    return random.normal(type, thinSizes()).mul(deviation);
  }

  private long[] thinSizes() {
    long[] sizes = layer.weight().shape().toArray();
    sizes[0] = rank;
    return sizes;
  }

  /** Adapters are float32 over whatever is stored, float64 over float64. */
  static DType type(AdaptedLayer layer) {
    return layer.weight().isLoaded() && layer.weight().value().dtype() == DType.F64 ? DType.F64 : DType.F32;
  }
}
