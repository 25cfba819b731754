package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.deft4j.deft.data.Canny;
import org.deft4j.deft.data.Drawn;
import org.deft4j.deft.data.RecordFile;
import org.deft4j.deft.data.TrainingRecord;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.OmniGenFolders;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** {@code deft records}: from pictures to records that {@code train} takes, twice the same; whatever is wrong is said at once. */
class RecordsTest {
  @TempDir
  private Path folder;

  @TempDir
  private Path models;

  private Path photos;
  private Path out;

  @BeforeEach
  void draw() throws IOException {
    photos = folder.resolve("photos");
    out = folder.resolve("out");
    for (int i = 0; i < 3; i++) {
      Drawn.write(photos.resolve("dog" + i + ".png"), Drawn.smooth(48 + 16 * i, 48));
    }
    Files.writeString(photos.resolve("dog1.txt"), "a dog on a beach.");
  }

  private static Terminal records(String command, Object... options) {
    return Terminal.run(Stream.concat(Stream.of("records", command), Arrays.stream(options).map(Object::toString)).toArray(String[]::new));
  }

  private static JsonObject document(Terminal terminal) {
    assertEquals(0, terminal.status(), terminal.err());
    return Json.parse(terminal.out(), "standard output");
  }

  /** Every file below a folder. */
  private static Map<String, byte[]> files(Path root) throws IOException {
    Map<String, byte[]> files = new TreeMap<>();
    try (Stream<Path> all = Files.walk(root)) {
      for (Path file : all.filter(Files::isRegularFile).toList()) {
        files.put(root.relativize(file).toString(), Files.readAllBytes(file));
      }
    }
    return files;
  }

