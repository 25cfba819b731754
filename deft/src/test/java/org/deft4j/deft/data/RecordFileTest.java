package org.deft4j.deft.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.deft.InputException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Records in every form that is in use, and every mistake named with its line before anything else happens. */
class RecordFileTest {
  @TempDir private Path folder;
  private Path file;

  @BeforeEach
  void pictures() throws IOException {
    file = folder.resolve("records.jsonl");
    for (String name : List.of("a.png", "b.png", "out/c.png", "ü mit leer.png")) {
      Drawn.write(folder.resolve(name));
    }
    Files.writeString(folder.resolve("text.png"), "no picture");
    Files.createFile(folder.resolve("empty.png"));
  }

  private List<TrainingRecord> read(String text) throws IOException {
    Files.writeString(file, text);
    return RecordFile.read(file, null);
  }

  /** The problems of a text, without the file's name. */
  private List<String> problems(String text) throws IOException {
    Files.writeString(file, text);
    return assertThrows(InputException.class, () -> RecordFile.read(file, null), text).problems().stream()
        .map(problem -> problem.replace(file.toString(), "F").replace(folder.toString(), "D")).toList();
  }

  @Test
  void everyFormOfARecord() throws IOException {
    Path a = folder.resolve("a.png");
    Path b = folder.resolve("b.png");
    Path c = folder.resolve("out/c.png");
    List<TrainingRecord> records = read("""
        \uFEFF{"task_type": "t2i", "instruction": "a dog", "input_images": [], "output_image": "a.png"}\r

        {"instruction": "a cat", "output_image": "out/c.png", "input_images": null, "extra": {"k": [1]}, "sfm_details": 3}
        {
          "task_type": "edit",
          "instruction": "<img><|image_2|></img> as <img><|image_1|></img> and <img><|image_2|></img>",
          "input_images": ["a.png", "b.png"],
          "output_image": "ABSOLUTE"
        }{"instruction": "", "output_images": "a.png"}
        {"instruction": "x", "output_images": ["./out/../ü mit leer.png"], "task_type": null}
        """.replace("ABSOLUTE", c.toString()));
    assertEquals(List.of(
        new TrainingRecord("t2i", "a dog", List.of(), a, new TrainingRecord.Place(file, 1)),
        new TrainingRecord("", "a cat", List.of(), c, new TrainingRecord.Place(file, 3)),
        new TrainingRecord("edit", "<img><|image_2|></img> as <img><|image_1|></img> and <img><|image_2|></img>",
            List.of(a, b), c, new TrainingRecord.Place(file, 4)),
        new TrainingRecord("", "", List.of(), a, new TrainingRecord.Place(file, 9)),
        new TrainingRecord("", "x", List.of(), folder.resolve("./out/../ü mit leer.png"), new TrainingRecord.Place(file, 10))),
        records);
    assertEquals(file + ", line 4", records.get(2).place().toString());
    assertEquals(2, read("[{\"instruction\":\"x\",\"output_image\":\"a.png\"},\n"
        + "{\"instruction\":\"y\",\"output_image\":\"a.png\"}]").size());
  }

  @Test
  void picturesAreFoundBelowTheImageRoot() throws IOException {
    Files.writeString(file, "{\"instruction\":\"x\",\"output_image\":\"c.png\"}");
    assertEquals(folder.resolve("out/c.png"), RecordFile.read(file, folder.resolve("out")).getFirst().outputImage());
    InputException none = assertThrows(InputException.class, () -> RecordFile.read(file, folder.resolve("absent")));
    assertEquals("image folder " + folder.resolve("absent") + " does not exist", none.getMessage());
  }

