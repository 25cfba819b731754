package org.deft4j.deft;

import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Provide;
import org.deft4j.deft.testing.AdapterArbitraries;
import org.deft4j.deft.testing.Conditioning;
import org.deft4j.deft.testing.LayerSample;
import org.deft4j.tensor.DType;

/** Properties over layers of every kind and type, and adapters of every method on them. */
abstract class OnAnyLayer {
  @Provide
  Arbitrary<DType> types() {
    return Arbitraries.of(DType.F64, DType.F32, DType.BF16, DType.F16);
  }

  @Provide
  Arbitrary<LayerSample> layers() {
    return AdapterArbitraries.layers(Conditioning.WELL);
  }

  @Provide
  Arbitrary<AdapterConfig> configs() {
    return AdapterArbitraries.configs().map(config -> config.with(Targets.suffixes(List.of("layer"))));
  }
}
