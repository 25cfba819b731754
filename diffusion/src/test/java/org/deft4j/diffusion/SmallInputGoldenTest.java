package org.deft4j.diffusion;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.nn.GroupNorm;
import org.deft4j.nn.LayerNorm;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertTrue;

/** Single parts on inputs of the size of 1e-3, where a wrong epsilon of a norm shows. */
class SmallInputGoldenTest {
  private static final double VALUE = 3e-5;

  static List<TinyModel> models() {
    return TinyModel.all();
  }

  @ParameterizedTest
  @MethodSource("models")
  void parts(TinyModel model) {
    Map<String, Module> roots = new LinkedHashMap<>();
    roots.put("unet", model.unet());
    roots.put("vae", model.vae());
    model.textEncoders().forEach(part -> roots.put(part, model.textEncoder(part)));
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> golden = model.golden("modules_small_input");
      int compared = 0;
      for (String key : golden.keySet()) {
        if (key.endsWith("/out")) {
          String path = key.substring(0, key.length() - "/out".length());
          String root = path.substring(0, path.indexOf('.'));
          Module module = roots.get(root).modules().get(path.substring(root.length() + 1));
          Tensor output = run(path, module, golden.get(path + "/in"), golden.get(path + "/temb"),
              golden.get(path + "/encoder_hidden_states"));
          Fixtures.closeTo(path, output, golden.get(key), VALUE);
          compared++;
        }
      }
      assertTrue(compared > 5);
    } finally {
      roots.values().forEach(Module::close);
    }
  }

  private static Tensor run(String path, Module module, Tensor in, Tensor temb, Tensor context) {
    return switch (module) {
      case GroupNorm norm -> norm.forward(in);
      case LayerNorm norm -> norm.forward(in);
      case ResnetBlock2D resnet -> resnet.forward(in, temb);
      case Transformer2DModel transformer -> transformer.forward(in, context);
      case BasicTransformerBlock block -> block.forward(in, context);
      case VaeAttention attention -> attention.forward(in);
      default -> throw new AssertionError("no way to run " + path + ", a " + module.getClass().getSimpleName());
    };
  }
}
