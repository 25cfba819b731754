package org.deft4j.deft.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.weights.Json;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.OmniGenFolders;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** {@code train --resume}: the folder of a run that was stopped and gone on with has the bytes of one that was not. */
@DisabledOnOs(OS.WINDOWS)
class ResumeTest {
  private static final int STEPS = 6;
  private static final String STATE = "training_state.safetensors";

  @TempDir
  Path folder;

  private final String model = Fixtures.models().getFirst().toString();
  private final Path photos = Fixtures.repository().resolve("deft/src/demo/photos");
  private Path few;
  private Path out;

  @BeforeEach
  void prepare() throws IOException {
    out = folder.resolve("out");
    few = Files.createDirectory(folder.resolve("few"));
    Files.copy(photos.resolve("00.jpg"), few.resolve("a.jpg"));
    Files.copy(photos.resolve("01.jpg"), few.resolve("b.jpg"));
  }

  /** A training of so many steps to {@code to}; {@code more} takes the place of what it names. */
  private String[] train(Path to, Object... more) {
    List<String> arguments = new ArrayList<>(List.of("train"));
    List<String> given = Arrays.stream(more).map(String::valueOf).toList();
    List<String> usual = List.of("--model", model, "--data", few.toString(), "--prompt", "a toy", "--rank", "2", "--size", "32", "--lr", "1e-3", "--seed", "5",
        "--steps", Integer.toString(STEPS), "--out", to.toString());
    for (int i = 0; i < usual.size(); i += 2) {
      if (!given.contains(usual.get(i))) {
        arguments.addAll(usual.subList(i, i + 2));
      }
    }
    arguments.addAll(given);
    return arguments.toArray(String[]::new);
  }

  private static Object[] with(Object[] all, Object... more) {
    return Stream.concat(Arrays.stream(all), Arrays.stream(more)).toArray();
  }