  private List<String> left() throws IOException {
    try (Stream<Path> all = Files.list(folder)) {
      return all.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }

  private String omniGen() {
    return OmniGenFolders.make(models).toString();
  }

  private void assertTrainable(Path file, int count) {
    JsonObject plan = document(Terminal.run("train", "--model", omniGen(), "--data", file.toString(), "--rank", "2", "--steps", "1",
        "--size", "64", "--seed", "0", "--out", folder.resolve("run").toString(), "--dry-run", "--json"));
    assertEquals(count, plan.requireInteger("records"));
  }

  // ---------------------------------------------------------------------------------------------------------- in-context

  private Terminal edgesAndBlur(Path target, long seed) {
    return records("in-context", "--pictures", photos, "--from", "canny,gaussian_noise", "--to", "target", "--count", 2, "--seed", seed,
        "--json", "--out", target);
  }

  @Test
  void fromPhotographsToATraining() throws IOException {
    JsonObject made = document(edgesAndBlur(out, 7));
    Path file = out.resolve("records.jsonl");
    assertEquals(file.toString(), made.requireString("file"));
    assertEquals(6, made.requireInteger("records"));
    assertEquals(List.of("canny", "gaussian_noise"), made.requireStrings("computed"));
    List<TrainingRecord> read = RecordFile.read(file, null);
    assertEquals(6, read.size());
    for (TrainingRecord record : read) {
      assertEquals("canny+gaussian_noise", record.taskType());
      assertEquals(photos.toAbsolutePath(), record.outputImage().getParent());
      assertEquals(record.outputImage().endsWith("dog1.png"), record.instruction().contains("a dog on a beach."));
    }
    assertTrue(Files.readString(file).contains("\"canny/dog0_canny.png\""), "computed pictures are named from the file");
    assertFalse(Files.readString(file).contains(".part"), "nor from where they were written");
    assertEquals(new Canny().of(Pictures.read(photos.resolve("dog2.png"))), Pictures.read(out.resolve("canny/dog2_canny.png")));
    assertTrainable(file, 6);
    assertEquals(List.of("out", "photos"), left());
  }

  @Test
  void theSeedDecides() throws IOException {
    document(edgesAndBlur(out, 7));
    document(edgesAndBlur(folder.resolve("again"), 7));
    Map<String, byte[]> first = files(out);
    Map<String, byte[]> again = files(folder.resolve("again"));
    assertEquals(List.of("canny/dog0_canny.png", "canny/dog1_canny.png", "canny/dog2_canny.png", "gaussian_noise/dog0_gaussian_noise.png",
        "gaussian_noise/dog1_gaussian_noise.png", "gaussian_noise/dog2_gaussian_noise.png", "records.jsonl"), List.copyOf(first.keySet()));
    assertEquals(first.keySet(), again.keySet());
    first.forEach((name, bytes) -> assertArrayEquals(bytes, again.get(name), name));
    document(edgesAndBlur(folder.resolve("other"), 8));
    Map<String, byte[]> other = files(folder.resolve("other"));
    assertFalse(Arrays.equals(first.get("records.jsonl"), other.get("records.jsonl")));
    assertFalse(Arrays.equals(first.get("gaussian_noise/dog0_gaussian_noise.png"), other.get("gaussian_noise/dog0_gaussian_noise.png")));
    assertArrayEquals(first.get("canny/dog0_canny.png"), other.get("canny/dog0_canny.png"));
  }

  @Test
  void aSeedThatIsDrawnIsSaid() throws IOException {
    JsonObject made = document(records("in-context", "--pictures", photos, "--from", "blur", "--to", "target", "--json", "--out", out));
    Terminal again = records("in-context", "--pictures", photos, "--from", "blur", "--to", "target", "--seed",
        made.requireLongInteger("seed"), "--out", folder.resolve("again"));
    assertEquals(0, again.status(), again.err());
    assertFalse(again.err().contains("drawn"), again.err());
    assertArrayEquals(Files.readAllBytes(out.resolve("records.jsonl")), Files.readAllBytes(folder.resolve("again/records.jsonl")));
  }

  @Test
  void foldersOfRoles() throws IOException {
    Path roles = folder.resolve("roles");
    for (String sample : List.of("a", "b", "c")) {
      Drawn.write(roles.resolve("depth").resolve(sample + "_depth.png"));
      Drawn.write(roles.resolve("target").resolve(sample + ".png"));
    }
    Drawn.write(roles.resolve("target/z.png"));
    Terminal made = records("in-context", "--roles", roles, "--compute", "blur", "--from", "depth,blur", "--to", "target", "--examples",
        "1", "--task-type", "sharpen", "--describe", "depth=a gray map", "--count", "3", "--seed", "1", "--out", out);
    assertEquals(0, made.status(), made.err());
    assertTrue(made.err().contains("left out, without a picture in some of the roles: 1 sample, 'z' first"), made.err());
    assertTrue(made.out().startsWith("wrote 9 records of 3 samples to " + out.resolve("records.jsonl") + "\n"), made.out());
    for (TrainingRecord record : RecordFile.read(out.resolve("records.jsonl"), null)) {
      assertEquals("sharpen", record.taskType());
      assertEquals(5, record.inputImages().size());
      assertTrue(record.instruction().contains("a gray map and "), record.instruction());
    }
    assertTrainable(out.resolve("records.jsonl"), 9);
  }

  /** From a photograph to what is computed from it, and from one such to another. */
  @Test
  void theTargetMayBeComputed() throws IOException {
    document(records("in-context", "--pictures", photos, "--from", "photo", "--to", "canny", "--examples", "0", "--seed", "1", "--json",
        "--out", out));
    TrainingRecord edges = RecordFile.read(out.resolve("records.jsonl"), null).getFirst();
    assertEquals(List.of(photos.resolve("dog0.png")), edges.inputImages());
    assertEquals(out.resolve("canny/dog0_canny.png"), edges.outputImage());
    Path both = folder.resolve("both");
    document(records("in-context", "--pictures", photos, "--of", "photo", "--from", "blur", "--to", "canny", "--examples", "0", "--seed",
        "1", "--json", "--out", both));
    TrainingRecord sharper = RecordFile.read(both.resolve("records.jsonl"), null).getFirst();
    assertEquals(List.of(both.resolve("blur/dog0_blur.png")), sharper.inputImages());
    assertEquals(both.resolve("canny/dog0_canny.png"), sharper.outputImage());
  }

  // ----------------------------------------------------------------------------------------- conditions, cameras, a check

  @Test
  void conditionsAlone() throws IOException {
    String all = String.join(",", ConditionNames.NAMES);
    Terminal made = records("condition", "--pictures", photos, "--compute", all, "--seed", "7", "--out", out);
    assertEquals(0, made.status(), made.err());
    assertEquals(ConditionNames.NAMES.size(), made.out().lines().count(), made.out());
    Map<String, byte[]> files = files(out);
    assertEquals(3 * ConditionNames.NAMES.size(), files.size());
    document(edgesAndBlur(folder.resolve("records"), 7));
    assertArrayEquals(files.get("gaussian_noise/dog1_gaussian_noise.png"),
        Files.readAllBytes(folder.resolve("records/gaussian_noise/dog1_gaussian_noise.png")), "the same as beside records");
    JsonObject less = document(records("condition", "--pictures", photos, "--compute", "canny", "--seed", "7", "--json", "--out",
        folder.resolve("less")));
    assertEquals(3, less.requireInteger("pictures"));
    assertEquals(List.of("canny"), less.requireStrings("conditions"));
  }

  private Path colmap() throws IOException {
    Path colmap = Files.createDirectory(folder.resolve("sparse"));
    Files.writeString(colmap.resolve("cameras.txt"), "1 SIMPLE_RADIAL 64 48 50 32 24 -0.0125\n");
    Files.writeString(colmap.resolve("images.txt"), """
        1 1 0 0 0 0 0 0 1 dog0.png

        2 1 0 0 0 0 0 1 1 dog1.png

        3 1 0 0 0 0 0 2 1 dog2.png

        """);
    return colmap;
  }

  @Test
  void cameras() throws IOException {
    Path colmap = colmap();
    Path file = folder.resolve("new/camera.jsonl");
    JsonObject made = document(records("camera", "--colmap", colmap, "--pictures", photos, "--given", "dog1.png", "--subject",
        "a photo of sks church", "--json", "--out", file));
    assertEquals(2, made.requireInteger("records"));
    List<TrainingRecord> read = RecordFile.read(file, null);
    assertEquals(List.of(photos.resolve("dog0.png"), photos.resolve("dog2.png")), read.stream().map(TrainingRecord::outputImage).toList());
    assertTrue(read.getLast().instruction().contains("with camera info: Camera(model=SIMPLE_RADIAL"), read.getLast().instruction());
    assertTrainable(file, 2);
    Path bare = photos.resolve("bare.jsonl");
    assertEquals(0, records("camera", "--colmap", colmap, "--pictures", photos, "--given", "dog1.png", "--subject",
        "a photo of sks church", "--no-camera", "--out", bare).status());
    assertEquals("a photo of sks church <img><|image_1|></img>, now transform into different view",
        RecordFile.read(bare, null).getFirst().instruction());
    assertTrue(Files.readString(bare).contains("\"dog2.png\""), "pictures below the file are named from it");
  }

  @Test
  void whatACheckSays() throws IOException {
    document(edgesAndBlur(out, 7));
    Path more = folder.resolve("more.jsonl");
    Files.writeString(more, """
        {"instruction": "a dog", "output_image": "dog0.png"}

        {"task_type": "copy", "instruction": "again <img><|image_1|></img>", "input_images": ["dog0.png"], "output_image": "dog1.png"}
        """);
    JsonObject alone = document(records("check", more, "--image-root", photos, "--json"));
    assertEquals(List.of("files", "records", "pictures", "tasks"), List.copyOf(alone.keys()));
    assertEquals(2, alone.requireInteger("records"));
    assertEquals(2, alone.requireInteger("pictures"));
    JsonObject both = document(records("check", out.resolve("records.jsonl"), Files.copy(more, photos.resolve("more.jsonl")), "--model",
        omniGen(), "--size", "64", "--json"));
    assertEquals(8, both.requireInteger("records"));
    assertEquals(1, both.requireObject("tasks").requireInteger("copy"));
    assertEquals(6, both.requireObject("tasks").requireInteger("canny+gaussian_noise"));
    JsonObject tokens = both.requireObject("tokens");
    assertTrue(tokens.requireInteger("shortest") > 1 && tokens.requireInteger("shortest") < tokens.requireInteger("longest"));
    assertTrue(tokens.requireString("longest_at").startsWith(out.resolve("records.jsonl") + ", line "), tokens.requireString("longest_at"));
    Terminal text = records("check", more, "--image-root", photos, "--model", omniGen(), "--size", "64");
    assertEquals(0, text.status(), text.err());
    assertTrue(text.out().contains("tasks           no name: 1, copy: 1\n") && text.out().contains("longest at: " + more + ", line 3"),
        text.out());
  }

  // ------------------------------------------------------------------------------------------------------------ mistakes

  private void assertMistake(Terminal terminal, String... parts) throws IOException {
    assertEquals(2, terminal.status(), terminal.err());
    List<String> told = terminal.err().lines().filter(line -> line.startsWith("deft: ")).toList();
    assertEquals(parts.length, told.size(), terminal.err());
    for (String part : parts) {
      assertTrue(told.stream().anyMatch(line -> line.contains(part)), "'" + part + "' in: " + terminal.err());
    }
    assertFalse(terminal.err().contains("\tat "), "no stack trace: " + terminal.err());
    assertEquals("", terminal.out());
    assertTrue(left().stream().noneMatch(name -> name.contains("out") || name.startsWith(".")), "nothing is written: " + left());
  }

  /** A correct call of in-context but for the options that replace or follow. */
  private Terminal inContext(Object... changes) {
    List<Object> args = new ArrayList<>(List.of("--pictures", photos, "--from", "canny", "--to", "target", "--seed", 0, "--out", out));
    for (int i = 0; i < changes.length; i += 2) {
      int at = args.indexOf(changes[i]);
      if (at >= 0) {
        args.set(at + 1, changes[i + 1]);
      } else {
        args.addAll(Arrays.asList(changes).subList(i, i + 2));
      }
    }
    return records("in-context", args.toArray());
  }

  @Test
  void theCommandItself() throws IOException {
    Terminal bare = Terminal.run("records");
    assertEquals(2, bare.status());
    assertTrue(bare.err().contains("Usage: deft records") && bare.err().contains("in-context") && bare.out().isEmpty(), bare.err());
    assertMistake(records("in-contxt"), "unknown command 'in-contxt'; did you mean 'in-context'? See deft records --help.");
    assertMistake(inContext("--cuont", 3), "unknown option --cuont; did you mean '--count'? See deft records in-context --help.");
  }

  @Test
  void inContextOptions() throws IOException {
    assertMistake(records("in-context"), "--roles, a folder of roles, or --pictures, a folder of pictures, is needed, and not both",
        "--from is missing", "--to is missing", "--out is missing");
    assertMistake(inContext("--roles", photos), "and not both");
    assertMistake(inContext("--pictures", folder.resolve("absent"), "--count", 0, "--examples", -1), "--pictures: ", "--count 0: at least 1",
        "--examples -1: at least 0");
    assertMistake(inContext("--from", "cany"), "condition 'cany' cannot be computed here: canny, ");
    assertTrue(inContext("--from", "cany").err().endsWith("; did you mean 'canny'?\n"));
    assertMistake(inContext("--from", "canny,canny"), "--from canny,canny --to target: each role once is needed");
    assertMistake(inContext("--from", "canny,target"), "each role once is needed");
    assertMistake(inContext("--to", "blur"), "--of is missing: each role of the task is computed");
    assertMistake(inContext("--of", "canny"), "condition 'target' cannot be computed here");
    assertMistake(inContext("--compute", "canny,blur"), "--compute: role 'blur' is neither in --from nor --to");
    assertMistake(inContext("--compute", "canny,canny"), "condition 'canny' is given twice");
    assertMistake(inContext("--compute", "canny", "--of", "canny"), "--of canny: this role is also computed",
        "role 'target' is not in --compute, nor that of --pictures, canny");
    assertMistake(inContext("--compute", "canny", "--from", "cany"), "--compute: role 'canny' is neither in --from nor --to; did you mean 'cany'?",
        "role 'cany' is not in --compute, nor that of --pictures, target; did you mean 'canny'?");
    assertMistake(inContext("--describe", "cany=lines"), "--describe: role 'cany' is neither in --from nor --to; did you mean 'canny'?");
    assertMistake(inContext("--describe", "canny=<img><|image_1|></img>"), "--describe: the words for role 'canny' have a tag");
  }

  @Test
  void rolesThatAreNotThere() throws IOException {
    Path roles = folder.resolve("roles");
    Drawn.write(roles.resolve("depth/a_depth.png"));
    Drawn.write(roles.resolve("target/b_target.png"));
    assertMistake(records("in-context", "--roles", roles, "--from", "dept,blur", "--to", "target", "--seed", 1, "--out", out),
        "there are no pictures in role 'dept': depth, target are there; did you mean 'depth'?", "there are no pictures in role 'blur'");
    assertMistake(records("in-context", "--roles", roles, "--from", "depth", "--to", "target", "--seed", 1, "--out", out),
        "no sample has a picture in each of the roles depth, target");
    assertMistake(records("in-context", "--roles", roles, "--from", "depth", "--to", "target", "--of", "target", "--out", out),
        "--of is for --compute, and nothing is computed");
    Drawn.write(roles.resolve("blur/b_blur.png"));
    assertMistake(records("in-context", "--roles", roles, "--compute", "blur", "--from", "blur,dpeth", "--to", "target", "--out", out),
        "--compute: there are pictures in role 'blur' already", "there are no pictures in role 'dpeth'");
  }

  @Test
  void picturesThatAreNone() throws IOException {
    assertMistake(inContext("--pictures", Files.createDirectory(folder.resolve("empty"))), "has no picture in it");
    byte[] whole = Files.readAllBytes(photos.resolve("dog0.png"));
    Files.write(photos.resolve("dog0.png"), Arrays.copyOf(whole, whole.length / 2));
    Files.write(photos.resolve("dog2.png"), Arrays.copyOf(whole, whole.length / 2));
    assertMistake(inContext(), "dog0.png", "dog2.png");
    assertMistake(records("condition", "--pictures", photos, "--compute", "blur", "--seed", 1, "--out", out), "dog0.png", "dog2.png");
    Files.writeString(photos.resolve("dog0.png"), "no picture");
    assertMistake(inContext(), "dog0.png");
  }

  @Test
  void captionsWithTags() throws IOException {
    Files.writeString(photos.resolve("dog2.txt"), "like <img><|image_1|></img>");
    assertMistake(inContext(), "dog2.png has tags of input pictures in it");
  }

  @Test
  void conditionOptions() throws IOException {
    assertMistake(records("condition"), "--pictures is missing", "--compute is missing: one or more of canny, ", "--out is missing");
    assertMistake(records("condition", "--pictures", photos, "--compute", "canny,blurr", "--out", out),
        "condition 'blurr' cannot be computed here");
    assertMistake(records("condition", "--pictures", photos.resolve("dog0.png"), "--compute", "canny", "--out", out), "is not a folder");
  }

  @Test
  void cameraOptions() throws IOException {
    assertMistake(records("camera"), "--colmap is missing", "--pictures is missing", "--given is missing", "--subject is missing",
        "--out is missing");
    Path empty = Files.createDirectory(folder.resolve("empty"));
    assertMistake(records("camera", "--colmap", empty, "--pictures", photos, "--given", "dog1.png", "--subject", "x", "--out",
        folder.resolve("out.jsonl")), "cameras.txt: there is no such file", "images.txt: there is no such file");
    assertMistake(records("camera", "--colmap", empty, "--pictures", photos, "--given", "dog1.png", "--subject", "x <|image_1|>", "--out",
        folder.resolve("out.json")), "--subject has a tag", "the name must end in .jsonl");
    Path colmap = colmap();
    Files.delete(photos.resolve("dog2.png"));
    assertMistake(records("camera", "--colmap", colmap, "--pictures", photos, "--given", "dog11.png", "--subject", "x", "--out",
        folder.resolve("out.jsonl")), "picture 'dog11.png' is not among the 3 of the model; did you mean 'dog1.png'?",
        "dog2.png: there is no such file");
  }

  @Test
  void recordsWithMistakes() throws IOException {
    assertMistake(records("check"), "FILE is missing");
    assertMistake(records("check", folder.resolve("absent.jsonl"), photos, "--image-root", "nowhere", "--size", "64"),
        "absent.jsonl does not exist", photos + " is not a file", "--image-root: nowhere does not exist", "--size is for a model");
    Path bad = folder.resolve("bad.jsonl");
    Files.writeString(bad, """
        {"instruction": "a dog", "output_image": "dog0.png"}
        {"instructoin": "a dog", "output_image": "dog0.png"}
        {"instruction": "x <img><|image_2|></img>", "input_images": ["dog1.png"], "output_image": "dog9.png"}
        """);
    assertMistake(records("check", bad, "--image-root", photos, "--json"), "line 2: there is no key 'instruction', but 'instructoin'",
        "line 3: the tags of the instruction have the numbers 2", "line 3: output_image: ");
    Files.writeString(bad, "{\"instruction\": \"a dog\", \"output_image\": \"photos/dog0.png\"}\n");
    assertMistake(records("check", bad, "--model", Fixtures.folders("sdxl").getFirst()), "is a Stable Diffusion model; records are for OmniGen");
    assertMistake(records("check", bad, "--model", omniGen(), "--size", 64, "--max-tokens", 1), bad + ", line 1: the prompt takes ");
    assertMistake(records("check", bad, "--model", omniGen(), "--size", 72), "size 72: a multiple of 16 is needed");
  }

  @Test
  void nothingIsOverwritten() throws IOException {
    Path taken = Files.createDirectory(folder.resolve("taken"));
    Files.writeString(taken.resolve("records.jsonl"), "mine");
    assertMistake(inContext("--out", taken), "taken exists and holds records.jsonl; give another --out, or move it away");
    assertMistake(records("condition", "--pictures", photos, "--compute", "canny", "--out", photos), "photos exists and holds dog0.png");
    assertMistake(inContext("--out", photos.resolve("dog0.png")), "is a file; a folder is written");
    assertMistake(records("camera", "--colmap", colmap(), "--pictures", photos, "--given", "dog1.png", "--subject", "x", "--out",
        taken.resolve("records.jsonl")), "records.jsonl exists; give another, or move it away");
    assertEquals("mine", Files.readString(taken.resolve("records.jsonl")));
    Path empty = Files.createDirectory(folder.resolve("empty"));
    assertEquals(0, inContext("--out", empty).status());
    assertNotEquals(0, Files.size(empty.resolve("records.jsonl")));
  }
}
