package org.deft4j.diffusion.omnigen;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Prompts, spans, ids, positions and masks against those of OmniGen's own processor and collators. */
class OmniGenProcessorFixtureTest {
  @TestFactory
  Stream<DynamicTest> prompts() {
    return OmniGenFixture.all().stream().flatMap(fixture -> {
      List<JsonObject> prompts = fixture.cases().requireObjects("prompts");
      assertFalse(prompts.isEmpty());
      return prompts.stream().map(entry -> DynamicTest.dynamicTest(entry.requireString("prompt"), () -> {
        OmniGenFixture.Row row = new OmniGenFixture.Row(entry.requireString("prompt"), entry.requireStrings("images"));
        OmniGenTokens tokens = fixture.tokens(row);
        checkUnpadded(entry, tokens);
        assertEquals(tokens, fixture.processor().encodeRaw(entry.requireString("wrapped"), fixture.sizes(row)));
      }));
    });
  }

  private static void checkUnpadded(JsonObject expected, OmniGenTokens tokens) {
    assertEquals(expected.requireInts("input_ids"), tokens.ids());
    assertEquals(OmniGenFixture.pairs(expected.list("image_spans")), OmniGenFixture.pairsOf(tokens.images()));
  }

  @TestFactory
  Stream<DynamicTest> batches() {
    return OmniGenFixture.all().stream().flatMap(fixture -> {
      List<OmniGenFixture.Case> cases = fixture.processed();
      assertFalse(cases.isEmpty());
      return cases.stream().map(entry -> DynamicTest.dynamicTest(fixture.folder().getFileName() + " " + entry.name(),
          () -> check(fixture, entry)));
    });
  }

  private static void check(OmniGenFixture fixture, OmniGenFixture.Case entry) {
    OmniGenInput input = fixture.input(entry);
    if (entry.expected().has("unpadded")) {
      List<JsonObject> unpadded = entry.expected().requireObjects("unpadded");
      assertEquals(entry.rows().size(), unpadded.size());
      for (int i = 0; i < unpadded.size(); i++) {
        checkUnpadded(unpadded.get(i), fixture.tokens(entry.rows().get(i)));
      }
    }
    assertEquals(entry.expected().requireInteger("padded_length"), input.length());
    Map<Integer, List<List<Long>>> spans = new HashMap<>();
    for (int i = 0; i < input.rows(); i++) {
      if (!input.images().get(i).isEmpty()) {
        spans.put(i, OmniGenFixture.pairsOf(input.images().get(i)));
      }
    }
    assertEquals(OmniGenFixture.spans(entry.expected().requireObject("image_spans")), spans);
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> golden = Fixtures.golden(fixture.folder().resolve("processor.safetensors"));
      Tensor ids = golden.get(entry.name() + ".input_ids");
      Fixtures.equal("ids", input.ids(), ids);
      Tensor positions = golden.get(entry.name() + ".position_ids");
      Fixtures.equal("positions", input.positions(positions.size(1) - input.length() - 1), positions);
      Tensor mask = golden.get(entry.name() + ".attention_mask");
      Tensor actual = input.mask(entry.outputs());
      assertEquals(DType.BOOL, actual.dtype());
      assertEquals(positions.size(1), actual.size(2));
      if (mask != null) { // Some are left out of the golden data for their size.
        Fixtures.equal("mask", actual, mask);
      }
    }
  }

  @Test
  void everyGoldenTensorIsCompared() {
    for (OmniGenFixture fixture : OmniGenFixture.all()) {
      Set<String> compared = fixture.processed().stream().flatMap(entry -> Stream.of("input_ids", "position_ids", "attention_mask")
          .map(what -> entry.name() + "." + what)).collect(Collectors.toSet());
      try (SafetensorsFile file = SafetensorsFile.open(Fixtures.unpacked(fixture.folder().resolve("processor.safetensors")))) {
        assertTrue(compared.containsAll(file.names()), file.names().toString());
        assertTrue(file.names().stream().anyMatch(name -> name.endsWith(".attention_mask")));
      }
    }
  }

  @TestFactory
  Stream<DynamicTest> pictures() {
    return OmniGenFixture.all().stream().flatMap(fixture -> {
      List<JsonObject> cases = fixture.cases().requireObjects("preprocess");
      assertFalse(cases.isEmpty());
      return cases.stream().map(entry -> DynamicTest.dynamicTest("preprocess " + entry.requireInteger("index"),
          () -> GoldenPictures.check(fixture, entry)));
    });
  }

  @TestFactory
  Stream<DynamicTest> pixels() {
    return OmniGenFixture.all().stream().flatMap(fixture -> {
      JsonObject sizes = fixture.cases().requireObject("image_pixels");
      assertFalse(sizes.keys().isEmpty());
      return sizes.keys().stream().map(name -> DynamicTest.dynamicTest("pixels of " + name,
          () -> GoldenPictures.checkPixels(fixture, name, Pictures.read(fixture.folder().resolve("images/" + name + ".png")))));
    });
  }
}
