package org.deft4j.deft.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What ends a run from outside, in a process as a user has it: signals, memory, the disk. */
@DisabledOnOs(OS.WINDOWS)
class HardErrorsTest {
  private static final String TABLE = "text_model.embeddings.token_embedding.weight";
  private static final String NO_FLAG = "-Ddeft4j.test=true";

  @TempDir
  Path folder;

  private final Path model = Fixtures.models().getFirst();
  private final Path photos = Path.of(System.getProperty("deft4j.root", "..")).resolve("deft/src/demo/photos");
  private final Path out = Path.of("run");

  private String[] train(Path from, String... more) {
    return train(from, 5000, more);
  }

  private String[] train(Path from, int steps, String... more) {
    List<String> arguments = new ArrayList<>(List.of("train", "--model", from.toString(), "--data", photos.toString(),
        "--prompt", "a toy", "--rank", "8", "--seed", "5", "--steps", Integer.toString(steps)));
    if (!List.of(more).contains("--out")) {
      arguments.addAll(List.of("--out", results().resolve(out).toString()));
    }
    arguments.addAll(Arrays.asList(more));
    return arguments.toArray(String[]::new);
  }

  private Path results() {
    return folder.resolve("results");
  }

  private Set<String> left() throws IOException {
    try (Stream<Path> files = Files.walk(results())) {
      return files.filter(file -> !file.equals(results())).map(file -> results().relativize(file).toString())
          .collect(Collectors.toSet());
    }
  }

  @Test
  void anInterruptWhileTrainingSavesWhatThereIs() throws IOException, InterruptedException {
    Files.createDirectory(results());
    try (Child child = Child.start(NO_FLAG, train(model, "--size", "32"))) {
      child.awaitMessage("step 1/5000");
      child.interrupt();
      assertEquals(130, child.status(), child.messages());
      assertTrue(child.messages().contains("interrupted: finishing this step and saving"), child.messages());
    }
    Set<String> expected = TrainingRun.FILES.stream().filter(file -> !TrainingRun.FOLDERS.contains(file))
        .map(file -> out.resolve(file).toString()).collect(Collectors.toSet());
    expected.add(out.toString());
    int steps = Json.read(results().resolve(out).resolve(TrainingRun.RUN)).requireInteger("steps");
    assertTrue(steps >= 1 && steps < 5000, steps + " steps");
    Path checkpoint = out.resolve("checkpoint-" + steps);
    Stream.of("", "adapter_config.json", "adapter_model.safetensors", "losses.csv", TrainingRun.RUN, Checkpoint.STATE, Checkpoint.ABOUT)
        .forEach(file -> expected.add(checkpoint.resolve(file).toString()));
    assertEquals(expected, left());
  }

  /** What comes out of a run that was killed and gone on with is what would have come out. */
  @Test
  void aKilledRunGoesOnFromItsCheckpoint() throws IOException, InterruptedException {
    Files.createDirectory(results());
    String[] killed = train(model, 24, "--size", "32", "--targets", "to_q", "--save-every", "1", "--checkpointing");
    try (Child child = Child.start(NO_FLAG, killed)) {
      child.awaitMessage("step 5/24");
      child.kill();
      assertEquals(128 + 9, child.status(), child.messages());
    }
    assertTrue(Checkpoint.newest(results().resolve(out)).isPresent(), left().toString());
    Terminal again = Terminal.run(killed);
    assertEquals(2, again.status(), again.err());
    assertTrue(again.err().contains("of a run that did not finish; give --resume to go on from it"), again.err());
    Terminal resumed = Terminal.run(train(model, 24, "--size", "32", "--targets", "to_q", "--resume"));
    assertEquals(0, resumed.status(), resumed.err());
    Path whole = folder.resolve("whole");
    assertEquals(0, Terminal.run(train(model, 24, "--size", "32", "--targets", "to_q", "--out", whole.toString())).status());
    assertEquals(Terminal.files(whole), Terminal.files(results().resolve(out)));
    for (String file : Terminal.files(whole)) {
      assertArrayEquals(Files.readAllBytes(whole.resolve(file)), Files.readAllBytes(results().resolve(out).resolve(file)), file);
    }
  }

  /** A limit on the size of files that an adapter keeps to, and the state of its training does not. */
  @Test
  void aDiskThatHasNoRoomForACheckpointDoesNotEndTheRun() throws IOException, InterruptedException {
    Files.createDirectory(results());
    List<String> limited = List.of("/bin/sh", "-c", "ulimit -f 700; exec \"$@\"", "sh");
    try (Child child = Child.start(limited, NO_FLAG, train(model, 3, "--size", "32", "--save-every", "1"))) {
      assertEquals(0, child.status(), child.messages());
      assertTrue(child.messages().contains("the checkpoint of step 2 cannot be written: "), child.messages());
      assertTrue(child.messages().contains("; the run goes on, and there is none"), child.messages());
    }
    Set<String> files = left();
    assertTrue(files.contains(out.resolve("adapter_model.safetensors").toString()), files.toString());
    assertTrue(files.stream().noneMatch(file -> file.contains("checkpoint")), files.toString());
  }

