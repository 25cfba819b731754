package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Nearest;
import org.deft4j.deft.OutputFolder;
import org.deft4j.deft.data.InContextBuilder;
import org.deft4j.deft.data.InContextTask;
import org.deft4j.deft.data.RecordFile;
import org.deft4j.deft.data.RolePictures;
import org.deft4j.deft.data.TrainingRecord;
import org.deft4j.diffusion.omnigen.ImageTags;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.weights.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code deft records in-context}. */
@Command(name = "in-context", sortOptions = false, usageHelpWidth = 110,
    description = {"Makes records of a task from pictures of some roles to one of another, with examples of it among the input pictures:"
        + " a folder with records.jsonl, and in it a folder for each role that is computed.",
        "Pictures of one sample have the same name, as in canny/dog.png and target/dog.jpg, or end in their role, as in"
            + " canny/dog_canny.png. A caption beside a picture of --to (dog.txt) goes into the instruction."},
    footer = {"", "Example: deft records in-context --pictures photos --from canny --to target --seed 0 --out data/canny",
        "         deft records in-context --roles data/roles --from depth,style --to target --count 4 --out data/styled"})
final class InContextCommand extends Subcommand {
  /** The file of the records. */
  static final String RECORDS = "records.jsonl";

  @Option(names = "--roles", paramLabel = "FOLDER", description = "Pictures by role: a folder for each.")
  Path roles;

  @Option(names = "--pictures", paramLabel = "FOLDER",
      description = "In place of --roles: pictures of one role, --of; the other roles are computed.")
  Path pictures;

  @Option(names = "--compute", split = ",", paramLabel = "NAME",
      description = "Roles to compute: ${COMPLETION-CANDIDATES}. Default: with --pictures what the task needs, else none.",
      completionCandidates = ConditionNames.class)
  List<String> compute;

  @Option(names = "--of", paramLabel = "ROLE",
      description = "The role whose pictures are computed from; default: --to, or where that is computed, the first of --from that is not.")
  String of;

  @Option(names = "--from", split = ",", paramLabel = "ROLE", description = "The roles that are given, in order.")
  List<String> from = List.of();

  @Option(names = "--to", paramLabel = "ROLE", description = "The role that is to come out.")
  String to;

  @Option(names = "--describe", paramLabel = "ROLE=TEXT",
      description = "What a picture of the role is, in place of the usual words; may be given several times.")
  Map<String, String> descriptions = new LinkedHashMap<>();

  @Option(names = "--task-type", paramLabel = "TEXT", description = "The task's name in the records; default: --from.")
  String taskType;

  @Option(names = "--count", paramLabel = "N", description = "Records for each sample; default ${DEFAULT-VALUE}.")
  int count = 1;

  @Option(names = "--examples", paramLabel = "N",
      description = "Examples in each record, fewer where there are not so many samples; default: drawn for each, 0 to 2.")
  Integer examples;

  @Option(names = "--seed", paramLabel = "N", description = "Where random numbers start; default: drawn, and printed.")
  Long seed;

  @Option(names = "--out", paramLabel = "FOLDER", description = "Where the records and the computed pictures go, a new or empty one.")
  Path out;

  // -------------------------------------------------------------------------------------------- what the options amount to

  /** The roles of the task that were given. */
  private List<String> taskRoles() {
    return Stream.concat(from.stream(), Stream.ofNullable(to)).toList();
  }

  /** The role that is computed from; null where every role of the task is computed. */
  private String source() {
    List<String> computable = compute != null ? compute : pictures != null ? ConditionNames.NAMES : List.of();
    return of != null ? of : Stream.concat(Stream.ofNullable(to), from.stream()).filter(role -> !computable.contains(role))
        .findFirst().orElse(null);
  }

  private List<String> computed() {
    return compute != null ? compute : pictures == null ? List.of()
        : taskRoles().stream().filter(role -> !role.equals(source())).distinct().toList();
  }

  // ------------------------------------------------------------------------------------------------------------- checks

  @Override
  void check(List<String> problems) {
    if ((roles == null) == (pictures == null)) {
      problems.add("--roles, a folder of roles, or --pictures, a folder of pictures, is needed, and not both");
    } else {
      Checks.folder(problems, roles == null ? "--pictures" : "--roles", roles == null ? pictures : roles, "");
    }
    checkTask(problems);
    checkComputed(problems);
    Checks.atLeast(problems, "--count", count, 1);
    if (examples != null) {
      Checks.atLeast(problems, "--examples", examples, 0);
    }
    Checks.newFolder(problems, out, "the folder that the records go to");
  }

