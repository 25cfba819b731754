package org.deft4j.deft.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code deft records}: the commands that make training records of OmniGen, and check them. */
@Command(name = "records", sortOptions = false, usageHelpWidth = 110,
    description = "Makes records that OmniGen models are trained on, and checks them.",
    subcommands = {InContextCommand.class, ConditionCommand.class, CameraCommand.class, RecordsCheckCommand.class},
    footer = {"", "Example: deft records in-context --pictures photos --from canny --to target --seed 0 --out data/canny",
        "         deft train --model models/omnigen --data data/canny/records.jsonl --out runs/canny"})
final class RecordsCommand {
  @Option(names = {"-h", "--help"}, usageHelp = true, description = "Print this help.")
  boolean help;
}