  @Test
  void anInterruptWhileEncodingLeavesNothing() throws IOException, InterruptedException {
    Files.createDirectory(results());
    try (Child child = Child.start(NO_FLAG, train(model, "--size", "256"))) {
      child.awaitMessage("encoding pictures 1/6");
      child.interrupt();
      assertEquals(130, child.status(), child.messages());
      assertTrue(child.messages().contains("interrupted while encoding the pictures, picture "), child.messages());
    }
    assertEquals(Set.of(), left());
  }

  @Test
  void anInterruptWhileLoadingLeavesNothing() throws IOException, InterruptedException {
    Files.createDirectory(results());
    Path large = largeModel();
    try (Child child = Child.start(NO_FLAG, train(large, "--size", "32"))) {
      child.awaitMessage("loading ");
      child.interrupt();
      assertEquals(130, child.status(), child.messages());
      assertTrue(child.messages().contains("interrupted while loading the weights"), child.messages());
    }
    assertEquals(Set.of(), left());
  }

  /** The small model with a vocabulary that takes a while to read; its table is a hole in a sparse file. */
  private Path largeModel() throws IOException {
    Path copy = folder.resolve("large");
    try (Stream<Path> files = Files.walk(model)) {
      for (Path file : files.filter(Files::isRegularFile).filter(file -> !model.relativize(file).startsWith("golden")).toList()) {
        Path target = copy.resolve(model.relativize(file).toString());
        Files.createDirectories(target.getParent());
        Files.copy(file, target);
      }
    }
    long rows = 6_000_000;
    Path config = copy.resolve("text_encoder/config.json");
    Files.writeString(config, Files.readString(config).replaceFirst("(\"vocab_size\": )\\d+", "$1" + rows));
    growTable(copy.resolve("text_encoder/model.safetensors"), rows);
    return copy;
  }

  /** Makes the token embedding, moved to the end of the file, {@code rows} long. */
  private static void growTable(Path file, long rows) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    int length = Math.toIntExact(ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong(0));
    JsonObject header = Json.parse(new String(bytes, 8, length, StandardCharsets.UTF_8).strip(), "header");
    Map<String, Object> grown = new LinkedHashMap<>();
    ByteArrayOutputStream data = new ByteArrayOutputStream();
    for (String name : header.keys()) {
      if (!name.equals(TABLE) && !name.equals("__metadata__")) {
        List<Integer> offsets = header.requireObject(name).requireInts("data_offsets");
        grown.put(name, entry(header.requireObject(name), header.requireObject(name).requireInts("shape"), data.size(),
            data.size() + offsets.get(1) - offsets.get(0)));
        data.write(bytes, 8 + length + offsets.get(0), offsets.get(1) - offsets.get(0));
      }
    }
    JsonObject table = header.requireObject(TABLE);
    int width = table.requireInts("shape").get(1);
    long end = data.size() + rows * width * (table.requireString("dtype").equals("F32") ? 4 : 2);
    grown.put(TABLE, entry(table, List.of(rows, width), data.size(), end));
    byte[] text = Json.format(grown).getBytes(StandardCharsets.UTF_8);
    try (RandomAccessFile sparse = new RandomAccessFile(file.toFile(), "rw")) {
      sparse.setLength(0);
      sparse.write(ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(text.length).array());
      sparse.write(text);
      sparse.write(data.toByteArray());
      sparse.setLength(8 + text.length + end);
    }
  }

  private static Map<String, Object> entry(JsonObject old, List<? extends Number> shape, long begin, long end) {
    Map<String, Object> entry = new LinkedHashMap<>(old.asMap());
    entry.put("shape", shape);
    entry.put("data_offsets", List.of(begin, end));
    return entry;
  }

  @Test
  void tooLittleMemoryEndsWithItsOwnStatus() throws IOException, InterruptedException {
    Files.createDirectory(results());
    try (Child child = Child.start("-Ddeft4j.memory=1m", train(model, "--size", "32"))) {
      assertEquals(3, child.status(), child.messages());
      assertTrue(child.messages().contains("deft: not enough memory: this takes "), child.messages());
    }
    assertEquals(Set.of(), left());
  }

  /** A limit on the size of files stands for a full disk: writing fails in the middle. */
  @Test
  void aDiskThatIsFullEndsWithOneSentenceAndLeavesNothing() throws IOException, InterruptedException {
    Files.createDirectory(results());
    List<String> limited = List.of("/bin/sh", "-c", "ulimit -f 8; exec \"$@\"", "sh");
    try (Child child = Child.start(limited, NO_FLAG, train(model, 1, "--size", "32"))) {
      assertEquals(1, child.status(), child.messages());
      assertSentence(child, "deft: while writing " + results().resolve(out) + ": ");
    }
    Path picture = results().resolve("picture.png");
    try (Child child = Child.start(limited, NO_FLAG, "generate", "--model", model.toString(), "--prompt", "a toy", "--steps", "1",
        "--width", "128", "--height", "128", "--seed", "1", "--out", picture.toString())) {
      assertEquals(1, child.status(), child.messages());
      assertSentence(child, "deft: while writing " + picture + ": ");
    }
    assertEquals(Set.of(), left());
  }

  private static void assertSentence(Child child, String start) {
    List<String> sentences = child.messages().lines().filter(line -> line.startsWith("deft: ")).toList();
    assertEquals(1, sentences.size(), child.messages());
    assertTrue(sentences.getFirst().startsWith(start), child.messages());
    assertFalse(child.messages().contains("\tat "), child.messages());
  }
}
