package org.deft4j.diffusion;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.nn.Losses;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The text encoders against the reference: every hidden state, the pooled vector, gradients. */
class ClipTextGoldenTest {
  private static final double VALUE = 3e-5;
  private static final double GRADIENT = 2e-4;
  private static final String TOKENS = "text_model.embeddings.token_embedding.weight";

  static List<TinyModel> models() {
    return TinyModel.all();
  }

  private static Tensor ids(String part, Map<String, Tensor> golden) {
    return golden.get(part.equals("text_encoder_2") ? "input_ids_2" : "input_ids");
  }

  /** The tensors of one encoder, without its prefix. */
  private static Map<String, Tensor> of(String part, Map<String, Tensor> golden) {
    Map<String, Tensor> own = new LinkedHashMap<>();
    golden.forEach((name, tensor) -> {
      if (name.startsWith(part + ".")) {
        own.put(name.substring(part.length() + 1), tensor);
      }
    });
    return own;
  }

  @ParameterizedTest
  @MethodSource("models")
  void hiddenStatesAndPooledText(TinyModel model) {
    for (String part : model.textEncoders()) {
      try (Scope _ = Scope.open(); ClipTextEncoder encoder = model.textEncoder(part)) {
        Map<String, Tensor> all = model.golden("text_encoders");
        Map<String, Tensor> golden = of(part, all);
        ClipTextEncoder.Output output = encoder.forward(ids(part, all));
        assertEquals(encoder.config().layers() + 1, output.hiddenStates().size());
        int penultimate = encoder.config().layers() - 1;
        assertTrue(golden.containsKey("hidden_states." + penultimate), "what the UNet is given is recorded");
        for (int i = 0; i < output.hiddenStates().size(); i++) {
          if (golden.containsKey("hidden_states." + i)) { // The repository's copy has one of them.
            Fixtures.closeTo(part + " hidden state " + i, output.hiddenStates().get(i), golden.get("hidden_states." + i), VALUE);
          }
        }
        assertEquals(output.hiddenStates().get(penultimate), output.penultimate());
        Fixtures.closeTo(part + " last", output.lastHiddenState(), golden.get("last_hidden_state"), VALUE);
        String pooled = encoder.config().projection() == 0 ? "pooler_output" : "text_embeds";
        Fixtures.closeTo(part + " " + pooled, output.pooled(), golden.get(pooled), VALUE);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("models")
  void gradients(TinyModel model) {
    for (String part : model.textEncoders()) {
      try (Scope _ = Scope.open(); ClipTextEncoder encoder = model.textEncoder(part)) {
        Map<String, Tensor> all = model.golden("text_encoders");
        Map<String, Tensor> golden = TinyModel.gradients(of(part, all));
        try (Tape tape = Tape.watch(encoder.parameters().values().stream().map(Parameter::value).toList())) {
          ClipTextEncoder.Output output = encoder.forward(ids(part, all));
          Tensor loss = Losses.mse(output.lastHiddenState(), golden.get("target_last_hidden_state"));
          if (golden.containsKey("target_text_embeds")) {
            loss = loss.add(Losses.mse(output.pooled(), golden.get("target_text_embeds")));
          }
          Fixtures.relativelyCloseTo(part + " loss", loss, golden.get("loss"), 2e-6);
          compare(encoder, tape.gradients(loss), golden);
        }
      }
    }
  }

  private static void compare(ClipTextEncoder encoder, Gradients gradients, Map<String, Tensor> golden) {
    int compared = 0;
    for (Map.Entry<String, Parameter> parameter : encoder.parameters().entrySet()) {
      String name = parameter.getKey();
      if (golden.containsKey(name)) {
        Tensor gradient = gradients.of(parameter.getValue().value());
        Tensor rows = name.equals(TOKENS) ? gradient.indexSelect(0, golden.get("token_embedding.rows")) : gradient;
        Fixtures.relativelyCloseTo(name, rows, golden.get(name), GRADIENT);
        compared++;
      }
    }
    assertTrue(compared > 3);
  }

  /** Any id but 2 in the configuration means its first position; 2 stands for the largest id. */
  @Test
  void theEndTokenIsFoundAsTheConfigurationSays() {
    Tensor[] pooled = new Tensor[2];
    try (Scope _ = Scope.open()) {
      Tensor ids = Tensor.of(new long[] {9, 1, 7, 3, 7, 5}, 1, 6);
      for (int endToken : new int[] {2, 7, 8}) {
        ClipTextEncoder encoder = new ClipTextEncoder(new ClipTextConfig(10, 4, 8, 1, 2, 6, 1e-5, "gelu", endToken, 0));
        encoder.parameters().forEach((name, parameter) -> parameter.set(name.contains("embedding")
            ? Tensor.of(sequence(parameter.shape().elementCount()), parameter.shape().toArray()).sin()
            : Tensor.full(DType.F32, 0.25, parameter.shape().toArray())));
        ClipTextEncoder.Output output = encoder.forward(ids);
        int position = endToken == 7 ? 2 : 0;
        assertArrayEquals(output.lastHiddenState().select(1, position).toFloats(), output.pooled().toFloats());
        pooled[endToken == 7 ? 1 : 0] = output.pooled();
        encoder.close();
      }
      assertTrue(Fixtures.relativeError(pooled[0], pooled[1]) > 1e-3);
    }
  }

  private static float[] sequence(long count) {
    float[] values = new float[(int) count];
    for (int i = 0; i < values.length; i++) {
      values[i] = i;
    }
    return values;
  }

  @Test
  void moreTokensThanPositionsAreRefused() {
    ClipTextEncoder encoder = new ClipTextEncoder(new ClipTextConfig(10, 4, 8, 1, 2, 6, 1e-5, "gelu", 2, 0));
    try (Scope _ = Scope.open()) {
      Tensor ids = Tensor.of(new long[7], 1, 7);
      assertTrue(assertThrows(IllegalArgumentException.class, () -> encoder.forward(ids)).getMessage()
          .contains("7 tokens, the model has 6 positions"));
    }
  }
}
