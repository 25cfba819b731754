package org.deft4j.deft.data;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Nearest;
import org.deft4j.diffusion.image.PictureException;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.weights.AtomicFile;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.JsonSequence;

/**
 * The files of records that OmniGen trains on: objects with the keys {@code task_type} (may be missing), {@code instruction},
 * {@code input_images} (a list; missing, null and empty say the same) and {@code output_image}, in any form that
 * {@link JsonSequence} reads. {@code output_images}, which OmniGen's documentation has in one place, is taken for the
 * last where it holds one picture. Other keys are passed over.
 */
public final class RecordFile {
  private static final String TASK = "task_type";
  private static final String INSTRUCTION = "instruction";
  private static final String INPUTS = "input_images";
  private static final String OUTPUT = "output_image";
  private static final String OUTPUTS = "output_images";
  private static final Set<String> KEYS = Set.of(TASK, INSTRUCTION, INPUTS, OUTPUT, OUTPUTS);

  private final Path root;
  private final Problems problems;
  /** What is wrong with each picture that was looked at; empty where nothing is. */
  private final Map<Path, String> seen = new HashMap<>();

  private RecordFile(Path root, Problems problems) {
    this.root = root;
    this.problems = problems;
  }

  /**
   * The records of {@code file}. Of the pictures only the first bytes are looked at.
   *
   * @param imageRoot where the paths of pictures begin, or null for the folder of the file; absolute paths stand for
   *     themselves
   * @throws InputException listing all that is wrong, with file and line: JSON that is none, keys missing, twice or of another
   *     type, pictures that are not there or are none, tags that do not fit the pictures, no record at all
   */
  public static List<TrainingRecord> read(Path file, Path imageRoot) {
    Problems problems = new Problems();
    List<TrainingRecord> records = read(file, imageRoot, problems);
    problems.throwIfAny();
    return records;
  }

  /** The same, with what is wrong added to {@code problems}. */
  static List<TrainingRecord> read(Path file, Path imageRoot, Problems problems) {
    if (imageRoot != null && !Files.isDirectory(imageRoot)) {
      problems.add("image folder " + imageRoot + (Files.exists(imageRoot) ? " is not a folder" : " does not exist"));
      return List.of();
    }
    JsonSequence sequence;
    try {
      sequence = JsonSequence.read(file);
    } catch (FormatException e) {
      problems.add(e.getMessage());
      return List.of();
    }
    problems.addAll(sequence.problems());
    if (sequence.items().isEmpty() && sequence.problems().isEmpty()) {
      problems.add(file + ": there is no record in it; one line of JSON for each example is needed");
    }
    RecordFile reader = new RecordFile(imageRoot == null ? file.toAbsolutePath().getParent() : imageRoot, problems);
    List<TrainingRecord> records = new ArrayList<>();
    for (JsonSequence.Item item : sequence.items()) {
      records.add(reader.record(item.object(), new TrainingRecord.Place(file, item.line())));
    }
    return List.copyOf(records);
  }

  // -------------------------------------------------------------------------------------------------------- a record

  private TrainingRecord record(JsonObject object, TrainingRecord.Place place) {
    String task = known(() -> object.string(TASK, ""), "");
    String instruction = required(object, INSTRUCTION, place) ? known(() -> object.requireString(INSTRUCTION), null) : null;
    List<String> inputs = known(() -> object.has(INPUTS) ? object.requireStrings(INPUTS) : List.of(), null);
    misnamedInputs(object).ifPresent(key -> problems.add(place + ": there is no key '" + INPUTS + "' but '" + key
        + "'; did you mean '" + INPUTS + "'?"));
    String output = output(object, place);
    if (instruction != null && inputs != null) {
      String wrong = TagCheck.problem(instruction, inputs.size());
      if (wrong != null) {
        problems.add(place + ": " + wrong);
      }
    }
    List<Path> pictures = new ArrayList<>();
    for (int i = 0; inputs != null && i < inputs.size(); i++) {
      pictures.add(picture(inputs.get(i), place, INPUTS + "[" + i + "]"));
    }
    Path target = output == null ? root : picture(output, place, OUTPUT);
    return new TrainingRecord(task, instruction == null ? "" : instruction, pictures, target, place);
  }

