package org.deft4j.deft.testing;

import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterExtras;
import org.deft4j.deft.Decomposition;
import org.deft4j.deft.Dropout;
import org.deft4j.deft.Method;
import org.deft4j.deft.Start;
import org.deft4j.tensor.DType;

/** Random layers, matrices and configurations of adapters, for jqwik. */
public final class AdapterArbitraries {
  private AdapterArbitraries() {}

  /** Float64 and float32. */
  public static Arbitrary<DType> types() {
    return Arbitraries.of(DType.F64, DType.F32);
  }

  /** Every decomposition that comes with the project. */
  public static Arbitrary<Decomposition> decompositions() {
    return Arbitraries.of(Decomposition.known());
  }

  /** Matrices [m, n] of 1 to 12 rows and columns, n at most m, of a conditioning. */
  public static Arbitrary<Dense> tallMatrices(Conditioning conditioning) {
    return Combinators.combine(Arbitraries.integers().between(1, 12), Arbitraries.integers().between(1, 12), Arbitraries.longs())
        .as((height, width, seed) -> conditioning.draw(seed, height, Math.min(height, width)));
  }

  /** Every kind of layer, adapters with every option, P of full rank, well and badly conditioned. */
  public static Arbitrary<LayerSample> layers() {
    return layers(Arbitraries.of(Conditioning.WELL, Conditioning.BAD));
  }

  /** The same with a P of this conditioning. */
  public static Arbitrary<LayerSample> layers(Conditioning conditioning) {
    return layers(Arbitraries.just(conditioning));
  }

  /** Sizes up to 16, ranks up to 6; a convolution has at most 6 input channels, for its rows are nine times as long. */
  private static Arbitrary<LayerSample> layers(Arbitrary<Conditioning> conditionings) {
    record Size(int in, int out, int rank, int batch) {}
    record Options(boolean bias, boolean gated, boolean masked, double scale, double strength) {}
    Arbitrary<Size> sizes = Combinators.combine(Arbitraries.integers().between(1, 16), Arbitraries.integers().between(1, 16),
        Arbitraries.integers().between(1, 6), Arbitraries.integers().between(1, 3)).as(Size::new);
    Arbitrary<Boolean> maybe = Arbitraries.of(false, true);
    Arbitrary<Options> options = Combinators.combine(maybe, maybe, maybe, Arbitraries.of(1.0, 0.5, 1.5),
        Arbitraries.of(1.0, 0.6, 0.0, -1.0)).as(Options::new);
    return Combinators.combine(Arbitraries.of(LayerSample.Kind.class), sizes, options, types(), conditionings, Arbitraries.longs())
        .as((kind, size, option, type, conditioning, seed) -> {
          int in = kind == LayerSample.Kind.LINEAR ? size.in : Math.min(size.in, 6);
          return new LayerSample(kind, in, size.out, Math.min(size.rank, size.out), size.batch, option.bias, option.gated,
              option.masked, type, option.scale, option.strength, conditioning, seed);
        });
  }

  /**
   * Configurations of every method, decomposition and option that fit together, which start at random (LoRA as the identity). A
   * sparse P may lose rank, which the methods by QR refuse: they get none.
   */
  public static Arbitrary<AdapterConfig> configs() {
    return Combinators.combine(Arbitraries.of(Method.class), decompositions(), Arbitraries.integers().between(1, 4),
        Arbitraries.of(0.0, 2.0), Arbitraries.of(false, true), Arbitraries.of(0.0, 0.3))
        .as((method, decomposition, rank, alpha, gate, sparsity) -> {
          AdapterConfig config = AdapterConfig.of(method, rank).with(Start.RANDOM).withAlpha(alpha == 0 ? null : alpha);
          boolean sparse = method.projects() && !decomposition.method().startsWith("qr");
          return (method.projects() ? config.with(decomposition) : config)
              .with(new AdapterExtras(Dropout.NONE, gate && method == Method.DEFT, sparse ? sparsity : 0));
        });
  }

  /**
   * A few samples that never change, of all kinds of layers: in float64, without options, well conditioned, more outputs than
   * twice the rank.
   */
  public static List<LayerSample> fixed() {
    LayerSample.Kind[] kinds = LayerSample.Kind.values();
    return IntStream.range(0, 12).mapToObj(i -> new LayerSample(kinds[i % kinds.length], 2 + i % 5, 7 + i % 6, 1 + i % 3, 2,
        false, false, false, DType.F64, 1, 1, Conditioning.WELL, 1000 + i * 100L)).toList();
  }
}