  /** Sends this process what Ctrl-C sends. */
  static void interrupt() {
    try {
      new ProcessBuilder("kill", "-INT", Long.toString(ProcessHandle.current().pid())).start().waitFor();
      Thread.sleep(50);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Is interrupted after three steps, or one more where the signal takes its time; returns the checkpoint. */
  private Path stopped(Object... more) {
    Terminal stopped = Terminal.run("step 3/", ResumeTest::interrupt, train(out, more));
    assertEquals(130, stopped.status(), stopped.err());
    Path checkpoint = Checkpoint.newest(out).orElseThrow();
    assertTrue(stopped.err().contains("continue with --resume: the same command with it goes on from step "
        + checkpoint.getFileName().toString().substring("checkpoint-".length()) + " (" + checkpoint + ")"), stopped.err());
    return checkpoint;
  }

  private void assertSameFolders(Path expected, Path actual) throws IOException {
    try (Stream<Path> files = Files.walk(expected); Stream<Path> others = Files.walk(actual)) {
      List<String> names = files.map(file -> expected.relativize(file).toString()).sorted().toList();
      assertEquals(names, others.map(file -> actual.relativize(file).toString()).sorted().toList());
      for (String name : names) {
        if (Files.isRegularFile(expected.resolve(name))) {
          assertArrayEquals(Files.readAllBytes(expected.resolve(name)), Files.readAllBytes(actual.resolve(name)), name);
        }
      }
    }
  }

  private void assertResumes(Object... more) throws IOException {
    Path whole = folder.resolve("whole");
    Terminal expected = Terminal.run(train(whole, more));
    assertEquals(0, expected.status(), expected.err());
    stopped(more);
    Terminal resumed = Terminal.run(train(out, with(more, "--resume")));
    assertEquals(0, resumed.status(), resumed.err());
    assertTrue(resumed.err().contains("going on from step "), resumed.err());
    assertSameFolders(whole, out);
  }

  @Test
  void deftOnSeveralFoldersWithAccumulation() throws IOException {
    Path one = Files.createDirectory(folder.resolve("one"));
    Files.copy(photos.resolve("02.jpg"), one.resolve("c.jpg"));
    assertResumes("--data", few, "--data", one, "--repeats", "1,2", "--accumulate", 2, "--dropout", 0.1, "--train-text-encoder",
        "--save-every", 2);
  }

  @Test
  void loraWithAScheduleAndALayerDropout() throws IOException {
    assertResumes("--method", "lora", "--schedule", "cosine", "--warmup", 2, "--layer-dropout", 0.1);
  }

  @Test
  void paraWithDropout() throws IOException {
    assertResumes("--method", "para", "--dropout", 0.3, "--accumulate", 2);
  }

  @Test
  void allWeights() throws IOException {
    assertResumes("--method", "full", "--weights", "f32", "--save-every", 2);
  }

  /** What is loaded for a checkpoint is in the plan, which is asked for no byte more. */
  @Test
  void aCheckpointOfAllWeightsFitsIntoWhatWasPlanned() {
    Object[] full = {"--method", "full", "--weights", "f32", "--save-every", 1, "--steps", 2};
    Terminal planned = Terminal.run(train(out, with(full, "--dry-run", "--json")));
    long tensors = Json.parse(planned.out(), "plan").requireObject("memory").requireLongInteger("tensors");
    MemoryPool pool = MemoryPool.current();
    long budget = pool.budget();
    pool.trim();
    pool.setBudget(pool.reservedBytes() + tensors);
    try {
      Terminal done = Terminal.run(train(out, full));
      assertEquals(0, done.status(), done.err());
    } finally {
      pool.setBudget(budget);
    }
  }

  @Test
  void omniGen() throws IOException {
    Path omniGen = OmniGenFolders.make(folder.resolve("omnigen"));
    Path pictures = Fixtures.folders("omnigen").getFirst().resolve("images").toAbsolutePath();
    Path records = Files.writeString(folder.resolve("records.jsonl"), """
        {"task_type": "text_to_image", "instruction": "a photo of sks fox", "output_image": "a.png"}
        {"instruction": "make <img><|image_1|></img> like <img><|image_2|></img>", "input_images": ["a.png", "b.png"], "output_image": "c.png"}
        """);
    Object[] settings = {"--model", omniGen, "--data", records, "--image-root", pictures, "--size", 64, "--condition-dropout", 0.3};
    assertResumes(with(settings, "--batch", 2, "--accumulate", 2));
    out = folder.resolve("all");
    Path whole = folder.resolve("all-whole");
    Object[] full = with(settings, "--method", "full", "--weights", "f32", "--steps", 4, "--save-every", 1);
    assertEquals(0, Terminal.run(train(whole, full)).status());
    stopped(full);
    assertEquals(0, Terminal.run(train(out, with(full, "--resume"))).status());
    assertSameFolders(whole, out);
  }

  /** What a checkpoint has of an adapter is used as the final folder is; the seed need not be given, nor paths stay, nor the number of steps. */
  @Test
  void aCheckpointIsAnAdapterAndMayBeGoneOnWithForLonger() throws IOException {
    Path checkpoint = stopped("--save-every", 0);
    assertTrue(Terminal.files(checkpoint).containsAll(List.of("adapter_config.json", "adapter_model.safetensors", "losses.csv", "run.json")));
    assertArrayEquals(Files.readAllBytes(out.resolve("adapter_model.safetensors")), Files.readAllBytes(checkpoint.resolve("adapter_model.safetensors")));
    for (Path adapter : List.of(checkpoint, out)) {
      Terminal made = Terminal.run("generate", "--model", model, "--adapter", adapter.toString(), "--prompt", "x", "--steps", "1", "--width", "32",
          "--height", "32", "--seed", "1", "--out", folder.resolve("x.png").toString());
      assertEquals(0, made.status(), made.err());
    }
    Path moved = folder.resolve("moved");
    Files.move(few, moved);
    few = moved;
    Path whole = folder.resolve("whole");
    assertEquals(0, Terminal.run(train(whole, "--steps", 8)).status());
    List<String> arguments = new ArrayList<>(List.of(train(out, "--steps", 8, "--resume")));
    int seed = arguments.indexOf("--seed");
    arguments.subList(seed, seed + 2).clear();
    Terminal resumed = Terminal.run(arguments.toArray(String[]::new));
    assertEquals(0, resumed.status(), resumed.err());
    assertSameFolders(whole, out);
  }

  private void assertMistake(Terminal terminal, String... parts) {
    assertEquals(2, terminal.status(), terminal.err());
    List<String> sentences = terminal.err().lines().filter(line -> line.startsWith("deft: ")).toList();
    assertEquals(parts.length, sentences.size(), terminal.err());
    for (int i = 0; i < parts.length; i++) {
      assertTrue(sentences.get(i).startsWith("deft: " + parts[i]), parts[i] + " in " + terminal.err());
    }
  }

  /** The model with another last bit in its denoiser. */
  private Path otherModel() throws IOException {
    Path copy = folder.resolve("model");
    try (Stream<Path> files = Files.walk(Path.of(model))) {
      for (Path file : files.filter(Files::isRegularFile).toList()) {
        Path target = copy.resolve(Path.of(model).relativize(file).toString());
        Files.createDirectories(target.getParent());
        Files.write(target, Files.readAllBytes(file));
      }
    }
    Path weights = copy.resolve("unet/diffusion_pytorch_model.safetensors");
    byte[] bytes = Files.readAllBytes(weights);
    bytes[bytes.length - 4] ^= 1;
    Files.write(weights, bytes);
    return copy;
  }

  @Test
  void whatIsNotAsItWasIsNamedAllAtOnce() throws IOException {
    Terminal none = Terminal.run(train(out, "--resume"));
    assertMistake(none, "--resume: there is no checkpoint in " + out + " to go on from; leave it out to begin a new run");
    Path checkpoint = stopped("--schedule", "cosine");
    assertMistake(Terminal.run(train(out, "--schedule", "cosine")), "output " + out + " holds " + checkpoint.getFileName()
        + " of a run that did not finish; give --resume to go on from it");
    Files.copy(photos.resolve("02.jpg"), few.resolve("c.jpg"));
    assertMistake(Terminal.run(train(out, "--resume", "--rank", 3, "--lr", "2e-3", "--seed", 6, "--steps", 9, "--schedule", "cosine", "--gate", "--clip", 0.5,
        "--model", otherModel(), "--method", "lora", "--targets", "to_q", "--batch", 2)),
        "--model: its weights are not those", "--data: the examples are not those", "--method lora: the checkpoint's run has deft",
        "--decomposition none: the checkpoint's run has relaxed", "--variance none", "--rank 3: the checkpoint's run has 2", "--gate true",
        "--targets to_q: the checkpoint's run has to_q,to_k,to_v,to_out.0", "--steps 9: the checkpoint's run has 6, and its learning rate",
        "--lr 0.002: the checkpoint's run has 0.001", "--clip 0.5: the checkpoint's run has 1", "--batch 2", "--seed 6: the checkpoint's run has 5");
    Files.delete(few.resolve("c.jpg"));
    assertMistake(Terminal.run(train(out, "--resume", "--schedule", "cosine", "--steps", 2)), "--steps 2: the checkpoint is of step ");
    assertMistake(Terminal.run(train(out, "--resume", "--schedule", "cosine", "--dry-run", "--rank", 3)), "--rank 3: the checkpoint's run has 2");
    assertMistake(Terminal.run(train(out, "--save-every", -1, "--resume")), "--save-every -1: at least 0 is needed");
    byte[] state = Files.readAllBytes(checkpoint.resolve(STATE));
    state[state.length / 2] ^= 1;
    Files.write(checkpoint.resolve(STATE), state);
    assertMistake(Terminal.run(train(out, "--resume", "--schedule", "cosine")), checkpoint.resolve(STATE) + ": is damaged: ");
    Files.writeString(checkpoint.resolve("checkpoint.json"), "{");
    assertMistake(Terminal.run(train(out, "--resume", "--schedule", "cosine")), checkpoint.resolve("checkpoint.json") + ": is not valid JSON");
    Files.delete(checkpoint.resolve("checkpoint.json"));
    assertMistake(Terminal.run(train(out, "--resume", "--schedule", "cosine")), checkpoint.resolve("checkpoint.json") + ": there is no such file");
  }

  /** A rate that leaves numbers no loss can be computed of: the run fails, and its last checkpoint is of before. */
  @Test
  void aRunThatFailsTellsOfItsCheckpoint() throws IOException {
    Terminal failed = Terminal.run(train(out, "--lr", "1e30", "--warmup", 2, "--clip", 0, "--save-every", 1));
    assertEquals(1, failed.status(), failed.err());
    Path checkpoint = Checkpoint.newest(out).orElseThrow();
    long step = Json.read(checkpoint.resolve("checkpoint.json")).requireLongInteger("step");
    assertTrue(failed.err().contains("deft: step " + (step + 1) + ": "), failed.err());
    assertTrue(failed.err().endsWith("goes on from step " + step + " (" + checkpoint + ")\n"), failed.err());
    assertEquals(List.of(checkpoint.getFileName().toString()), Terminal.files(out), "nothing else is left");
    Terminal made = Terminal.run("generate", "--model", model, "--adapter", out.toString(), "--prompt", "x", "--seed", "1", "--out",
        folder.resolve("x.png").toString());
    assertEquals(2, made.status());
    assertTrue(made.err().endsWith("(the DEFT authors) in it; " + checkpoint + " is an adapter\n"), made.err());
    Terminal without = Terminal.run(train(folder.resolve("other"), "--lr", "1e30", "--warmup", 2, "--clip", 0, "--save-every", 0));
    assertTrue(without.err().endsWith("the run has left no checkpoint to continue from; --save-every N keeps one\n"), without.err());
    assertFalse(Files.exists(folder.resolve("other")));
  }

  /** What a process that was killed while it wrote has left goes; a finished run's own files are replaced beside the checkpoint. */
  @Test
  void whatWasLeftGoes() throws IOException {
    Path whole = folder.resolve("whole");
    assertEquals(0, Terminal.run(train(whole)).status());
    Path checkpoint = stopped("--save-every", 2);
    Files.createDirectory(out.resolve(".checkpoint-9.123.part"));
    Files.writeString(out.resolve(".checkpoint-9.123.part/run.json"), "{");
    Files.createDirectory(out.resolve("checkpoint-1"));
    assertEquals(checkpoint, Checkpoint.newest(out).orElseThrow());
    assertEquals(0, Terminal.run(train(out, "--save-every", 5, "--resume")).status());
    assertSameFolders(whole, out);
  }
}
