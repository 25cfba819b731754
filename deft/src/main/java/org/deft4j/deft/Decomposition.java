package org.deft4j.deft;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/**
 * Turns the trainable P [out, r] into the thin factors of the part of a weight that is removed and of the basis that
 * takes its place. Written with tensor operations, so that gradients reach P by themselves. A variant is one small class;
 * its {@link #method} is the name it goes by in {@code adapter_config.json} and on the command line.
 */
public interface Decomposition {
  /** The name: {@code decomposition_method} of {@code adapter_config.json}. */
  String method();

  /**
   * The factors for {@code p} [out, {@link #columns columns(r)}], r at most out.
   *
   * @param layer the name of the adapted layer, for errors
   */
  Factors factors(Tensor p, String layer);

  /** {@link #factors} of each P, by the name of its layer: the same bits, though P of one shape may go through one operation. */
  default Map<String, Factors> factors(Map<String, Tensor> ps) {
    Map<String, Factors> factors = new LinkedHashMap<>();
    ps.forEach((layer, p) -> factors.put(layer, factors(p, layer)));
    return factors;
  }

  /** The width of P at rank r: r, unless P holds more than one matrix. */
  default long columns(long rank) {
    return rank;
  }

  /** Whether P learns; where it does not, only R does. */
  default boolean trainsProjection() {
    return true;
  }

  /**
   * What P [out, {@link #columns columns(rank)}] starts as: {@code N(0, 0.02^2)}, as in DEFT's official code and PEFT, unless
   * that would remove many times a
   * weight, or next to nothing, instead of a part of it.
   */
  default Tensor start(RandomSource random, DType type, long out, long rank) {
    return random.normal(type, out, columns(rank)).mul(0.02);
  }

  /** What P starts as in PaRa's official code, whatever becomes of the weight: {@code U(-1/sqrt(r), 1/sqrt(r))}. */
  default Tensor officialStart(RandomSource random, DType type, long out, long rank) {
    return AdapterStart.uniform(random, type, out, columns(rank), rank);
  }

  /** Which singular vectors of P take part in what is removed. */
  default Truncation truncation() {
    return Truncation.NONE;
  }

  /**
   * The same with fewer singular vectors.
   *
   * @throws InputException where there are none
   */
  default Decomposition truncated(Truncation truncation) {
    if (truncation.equals(truncation())) {
      return this;
    }
    throw new InputException("decomposition " + method()
        + " has no singular values, so none can be left out; svd, tsvd, lrmf and eigen have");
  }

  /** Those that come with the project. */
  static List<Decomposition> known() {
    return List.of(new RelaxedDecomposition(), new ReluDecomposition(), new RectifiedDecomposition(), new QrDecomposition(),
        new FrozenQrDecomposition(), new SvdDecomposition(Truncation.NONE), new TsvdDecomposition(Truncation.NONE),
        new LrmfDecomposition(Truncation.NONE), new EigenDecomposition(Truncation.NONE), new NmfDecomposition(true),
        new NmfDecomposition(false), new InjectedThroughP(new QrDecomposition()),
        new InjectedThroughP(new SvdDecomposition(Truncation.NONE)));
  }

  /**
   * The one called {@code method}: of the project, or a service of this interface ({@link ServiceLoader}).
   *
   * @throws InputException naming those there are
   */
  static Decomposition named(String method) {
    List<Decomposition> all = new ArrayList<>(known());
    ServiceLoader.load(Decomposition.class).forEach(all::add);
    for (Decomposition candidate : all) {
      if (candidate.method().equals(method)) {
        return candidate;
      }
    }
    List<String> names = all.stream().map(Decomposition::method).toList();
    throw new InputException("decomposition '" + method + "' is unknown" + Nearest.hint(method, names) + "; there are "
        + String.join(", ", names));
  }
}
