package org.deft4j.deft.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.deft4j.deft.InputException;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.diffusion.omnigen.ImageTags;
import org.deft4j.tensor.TorchRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** From folders of roles to records with examples in them. */
class InContextBuilderTest {
  @TempDir private Path folder;

  private RolePictures roles(int samples, String... roles) throws IOException {
    for (String role : roles) {
      for (int i = 0; i < samples; i++) {
        Drawn.write(folder.resolve(role).resolve(i + "_" + role + ".png"));
      }
    }
    return RolePictures.read(folder);
  }

  @Test
  void bothWaysOfNamingFiles() throws IOException {
    Drawn.write(folder.resolve("canny/0_canny.png"));
    Drawn.write(folder.resolve("canny/cat.png"));
    Drawn.write(folder.resolve("canny/7.png"));
    Drawn.write(folder.resolve("target/0_target.png"));
    Drawn.write(folder.resolve("target/cat_target.png"));
    Drawn.write(folder.resolve("target/8.png"));
    Drawn.write(folder.resolve(".hidden/x.png"));
    RolePictures pictures = RolePictures.read(folder);
    List<String> both = List.of("canny", "target");
    assertEquals(Set.of("canny", "target"), pictures.roles());
    assertEquals(Set.of("0", "cat"), pictures.samples(both));
    assertEquals(Set.of("7", "8"), pictures.incomplete(both));
    assertEquals(folder.resolve("canny/cat.png"), pictures.file("canny", "cat"));
    assertEquals(folder.resolve("target/cat_target.png"), pictures.file("target", "cat"));
    assertThrows(InputException.class, () -> pictures.file("canny", "8"));
    assertTrue(assertThrows(InputException.class, () -> pictures.samples(List.of("cany"))).getMessage()
        .endsWith("did you mean 'canny'?"));
    assertThrows(InputException.class, () -> new InContextBuilder(pictures, new InContextTask(List.of("canny"), "depth")));
  }

  @Test
  void whatIsWrongWithTheFolders() throws IOException {
    assertTrue(assertThrows(InputException.class, () -> RolePictures.read(folder)).getMessage().contains("has no roles in it"));
    assertTrue(assertThrows(InputException.class, () -> RolePictures.read(folder.resolve("absent"))).getMessage()
        .endsWith("it does not exist"));
    Drawn.write(folder.resolve("canny/0_canny.png"));
    Drawn.write(folder.resolve("canny/0.png"));
    Files.createDirectories(folder.resolve("empty"));
    Files.createDirectories(folder.resolve("text"));
    Files.writeString(folder.resolve("text/0.png"), "no picture");
    Files.writeString(folder.resolve("text/1.png"), "nor this");
    List<String> problems = assertThrows(InputException.class, () -> RolePictures.read(folder)).problems();
    assertEquals(4, problems.size(), String.join("\n", problems));
    assertTrue(problems.getFirst().endsWith("are both of sample '0' in role 'canny'"));
  }