  /** What {@code getter} gives, or else {@code otherwise} and a problem. */
  private <T> T known(Supplier<T> getter, T otherwise) {
    try {
      return getter.get();
    } catch (FormatException e) {
      problems.add(e.getMessage());
      return otherwise;
    }
  }

  private boolean required(JsonObject object, String key, TrainingRecord.Place place) {
    if (object.keys().contains(key)) {
      return true;
    }
    String hint = object.keys().stream().filter(other -> !KEYS.contains(other))
        .filter(other -> !Nearest.hint(other, List.of(key)).isEmpty()).findFirst()
        .map(other -> ", but '" + other + "'" + Nearest.hint(other, List.of(key))).orElse("");
    problems.add(place + ": there is no key '" + key + "'" + hint);
    return false;
  }

  /** A key that can only be meant for the input pictures where these are missing, which would otherwise go unnoticed. */
  private static Optional<String> misnamedInputs(JsonObject object) {
    return object.keys().contains(INPUTS) ? Optional.empty() : object.keys().stream()
        .filter(key -> key.toLowerCase(Locale.ROOT).replaceAll("[^a-z]", "").matches("inputs?images?")).findFirst();
  }

  private String output(JsonObject object, TrainingRecord.Place place) {
    boolean alias = object.keys().contains(OUTPUTS);
    if (alias && object.keys().contains(OUTPUT)) {
      problems.add(place + ": there are both '" + OUTPUT + "' and '" + OUTPUTS + "'; one of them is needed");
      return null;
    }
    if (!alias) {
      return required(object, OUTPUT, place) ? known(() -> object.requireString(OUTPUT), null) : null;
    }
    if (!object.isList(OUTPUTS)) {
      return known(() -> object.requireString(OUTPUTS), null);
    }
    List<String> outputs = known(() -> object.requireStrings(OUTPUTS), null);
    if (outputs != null && outputs.size() != 1) {
      problems.add(place + ": " + OUTPUTS + ": one picture is needed, found " + outputs.size());
    }
    return outputs == null || outputs.size() != 1 ? null : outputs.getFirst();
  }

  private Path picture(String name, TrainingRecord.Place place, String key) {
    try {
      Path path = root.resolve(name);
      String wrong = seen.computeIfAbsent(path, RecordFile::problem);
      if (!wrong.isEmpty()) {
        problems.add(place + ": " + key + ": " + wrong);
      }
      return path;
    } catch (InvalidPathException e) {
      problems.add(place + ": " + key + ": '" + name + "' cannot be the name of a file: " + e.getReason());
      return root;
    }
  }

  private static String problem(Path picture) {
    try {
      Pictures.requirePicture(picture);
      return "";
    } catch (PictureException e) {
      return e.getMessage();
    }
  }

  // --------------------------------------------------------------------------------------------------------- writing

  /**
   * Writes records as JSON lines, atomically. Pictures below the folder of the file are named from there, so that the
   * folder can be moved; others by their whole path.
   *
   * @throws UncheckedIOException if it cannot be written; the text names the file
   */
  public static void write(Path file, List<TrainingRecord> records) {
    Path folder = file.toAbsolutePath().normalize().getParent();
    StringBuilder lines = new StringBuilder();
    for (TrainingRecord record : records) {
      Map<String, Object> object = new LinkedHashMap<>();
      object.put(TASK, record.taskType());
      object.put(INSTRUCTION, record.instruction());
      object.put(INPUTS, record.inputImages().stream().map(path -> name(path, folder)).toList());
      object.put(OUTPUT, name(record.outputImage(), folder));
      lines.append(Json.formatLine(object)).append('\n');
    }
    try {
      AtomicFile.write(file, lines.toString().getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException("records " + file + ": cannot be written: " + e, e);
    }
  }

  private static String name(Path picture, Path folder) {
    Path path = picture.toAbsolutePath().normalize();
    return (path.startsWith(folder) ? folder.relativize(path) : path).toString().replace('\\', '/');
  }
}
