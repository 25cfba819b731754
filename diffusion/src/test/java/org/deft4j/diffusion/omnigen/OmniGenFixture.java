package org.deft4j.diffusion.omnigen;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;

/** A folder of OmniGen's golden data, and the cases of its processor: prompts and pictures of every row, branches made out. */
record OmniGenFixture(Path folder, JsonObject config, JsonObject cases, OmniGenProcessor processor) {
  private static final int INFERENCE_PADDING = 2;
  private static final int MAX_INPUT = 1024;

  static List<OmniGenFixture> all() {
    return Fixtures.folders("omnigen").stream().map(folder -> new OmniGenFixture(folder,
        Json.read(folder.resolve("config.json")), Json.read(folder.resolve("cases.json")).requireObject("cases"),
        new OmniGenProcessor(LlamaTokenizer.load(folder)))).toList();
  }

  /** Prompt and names of the pictures. */
  record Row(String prompt, List<String> pictures) {}

  /** What went through the processor under one name, with the row's own output sizes in tokens. */
  record Case(String name, List<Row> rows, long[] outputs, int padding, JsonObject expected) {}

  List<Case> processed() {
    List<Case> result = new ArrayList<>();
    for (String name : cases.keys()) {
      if (cases.isObject(name) && cases.requireObject(name).has("out_px") && cases.requireObject(name).has("padded_length")) {
        JsonObject entry = cases.requireObject(name);
        List<Row> rows = rows(name, entry);
        int padding = entry.has("keep_raw_resolution") ? config.requireInteger("pad_token_id") : INFERENCE_PADDING;
        result.add(new Case(name, rows, outputs(entry, rows.size()), padding, entry));
      }
    }
    return result;
  }

  /** The sizes of a row's pictures after {@link InputPictures#fit}. */
  List<PixelSize> sizes(Row row) {
    return row.pictures().stream().map(name -> PixelSize.of(InputPictures.fit(
        Pictures.read(folder.resolve("images").resolve(name + ".png")), MAX_INPUT))).toList();
  }

  OmniGenTokens tokens(Row row) {
    return processor.encode(row.prompt(), sizes(row));
  }

  OmniGenInput input(Case entry) {
    return OmniGenInput.of(entry.rows().stream().map(this::tokens).toList(), entry.padding());
  }

  /** Those of a branch come from the case of all branches together. */
  private List<Row> rows(String name, JsonObject entry) {
    if (entry.has("branches")) {
      return entry.requireStrings("branches").stream().flatMap(branch -> branch(entry, branch)).toList();
    }
    if (entry.has("prompts")) {
      return branch(entry, "cond").toList();
    }
    int dot = name.lastIndexOf('.');
    return branch(cases.requireObject(name.substring(0, dot) + ".combined"), name.substring(dot + 1)).toList();
  }

  private static Stream<Row> branch(JsonObject entry, String branch) {
    List<String> prompts = entry.requireStrings("prompts");
    return IntStream.range(0, prompts.size()).mapToObj(i -> {
      List<String> pictures = strings((List<?>) entry.requireList("images").get(i));
      return switch (branch) {
        case "cond" -> new Row(prompts.get(i), pictures);
        case "img" -> pictures.isEmpty() ? new Row(OmniGenProcessor.NEGATIVE_PROMPT, pictures)
            : new Row(OmniGenProcessor.imageOnlyPrompt(pictures.size()), pictures);
        case "uncond" -> new Row(OmniGenProcessor.NEGATIVE_PROMPT, List.of());
        default -> throw new AssertionError(entry.source() + ": branch " + branch);
      };
    });
  }

  static List<String> strings(List<?> list) {
    return list.stream().map(String.class::cast).toList();
  }

  /** {@code [H, W]} for all rows, or one for each. */
  private static long[] outputs(JsonObject entry, int rows) {
    List<?> sizes = entry.requireList("out_px");
    return IntStream.range(0, rows).mapToLong(i -> {
      List<?> size = sizes.getFirst() instanceof List ? (List<?>) sizes.get(i) : sizes;
      return new PixelSize(((Long) size.get(1)).intValue(), ((Long) size.get(0)).intValue()).tokens("output");
    }).toArray();
  }

  /** The recorded spans: row to [start, end) in the padded row. */
  static Map<Integer, List<List<Long>>> spans(JsonObject recorded) {
    Map<Integer, List<List<Long>>> result = new HashMap<>();
    for (String row : recorded.keys()) {
      result.put(Integer.valueOf(row), pairs(recorded.requireList(row)));
    }
    return result;
  }

  static List<List<Long>> pairs(List<?> list) {
    return list.stream().map(pair -> ((List<?>) pair).stream().map(Long.class::cast).toList()).toList();
  }

  static List<List<Long>> pairsOf(List<ImageSpan> spans) {
    return spans.stream().map(span -> List.of((long) span.start(), (long) span.end())).toList();
  }
}