  @Test
  void aRecordHasRowsTagsAndSentences() throws IOException {
    RolePictures pictures = roles(6, "canny", "style", "target");
    Files.writeString(folder.resolve("target/3_target.txt"), "a dog on a beach.\n");
    InContextTask task = new InContextTask(List.of("canny", "style"), "target");
    List<TrainingRecord> records = new InContextBuilder(pictures, task).build(40, new TorchRandom(1));
    assertEquals(240, records.size());
    for (TrainingRecord record : records) {
      String text = record.instruction();
      List<Path> inputs = record.inputImages();
      int rows = (inputs.size() + 1) / 3;
      assertEquals(3 * rows - 1, inputs.size());
      assertEquals("canny+style", record.taskType());
      String sample = record.outputImage().getFileName().toString().substring(0, 1);
      for (int i = 0; i < inputs.size(); i++) {
        assertEquals(List.of("canny", "style", "target").get(i % 3), inputs.get(i).getParent().getFileName().toString());
        assertEquals(inputs.get(i / 3 * 3).getFileName().toString().charAt(0), inputs.get(i).getFileName().toString().charAt(0));
      }
      assertEquals(sample, inputs.getLast().getFileName().toString().substring(0, 1));
      assertEquals(inputs.size(), Set.copyOf(inputs).size(), "no sample twice");
      assertTrue(!inputs.contains(record.outputImage()));
      StringBuilder tags = new StringBuilder();
      for (int row = 1; row <= rows; row++) {
        tags.append(" Row ").append(row).append(": ");
        for (int column = 1; column <= (row < rows ? 3 : 2); column++) {
          tags.append(column == 1 ? "" : ", ").append(ImageTags.tag(3 * (row - 1) + column));
        }
        tags.append(row < rows ? "." : ", then the picture to be made.");
      }
      assertTrue(text.contains(tags), text);
      assertTrue(text.contains(rows == 1 ? "1 row" : rows + " rows"), text);
      assertTrue(text.contains("3 pictures") && text.contains(RoleDescriptions.of("canny") + " and " + RoleDescriptions.of("style")), text);
      assertTrue(text.contains(RoleDescriptions.of("target")) && !text.contains("{"), text);
      assertEquals(sample.equals("3"), text.contains("a dog on a beach."), text);
    }
    Path file = folder.resolve("records.jsonl");
    RecordFile.write(file, records);
    List<TrainingRecord> back = RecordFile.read(file, null);
    assertEquals(records.stream().map(TrainingRecord::inputImages).toList(),
        back.stream().map(TrainingRecord::inputImages).toList());
    assertEquals(records.stream().map(TrainingRecord::instruction).toList(), back.stream().map(TrainingRecord::instruction).toList());
  }

  @Test
  void rowsComeInTheirProportions() throws IOException {
    InContextBuilder builder = new InContextBuilder(roles(5, "depth", "target"), new InContextTask(List.of("depth"), "target"));
    Map<Integer, Integer> counts = new HashMap<>();
    Set<String> texts = new HashSet<>();
    Set<String> examples = new HashSet<>();
    for (TrainingRecord record : builder.build(600, new TorchRandom(5))) {
      counts.merge((record.inputImages().size() + 1) / 2, 1, Integer::sum);
      texts.add(record.instruction().replaceAll("<.*>", ""));
      examples.add(record.inputImages().toString());
    }
    assertEquals(Set.of(1, 2, 3), counts.keySet());
    assertEquals(900, counts.get(1), 100);
    assertEquals(1200, counts.get(2), 110);
    assertEquals(900, counts.get(3), 100);
    // Ways of saying it: rows x layouts x tasks. Choices of examples: none, 5 x 4, 5 x 4 x 3.
    assertEquals(3 * 10 * 10, texts.size());
    assertEquals(5 + 20 + 60, examples.size());
  }

  @Test
  void theNumberOfExamplesCanBeGiven() throws IOException {
    InContextBuilder builder = new InContextBuilder(roles(4, "hed", "target"), new InContextTask(List.of("hed"), "target"));
    for (int examples = 0; examples < 6; examples++) {
      int inputs = 2 * Math.min(examples, 3) + 1;
      List<TrainingRecord> records = builder.withExamples(examples).build(5, new TorchRandom(3));
      assertEquals(20, records.size());
      records.forEach(record -> assertEquals(inputs, record.inputImages().size()));
    }
    assertThrows(IllegalArgumentException.class, () -> builder.withExamples(-1));
  }

  @Test
  void theSeedDecides() throws IOException {
    InContextBuilder builder = new InContextBuilder(roles(4, "hed", "target"), new InContextTask(List.of("hed"), "target"));
    assertEquals(builder.build(3, new TorchRandom(9)), builder.build(3, new TorchRandom(9)));
    assertNotEquals(builder.build(3, new TorchRandom(9)), builder.build(3, new TorchRandom(10)));
  }

