package org.deft4j.deft.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.deft4j.deft.InputException;
import org.deft4j.deft.OmniGenTrainingSet;
import org.deft4j.deft.data.RecordSet;
import org.deft4j.deft.data.RecordSource;
import org.deft4j.deft.data.TrainingRecord;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.diffusion.omnigen.OmniGen;
import org.deft4j.diffusion.omnigen.OmniGenProcessor;
import org.deft4j.weights.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code deft records check}. */
@Command(name = "check", sortOptions = false, usageHelpWidth = 110,
    description = {"Checks files of records: says how many records, pictures and tasks there are, or all that is wrong, with its line.",
        "With a model every picture is decoded and every token counted, as before a training."},
    footer = {"", "Example: deft records check data/canny/records.jsonl --model models/omnigen"})
final class RecordsCheckCommand extends Subcommand {
  @Parameters(paramLabel = "FILE", arity = "0..*", description = "Records, one line of JSON each.")
  List<Path> files = List.of();

  @Option(names = "--image-root", paramLabel = "FOLDER",
      description = "Where the paths of pictures begin; default: the folder of each file.")
  Path imageRoot;

  @Option(names = "--model", paramLabel = "PATH", description = "An OmniGen model, whose tokens are counted.")
  String model;

  @Option(names = "--size", paramLabel = "PIXELS",
      description = "With --model: pictures are brought to this on their larger side at most; default: the model's.")
  Integer size;

  @Option(names = "--max-tokens", paramLabel = "N",
      description = "With --model: refuse instructions of more tokens, input pictures included; default: 131072, the model's positions.")
  Integer maxTokens;

  @Override
  void check(List<String> problems) {
    if (files.isEmpty()) {
      problems.add("FILE is missing: one file of records or more");
    }
    files.stream().filter(file -> !Files.isRegularFile(file)).forEach(file -> problems.add(file
        + (Files.exists(file) ? " is not a file" : " does not exist")));
    if (imageRoot != null) {
      Checks.folder(problems, "--image-root", imageRoot, "");
    }
    if (model == null && (size != null || maxTokens != null)) {
      problems.add((size != null ? "--size" : "--max-tokens") + " is for a model: give --model");
    }
    if (model != null) {
      Checks.model(problems, model);
    }
    if (size != null) {
      Checks.size(problems, "--size", size);
    }
    if (maxTokens != null) {
      Checks.atLeast(problems, "--max-tokens", maxTokens, 1);
    }
  }

  @Override
  int run(Console console) {
    RecordSet set = RecordSet.read(files.stream().map(file -> new RecordSource.Lines(file, imageRoot)).toList());
    Map<String, Object> document = described(set);
    if (model != null) {
      document.putAll(counted(set.records()));
    }
    console.document(Json.format(document));
    document.forEach((key, value) -> console.result(String.format(Locale.ROOT, "%-15s %s", key.replace('_', ' '), plain(value))));
    return ExitStatus.OK;
  }

  private static Map<String, Object> described(RecordSet set) {
    List<TrainingRecord> records = set.records();
    Map<String, Integer> tasks = new TreeMap<>();
    records.forEach(record -> tasks.merge(record.taskType(), 1, Integer::sum));
    Map<String, Object> document = new LinkedHashMap<>();
    document.put("files", set.parts().size());
    document.put("records", records.size());
    document.put("pictures", records.stream().flatMap(record -> Stream.concat(record.inputImages().stream(),
        Stream.of(record.outputImage()))).map(Path::normalize).distinct().count());
    document.put("tasks", tasks);
    return document;
  }

  /** What the model makes of the records. */
  private Map<String, Object> counted(List<TrainingRecord> records) {
    try (DiffusionModel opened = DiffusionModel.open(model, null)) {
      OmniGen omniGen = switch (opened) {
        case OmniGen known -> known;
        case StableDiffusion _ -> throw new InputException("--model: " + model + " is a Stable Diffusion model; records are for OmniGen");
      };
      OmniGenTrainingSet.Plan plan = OmniGenTrainingSet.plan(omniGen, records, new OmniGenTrainingSet.Options(
          size == null ? omniGen.defaultSize() : size, false, false, maxTokens == null ? OmniGenProcessor.DEFAULT_LIMIT : maxTokens));
      List<Integer> lengths = plan.lengths();
      Map<String, Object> tokens = new LinkedHashMap<>();
      tokens.put("shortest", Collections.min(lengths));
      tokens.put("longest", plan.longest());
      tokens.put("longest_at", records.get(lengths.indexOf(plan.longest())).place().toString());
      tokens.put("all", lengths.stream().mapToLong(Integer::longValue).sum());
      Map<String, Object> counts = new LinkedHashMap<>();
      counts.put("tokens", tokens);
      counts.put("output_sizes", plan.outputs());
      return counts;
    }
  }

  private static String plain(Object value) {
    return value instanceof Map<?, ?> map ? map.entrySet().stream().map(entry -> name(entry.getKey()) + ": " + entry.getValue())
        .collect(Collectors.joining(", ")) : String.valueOf(value);
  }

  private static String name(Object key) {
    return "".equals(key) ? "no name" : key.toString().replace('_', ' ');
  }
}
