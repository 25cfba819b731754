package org.deft4j.deft.cli;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Nearest;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.UnmatchedArgumentException;

/** The program {@code deft}. */
@Command(name = "deft", sortOptions = false, usageHelpWidth = 110,
    description = "Adapts diffusion models (SD 1.5, SDXL) with DEFT, PaRa or LoRA, and makes pictures with them.",
    subcommands = {DemoCommand.class, TrainCommand.class, GenerateCommand.class, MergeCommand.class, ConvertCommand.class,
        InspectCommand.class, RecordsCommand.class, BenchCommand.class},
    footer = {"", "Example: deft demo", "Exit status: 0 done, 1 failed while running, 2 a mistake in what was given,",
        "3 not enough memory, 130 interrupted after saving."})
public final class Main {
  /** The library logs which kernels it chose; that is for developers. Held, or the level would be forgotten. */
  private static final Logger LOGGER = Logger.getLogger("org.deft4j");

  @Option(names = {"-h", "--help"}, usageHelp = true, description = "Print this help.")
  boolean help;

  private Main() {}

  /** Runs the command and ends the process with its exit status. */
  public static void main(String[] args) throws Throwable {
    StandardError.restore();
    LOGGER.setLevel(Level.WARNING);
    System.exit(run(args));
  }

  /** Runs the command; returns its exit status. */
  static int run(String... args) {
    CommandLine line = new CommandLine(new Main());
    line.setCaseInsensitiveEnumValuesAllowed(true);
    try {
      prepare(line, args);
      ParseResult parsed = line.parseArgs(args);
      if (CommandLine.printHelpIfRequested(parsed)) {
        return ExitStatus.OK;
      }
      return run(parsed);
    } catch (Throwable error) {
      return fail(error, System.err);
    }
  }

  private static void prepare(CommandLine line, String[] args) {
    collectErrors(line);
    if (args.length > 0 && args[0].equals("train")) {
      CommandLine train = line.getSubcommands().get("train");
      train.setDefaultValueProvider(ConfigFile.given(args, train.getCommandSpec()));
    }
  }

  private static void collectErrors(CommandLine line) {
    line.getCommandSpec().parser().collectErrors(true);
    line.getSubcommands().values().forEach(Main::collectErrors);
  }

  private static int run(ParseResult parsed) throws Exception {
    List<ParseResult> levels = new ArrayList<>(List.of(parsed));
    while (levels.getLast().hasSubcommand()) {
      levels.add(levels.getLast().subcommand());
    }
    List<String> problems = new ArrayList<>();
    levels.forEach(level -> problems.addAll(problems(level)));
    if (!(levels.getLast().commandSpec().userObject() instanceof Subcommand command)) {
      if (problems.isEmpty()) {
        levels.getLast().commandSpec().commandLine().usage(System.err);
        return ExitStatus.MISTAKE;
      }
      throw new InputException(problems);
    }
    command.requireNoProblems(problems);
    return command.call();
  }

  private static List<String> problems(ParseResult parsed) {
    List<String> problems = new ArrayList<>();
    boolean afterUnknownOption = false;
    for (Exception error : parsed.errors()) {
      if (error instanceof UnmatchedArgumentException unmatched) {
        for (String argument : unmatched.getUnmatched()) {
          if (!afterUnknownOption || argument.startsWith("-")) {
            problems.add(unknown(parsed, argument));
          }
          afterUnknownOption = argument.startsWith("-") && !argument.contains("=");
        }
      } else {
        problems.add(error.getMessage());
      }
    }
    return problems;
  }

  private static String unknown(ParseResult parsed, String argument) {
    String command = parsed.commandSpec().qualifiedName();
    if (argument.startsWith("-")) {
      String name = argument.replaceFirst("=.*", "");
      return "unknown option " + name + Nearest.hint(name, parsed.commandSpec().optionsMap().keySet()) + " See " + command
          + " --help.";
    }
    return "unknown " + (parsed.commandSpec().subcommands().isEmpty() ? "argument" : "command") + " '" + argument + "'"
        + Nearest.hint(argument, parsed.commandSpec().subcommands().keySet()) + " See " + command + " --help.";
  }

  /** Tells what is wrong, one line each; the whole story where it is a defect of ours. */
  static int fail(Throwable error, PrintStream err) {
    int status = ExitStatus.of(error);
    for (String sentence : ExitStatus.sentences(error)) {
      err.println("deft: " + sentence);
    }
    if (!ExitStatus.isExplained(error)) {
      error.printStackTrace(err);
    }
    return status;
  }
}