  @Test
  void everyMistakeIsNamedWithItsLine() throws IOException {
    String end = "\"output_image\": \"a.png\"}";
    Map<String, String> mistakes = new LinkedHashMap<>();
    mistakes.put("{\"instruction\": \"x\"}", "F, line 1: there is no key 'output_image'");
    mistakes.put("{\"instruction\": \"x\", \"ouput_image\": \"a.png\"}",
        "F, line 1: there is no key 'output_image', but 'ouput_image'; did you mean 'output_image'?");
    mistakes.put("\n{\"instuction\": \"x\", " + end,
        "F, line 2: there is no key 'instruction', but 'instuction'; did you mean 'instruction'?");
    mistakes.put("{\"instruction\": 7, " + end, "F, line 1: instruction: expected a string, found the number 7");
    mistakes.put("{\"instruction\": null, " + end, "F, line 1: instruction: expected a string, found null");
    mistakes.put("{\"task_type\": [], \"instruction\": \"x\", " + end, "F, line 1: task_type: expected a string, found a list of 0");
    mistakes.put("{\"instruction\": \"x\", \"input_images\": \"a.png\", " + end,
        "F, line 1: input_images: expected a list, found the string 'a.png'");
    mistakes.put("{\"instruction\": \"x\", \"input_images\": [\"a.png\", 5], " + end,
        "F, line 1: input_images[1]: expected a string, found the number 5");
    mistakes.put("{\"instruction\": \"x\", \"input_image\": [\"a.png\"], " + end,
        "F, line 1: there is no key 'input_images' but 'input_image'; did you mean 'input_images'?");
    mistakes.put("{\"instruction\": \"x\", \"output_image\": [\"a.png\"]}",
        "F, line 1: output_image: expected a string, found a list of 1");
    mistakes.put("{\"instruction\": \"x\", \"output_images\": []}", "F, line 1: output_images: one picture is needed, found 0");
    mistakes.put("{\"instruction\": \"x\", \"output_images\": [\"a.png\", \"b.png\"]}",
        "F, line 1: output_images: one picture is needed, found 2");
    mistakes.put("{\"instruction\": \"x\", \"output_images\": [1]}",
        "F, line 1: output_images[0]: expected a string, found the number 1");
    mistakes.put("{\"instruction\": \"x\", \"output_images\": \"a.png\", " + end,
        "F, line 1: there are both 'output_image' and 'output_images'; one of them is needed");
    mistakes.put("{\"instruction\": \"x\", \"output_image\": \"d.png\"}",
        "F, line 1: output_image: picture D/d.png: there is no such file");
    mistakes.put("{\"instruction\": \"x\", \"output_image\": \"out\"}",
        "F, line 1: output_image: picture D/out: is a folder, not a file");
    mistakes.put("{\"instruction\": \"x\", \"output_image\": \"empty.png\"}",
        "F, line 1: output_image: picture D/empty.png: the file is empty");
    mistakes.put("{\"instruction\": \"<img><|image_1|></img>\", \"input_images\": [\"text.png\"], " + end,
        "F, line 1: input_images[0]: picture D/text.png: is not a picture: its first bytes, 6E 6F 20 70 69 63 74 75, are those of no "
            + "picture format; PNG, JPEG, WebP, GIF and BMP are read");
    mistakes.put("{\"instruction\": \"x\", \"output_image\": \"a\\u0000.png\"}",
        "F, line 1: output_image: 'a\u0000.png' cannot be the name of a file: Nul character not allowed");
    mistakes.put("{\"instruction\": \"x\", \"instruction\": \"y\", " + end,
        "F, line 1: is not valid JSON: Duplicate field 'instruction'");
    mistakes.put("{\"instruction\": \"x\",\n\"output_image\": \"a.pn",
        "F, line 2: the text ends before the object that begins on line 1 does");
    mistakes.put("", "F: there is no record in it; one line of JSON for each example is needed");
    mistakes.put("[]\n", "F: there is no record in it; one line of JSON for each example is needed");
    mistakes.put("\"x\"", "F, line 1: expected an object, found the string 'x'");
    for (Map.Entry<String, String> mistake : mistakes.entrySet()) {
      assertEquals(List.of(mistake.getValue()), problems(mistake.getKey()), mistake.getKey());
    }
    Path absent = folder.resolve("absent.jsonl");
    assertEquals(List.of(absent + ": there is no such file"),
        assertThrows(InputException.class, () -> RecordFile.read(absent, null)).problems());
  }

