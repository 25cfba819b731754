package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.data.CameraTask;
import org.deft4j.deft.data.ColmapModel;
import org.deft4j.deft.data.RecordFile;
import org.deft4j.deft.data.TrainingRecord;
import org.deft4j.diffusion.omnigen.ImageTags;
import org.deft4j.weights.Json;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code deft records camera}. */
@Command(name = "camera", sortOptions = false, usageHelpWidth = 110,
    description = "Makes records that ask for another view of a scene, whose camera is described in the text.",
    footer = {"", "Example: deft records camera --colmap scene/sparse --pictures scene/images --given frame7.png \\",
        "           --subject \"a photo of sks church\" --out scene/camera.jsonl"})
final class CameraCommand extends Subcommand {
  private static final String ENDING = ".jsonl";

  @Option(names = "--colmap", paramLabel = "FOLDER", description = "COLMAP's model as text: cameras.txt and images.txt.")
  Path colmap;

  @Option(names = "--pictures", paramLabel = "FOLDER", description = "The pictures that the model was made of.")
  Path pictures;

  @Option(names = "--given", paramLabel = "FILE",
      description = "The picture that is given, as images.txt names it; every other one is to come out of a record.")
  String given;

  @Option(names = "--subject", paramLabel = "TEXT", description = "What is seen, such as \"a photo of sks church\".")
  String subject;

  @Option(names = "--no-camera", description = "Ask for a different view without saying which.")
  boolean noCamera;

  @Option(names = "--out", paramLabel = "FILE", description = "Where the records go, a new file with a name in .jsonl.")
  Path out;

  @Override
  void check(List<String> problems) {
    Checks.folder(problems, "--colmap", colmap, "the folder of cameras.txt and images.txt");
    Checks.folder(problems, "--pictures", pictures, "the folder of the pictures that the model was made of");
    if (given == null) {
      problems.add("--given is missing: the picture that is given, as images.txt names it");
    }
    if (subject == null || subject.isBlank()) {
      problems.add("--subject is missing: what is seen, such as \"a photo of sks church\"");
    } else if (!ImageTags.numbers(subject).isEmpty()) {
      problems.add("--subject has a tag of an input picture in it; the one of the given picture is added");
    }
    if (out == null) {
      problems.add("--out is missing: the file that the records go to");
    } else if (!out.toString().endsWith(ENDING)) {
      problems.add("--out: " + out + ": the name must end in " + ENDING);
    } else if (Files.exists(out)) {
      problems.add("--out: " + out + " exists; give another, or move it away");
    }
  }

  @Override
  int run(Console console) throws IOException {
    List<TrainingRecord> records = new CameraTask(subject.strip(), given, !noCamera).records(ColmapModel.read(colmap), pictures);
    Files.createDirectories(out.toAbsolutePath().getParent());
    RecordFile.write(out, records);
    Map<String, Object> document = new LinkedHashMap<>();
    document.put("out", out.toString());
    document.put("records", records.size());
    document.put("given", given);
    document.put("camera", !noCamera);
    console.document(Json.format(document));
    console.result("wrote " + Console.count(records.size(), "record") + " to " + out);
    return ExitStatus.OK;
  }
}
