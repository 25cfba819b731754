package org.deft4j.deft.cli;

import java.util.List;
import org.deft4j.deft.Decomposition;
import org.deft4j.deft.ReadOptions;
import picocli.CommandLine.Option;

/** The options of every command that reads adapters. */
final class AdapterOptions {
  @Option(names = "--adapter", paramLabel = "PATH[:STRENGTH]",
      description = "An adapter's folder or file (PEFT, diffusers, kohya, the DEFT authors'), and how strongly it acts "
          + "(1 as trained); may be given several times.")
  List<String> adapters = List.of();

  @Option(names = "--compose", paramLabel = "HOW",
      description = "Several adapters: sum (default): each changes the model's own weights, and the changes are added; sequence: "
          + "each changes what those before it left.")
  String compose = "sum";

  @Option(names = "--allow-partial", description = "Leave out tensors of an adapter whose names belong to no layer, instead of refusing it.")
  boolean partial;

  @Option(names = "--authors-none", paramLabel = "NAME",
      description = "What the DEFT authors' decomposition 'None' is: relu (default), relaxed or relu-relu; their files do not say.")
  String unnamed = "relu";

  /** Adds a sentence for each mistake. */
  void check(List<String> problems) {
    adapters.forEach(adapter -> AdapterArgument.parse(adapter).check(problems));
    if (!AdapterArguments.COMPOSITIONS.contains(compose)) {
      problems.add("--compose: '" + compose + "' is unknown; there are " + String.join(", ", AdapterArguments.COMPOSITIONS));
    }
    if (!List.of("relu", "relaxed", "relu-relu").contains(unnamed)) {
      problems.add("--authors-none: '" + unnamed + "' is unknown; there are relu, relaxed, relu-relu");
    }
  }

  /** Adds a sentence for each that was given though there is no adapter. */
  void requireNone(List<String> problems) {
    if (partial || !compose.equals("sum") || !unnamed.equals("relu")) {
      problems.add("--allow-partial, --compose and --authors-none say how an --adapter is read; there is none");
    }
  }

  /** What was given. */
  AdapterArguments arguments() {
    return new AdapterArguments(adapters.stream().map(AdapterArgument::parse).toList(), compose.equals("sequence"),
        new ReadOptions(partial, Decomposition.named(unnamed)));
  }
}