  @Test
  void fewSamplesGiveFewRows() throws IOException {
    InContextBuilder builder = new InContextBuilder(roles(1, "hed", "target"), new InContextTask(List.of("hed"), "target"));
    assertTrue(builder.build(20, new TorchRandom(9)).stream().allMatch(record -> record.inputImages().size() == 1));
    Files.writeString(folder.resolve("target/0_target.txt"), "like <img><|image_1|></img>");
    assertThrows(InputException.class, () -> builder.build(1, new TorchRandom(9)));
    assertThrows(IllegalArgumentException.class, () -> new InContextTask(List.of(), "target"));
    assertThrows(IllegalArgumentException.class, () -> new InContextTask(List.of("target"), "target"));
  }

  /** From a folder of photographs to a role computed from it, and to records. */
  @Test
  void conditionsAreComputedAndWritten() throws IOException {
    Path photos = folder.resolve("photos");
    for (int i = 0; i < 3; i++) {
      int shift = 5 * i;
      Drawn.write(photos.resolve("dog" + i + ".png"), Drawn.gray(40, 30, (x, y) -> x > 10 + shift && y > 9 ? 220 : 30));
    }
    Path out = folder.resolve("conditions");
    Canny canny = new Canny();
    Condition noise = new Degradation.GaussianNoise(20);
    RolePictures photo = RolePictures.of("target", photos);
    RolePictures pictures = photo.with(canny, "target", out, 1).with(noise, "target", out, 1);
    assertEquals(Set.of("canny", "gaussian_noise", "target"), pictures.roles());
    assertEquals(out.resolve("canny/dog1_canny.png"), pictures.file("canny", "dog1"));
    assertEquals(canny.of(Pictures.read(photos.resolve("dog1.png"))), Pictures.read(pictures.file("canny", "dog1")));
    byte[] first = Files.readAllBytes(pictures.file("gaussian_noise", "dog2"));
    Files.delete(photos.resolve("dog0.png"));
    RolePictures.of("target", photos).with(noise, "target", out, 1);
    assertArrayEquals(first, Files.readAllBytes(pictures.file("gaussian_noise", "dog2")));
    assertThrows(InputException.class, () -> pictures.with(canny, "target", out, 1));
    assertThrows(InputException.class, () -> photo.with(canny, "ref", out, 1));
    byte[] half = Files.readAllBytes(photos.resolve("dog1.png"));
    Files.write(photos.resolve("dog1.png"), Arrays.copyOf(half, half.length / 2));
    Files.write(photos.resolve("dog3.png"), Arrays.copyOf(half, half.length / 2));
    RolePictures damaged = RolePictures.of("target", photos);
    List<String> problems = assertThrows(InputException.class, () -> damaged.with(canny, "target", out, 1)).problems();
    assertEquals(2, problems.size(), String.join("\n", problems));
    assertTrue(problems.getFirst().contains("dog1.png") && problems.getLast().contains("dog3.png"), String.join("\n", problems));
  }

  @Test
  void everyConditionAndDamageHasWords() {
    Condition.known().forEach(condition -> assertTrue(RoleDescriptions.isKnown(condition.role()), condition.role()));
    assertEquals(RoleDescriptions.of("instantstyle_image"), RoleDescriptions.of("InstantStyle_image_3"));
    assertEquals(RoleDescriptions.of("depth"), RoleDescriptions.of("Depth"));
    assertEquals("a picture of the kind \"line art\"", RoleDescriptions.of("line_art"));
    assertEquals("my words", new InContextTask("t", List.of("canny"), "target", Map.of("canny", "my words")).description("canny"));
    for (Phrasings phrasings : List.of(Phrasings.LAYOUT, Phrasings.TASK, Phrasings.CONTENT)) {
      assertEquals(10, Set.copyOf(phrasings.ways()).size());
    }
    assertTrue(Phrasings.LAYOUT.ways().stream().allMatch(way -> way.contains("{rows}") && way.contains("{columns}")));
    assertTrue(Phrasings.TASK.ways().stream().allMatch(way -> way.contains("{conditions}") && way.contains("{target}")));
    assertTrue(Phrasings.CONTENT.ways().stream().allMatch(way -> way.contains("{content}")));
  }
}