  @Test
  void tagsMustFitThePictures() throws IOException {
    Map<String, String> mistakes = new LinkedHashMap<>();
    mistakes.put("no tag | a.png",
        "the instruction names none of its 1 input picture; write <img><|image_1|></img> where the first belongs, and so on");
    mistakes.put("<img><image_1></img> | a.png, b.png",
        "the instruction names none of its 2 input pictures; write <img><|image_1|></img> where the first belongs, and so on");
    mistakes.put("<img><|image_1|></img> |", "the instruction has the tags of 1 input picture, but there are none");
    mistakes.put("<img><|image_1|></img><img><|image_2|></img> | a.png",
        "the instruction has the tags of 2 input pictures, but there is 1");
    mistakes.put("<img><|image_1|></img><img><|image_1|></img> | a.png, b.png",
        "the instruction has the tags of 1 input picture, but there are 2");
    mistakes.put("<img><|image_1|></img><img><|image_3|></img> | a.png, b.png",
        "the tags of the instruction have the numbers 1, 3; they must count from 1 without gaps, "
            + "the first being <img><|image_1|></img>");
    mistakes.put("<img><|image_0|></img> | a.png",
        "the tags of the instruction have the numbers 0; they must count from 1 without gaps, "
            + "the first being <img><|image_1|></img>");
    mistakes.put("<img><|image_1|></img><img><|image_12345678901|></img> | a.png",
        "the tags of the instruction have the numbers 1, 2147483647; they must count from 1 without gaps, "
            + "the first being <img><|image_1|></img>");
    for (Map.Entry<String, String> mistake : mistakes.entrySet()) {
      int bar = mistake.getKey().lastIndexOf('|');
      String names = mistake.getKey().substring(bar + 1).strip();
      String inputs = names.isEmpty() ? "" : "\"" + names.replace(", ", "\", \"") + "\"";
      String text = "{\"instruction\": \"" + mistake.getKey().substring(0, bar).strip() + "\", \"input_images\": [" + inputs
          + "], \"output_image\": \"a.png\"}";
      assertEquals(List.of("F, line 1: " + mistake.getValue()), problems(text), text);
    }
  }

  @Test
  void allMistakesOfAFileComeAtOnce() throws IOException {
    List<String> problems = problems("""
        {"instruction": "x", "output_image": "a.png"}
        {"instruction": "<img><|image_1|></img>", "output_image": "x.png"}
        {"instruction": "x", "output_image":
        {"input_images": ["x.png", "y.png"], "output_image": "a.png"}
        """);
    assertEquals(6, problems.size(), String.join("\n", problems));
    assertTrue(problems.getFirst().startsWith("F, line 4: is not valid JSON") || problems.getFirst().contains("line 3"));
    assertTrue(problems.stream().filter(problem -> problem.contains("line 4: input_images")).count() == 2, String.join("\n", problems));
    List<String> many = problems("{\"instruction\": \"x\", \"output_image\": \"x.png\"}\n".repeat(80));
    assertEquals(Problems.TOLD + 1, many.size());
    assertEquals("and " + (80 - Problems.TOLD) + " more problems", many.getLast());
  }

  @Test
  void whatIsWrittenReadsBackWithPathsThatMove(@TempDir Path elsewhere) throws IOException {
    Path outside = Drawn.write(elsewhere.resolve("z.png"));
    List<TrainingRecord> records = List.of(
        new TrainingRecord("canny", "\"<img><|image_1|></img>\"\n<img><|image_2|></img> ü", List.of(folder.resolve("a.png"), outside),
            folder.resolve("out/c.png"), new TrainingRecord.Place(file, 1)),
        new TrainingRecord("", "y", List.of(), folder.resolve("b.png"), new TrainingRecord.Place(file, 2)));
    RecordFile.write(file, records);
    assertEquals(records, RecordFile.read(file, null));
    String text = Files.readString(file);
    assertEquals(2, text.lines().count());
    assertTrue(text.contains("\"a.png\"") && text.contains("\"out/c.png\"") && !text.contains(folder.toString()), text);
    List<TrainingRecord> none = new ArrayList<>();
    RecordFile.write(file, none);
    assertEquals("", Files.readString(file));
  }
}
