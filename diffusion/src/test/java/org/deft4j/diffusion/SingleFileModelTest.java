package org.deft4j.diffusion;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SingleFile;
import org.deft4j.weights.WeightSource;
import org.deft4j.weights.testing.SingleFiles;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

/** Models loaded from a one-file checkpoint give the bits of those loaded from the folder with weights in float16. */
class SingleFileModelTest {
  @TempDir private Path temporary;

  static List<TinyModel> models() {
    return TinyModel.all();
  }

  @ParameterizedTest
  @MethodSource("models")
  void sameOutputsAsTheFolder(TinyModel model) {
    Path checkpoint = SingleFiles.of(model.folder(), temporary);
    try (Scope _ = Scope.open(); SingleFile file = SingleFile.open(checkpoint, model.folder())) {
      Map<String, Tensor> call = model.golden("unet_t0");
      Tensor pooled = call.get("text_embeds");
      same(file, "unet", new UNet2DConditionModel(UNetConfig.from(file.config("unet"))), model.unet(DType.F16),
          unet -> unet.forward(call.get("sample"), call.get("timestep"), call.get("encoder_hidden_states"),
              pooled == null ? null : new UNet2DConditionModel.Added(pooled, call.get("time_ids"))));
      Map<String, Tensor> pictures = model.golden("vae");
      same(file, "vae", new AutoencoderKL(VaeConfig.from(file.config("vae"))), model.vae(DType.F16),
          vae -> vae.decode(vae.encode(pictures.get("image")).mode()));
      Map<String, Tensor> texts = model.golden("text_encoders");
      for (String part : model.textEncoders()) {
        Tensor ids = texts.get(part.equals("text_encoder") ? "input_ids" : "input_ids_2");
        same(file, part, new ClipTextEncoder(ClipTextConfig.from(file.config(part))), model.textEncoder(part, DType.F16),
            encoder -> encoder.forward(ids).pooled());
      }
    }
  }

  private static <M extends Module> void same(SingleFile file, String part, M empty, M fromFolder,
      Function<M, Tensor> run) {
    try (WeightSource source = file.weights(part); M single = TinyModel.load(part, source, empty); M folder = fromFolder) {
      assertArrayEquals(run.apply(folder).toFloats(), run.apply(single).toFloats(), part);
    }
  }
}