  private void checkTask(List<String> problems) {
    if (from.isEmpty()) {
      problems.add("--from is missing: the roles that are given");
    }
    if (to == null) {
      problems.add("--to is missing: the role that is to come out");
    }
    if (taskRoles().stream().distinct().count() < taskRoles().size()) {
      problems.add("--from " + String.join(",", from) + " --to " + to + ": each role once is needed");
    }
    descriptions.forEach((role, text) -> {
      if (!ImageTags.numbers(text).isEmpty()) {
        problems.add("--describe: the words for role '" + role + "' have a tag of an input picture in them");
      }
    });
    descriptions.keySet().stream().filter(role -> !taskRoles().contains(role)).forEach(role -> problems.add("--describe: role '" + role
        + "' is neither in --from nor --to" + Nearest.hint(role, taskRoles())));
  }

  private void checkComputed(List<String> problems) {
    ConditionNames.check(problems, computed());
    if (of != null && computed().isEmpty()) {
      problems.add("--of is for --compute, and nothing is computed");
    }
    if (to != null && !computed().isEmpty() && source() == null) {
      problems.add("--of is missing: each role of the task is computed, and the pictures that this starts from have one too");
    }
    for (String role : computed()) {
      if (role.equals(source())) {
        problems.add("--of " + role + ": this role is also computed");
      } else if (!taskRoles().contains(role)) {
        problems.add("--compute: role '" + role + "' is neither in --from nor --to" + Nearest.hint(role, taskRoles()));
      }
    }
    if (pictures != null) {
      List<String> there = Stream.concat(Stream.ofNullable(source()), computed().stream()).toList();
      taskRoles().stream().filter(role -> !there.contains(role)).forEach(role -> problems.add("role '" + role
          + "' is not in --compute, nor that of --pictures, " + source() + Nearest.hint(role, there)));
    }
  }

  /** What can be known of the roles only when their pictures have been found. */
  private void requireRoles(RolePictures found) {
    List<String> problems = new ArrayList<>();
    Stream.concat(taskRoles().stream(), computed().isEmpty() ? Stream.of() : Stream.of(source())).distinct()
        .filter(role -> !computed().contains(role)).forEach(role -> collect(problems, () -> found.samples(List.of(role))));
    computed().stream().filter(role -> found.roles().contains(role))
        .forEach(role -> problems.add("--compute: there are pictures in role '" + role + "' already"));
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
  }

  // ---------------------------------------------------------------------------------------------------------------- work

  @Override
  int run(Console console) throws IOException {
    RolePictures found = pictures == null ? RolePictures.read(roles) : RolePictures.of(source(), pictures);
    requireRoles(found);
    long start = CommonOptions.seed(seed, console);
    try (OutputFolder folder = OutputFolder.open(out)) {
      RolePictures all = ConditionNames.add(console, found, computed(), source(), folder.path(), start);
      tellIncomplete(console, all);
      InContextTask usual = new InContextTask(from, to);
      InContextTask task = new InContextTask(taskType == null ? usual.taskType() : taskType, from, to, descriptions);
      InContextBuilder drawn = new InContextBuilder(all, task);
      InContextBuilder builder = examples == null ? drawn : drawn.withExamples(examples);
      List<TrainingRecord> records = builder.build(count, new TorchRandom(start));
      RecordFile.write(folder.path().resolve(RECORDS), records);
      folder.publish();
      return report(console, task, builder.samples().size(), records.size(), start);
    }
  }

  private void tellIncomplete(Console console, RolePictures all) {
    List<String> incomplete = List.copyOf(all.incomplete(taskRoles()));
    if (!incomplete.isEmpty()) {
      console.message("left out, without a picture in some of the roles: " + Console.count(incomplete.size(), "sample") + ", '"
          + incomplete.getFirst() + "' first");
    }
  }

  private int report(Console console, InContextTask task, int samples, int records, long start) {
    Map<String, Object> document = new LinkedHashMap<>();
    document.put("out", out.toString());
    document.put("file", out.resolve(RECORDS).toString());
    document.put("records", records);
    document.put("samples", samples);
    document.put("task_type", task.taskType());
    document.put("computed", computed());
    document.put("seed", start);
    console.document(Json.format(document));
    console.result("wrote " + Console.count(records, "record") + " of " + Console.count(samples, "sample") + " to " + out.resolve(RECORDS));
    computed().forEach(role -> console.result("wrote the pictures of role " + role + " to " + out.resolve(role)));
    return ExitStatus.OK;
  }
}
