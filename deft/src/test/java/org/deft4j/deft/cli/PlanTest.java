package org.deft4j.deft.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.TrainingOptions;
import org.deft4j.tensor.MemoryException;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What a plan says is what the run does; what does not fit is refused; what turns out not to fit says where it was. */
class PlanTest {
  @TempDir
  Path folder;

  private final Path photos = Path.of(System.getProperty("deft4j.root", "..")).resolve("deft/src/demo/photos");

  private static String sdxl() {
    return Fixtures.folders("sdxl").getFirst().toString();
  }

  private String[] train(String... more) {
    return join(List.of("train", "--model", sdxl(), "--data", photos.toString(), "--prompt", "a toy", "--rank", "2",
        "--size", "64", "--seed", "5", "--out", folder.resolve("run").toString()), more);
  }

  private String[] generate(String model, String... more) {
    return join(List.of("generate", "--model", model, "--prompt", "a toy", "--width", "64", "--height", "96", "--seed",
        "5", "--out", folder.resolve("picture.png").toString()), more);
  }

  private static String[] join(List<String> first, String... more) {
    List<String> all = new ArrayList<>(first);
    all.addAll(Arrays.asList(more));
    return all.toArray(String[]::new);
  }

  private static JsonObject plan(String... command) {
    Terminal terminal = Terminal.run(join(List.of(command), "--dry-run", "--json"));
    assertEquals(0, terminal.status(), terminal.err());
    return Json.parse(terminal.out(), "plan");
  }

  private List<String> left() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).toList();
    }
  }

  /** Runs {@code command} from an empty pool; returns the most that it took from the system. */
  private static long taken(String... command) {
    MemoryPool.cpu().trim();
    MemoryPool.cpu().resetPeak();
    assertEquals(0, MemoryPool.cpu().reservedBytes(), "nothing is left of other tests");
    Terminal terminal = Terminal.run(command);
    assertEquals(0, terminal.status(), terminal.err());
    return MemoryPool.cpu().peakReservedBytes();
  }

  @Test
  void tensorsTakeToTheByteWhatThePlanSays() {
    for (Path model : Fixtures.models()) {
      String[] sampling = generate(model.toString(), "--steps", "3", "--scheduler", "dpmpp_2m");
      assertEquals(planned(sampling), taken(sampling), model.toString());
    }
    for (String way : List.of("--checkpointing", "--method=para", "--train-text-encoder")) {
      String[] training = train("--steps", "3", "--accumulate", "2", way);
      assertEquals(planned(training), taken(training), way);
    }
  }

  /** What these take at most is what they need: with a byte less they are refused, and nothing is written. */
  @Test
  void convertingAndMergingTakeToTheByteWhatTheyAskFor() throws IOException {
    String adapter = folder.resolve("run").toString();
    assertEquals(0, Terminal.run(train("--steps", "1", "--targets", "conv1")).status());
    assertEquals(0, Terminal.run("merge", "--model", sdxl(), "--adapter", adapter, "--out", folder.resolve("tuned").toString()).status());
    assertEquals(0, Terminal.run(train("--steps", "1")).status());
    Path out = folder.resolve("out.safetensors");
    List<String> kohya = List.of("--to", "kohya", "--out", out.toString());
    String tuned = folder.resolve("tuned").toString();
    List<String> convolutions = List.of("convert", "--model", sdxl(), "--tuned", tuned, "--rank", "2", "--targets", "conv1");
    List<String> merge = List.of("merge", "--model", sdxl(), "--adapter", adapter, "--adapter", adapter + ":0.5");
    for (List<String> command : List.of(
        Stream.concat(Stream.of("convert", "--model", sdxl(), "--adapter", adapter), kohya.stream()).toList(),
        Stream.concat(convolutions.stream(), kohya.stream()).toList(),
        Stream.concat(merge.stream(), kohya.stream()).toList(),
        Stream.concat(merge.stream(), Stream.of("--out", folder.resolve("merged").toString())).toList(),
        List.of("convert", "--model", sdxl(), "--weights", "bf16", "--out", folder.resolve("bf16").toString()))) {
      String[] words = command.toArray(String[]::new);
      long taken = taken(words);
      Path made = Path.of(command.getLast());
      Files.move(made, folder.resolve("moved" + left().size()));
      long budget = MemoryPool.cpu().budget();
      MemoryPool.cpu().trim();
      try {
        MemoryPool.cpu().setBudget(taken - 1);
        Terminal refused = Terminal.run(words);
        assertEquals(3, refused.status(), command + refused.err());
        assertTrue(refused.err().contains("deft: not enough memory: this takes ") && refused.err().contains("weights of unet"),
            refused.err());
        assertFalse(Files.exists(made), command.toString());
        MemoryPool.cpu().setBudget(taken);
        Terminal done = Terminal.run(words);
        assertEquals(0, done.status(), command + done.err());
      } finally {
        MemoryPool.cpu().setBudget(budget);
      }
    }
  }

  private static long planned(String... command) {
    return plan(command).requireObject("memory").requireLongInteger("tensors");
  }

  @Test
  void aPlanOfATraining() throws IOException {
    JsonObject plan = plan(train("--steps", "7", "--batch", "2"));
    assertEquals(List.of("text_encoder", "text_encoder_2", "unet", "vae"),
        plan.requireObjects("parts").stream().map(part -> part.requireString("part")).toList());
    assertTrue(plan.requireObjects("parts").stream().allMatch(part -> part.requireString("types").equals("F32")
        && part.requireLongInteger("bytes") == 4 * part.requireLongInteger("parameters")), "types as the files' headers say");
    assertEquals(7, plan.requireInteger("steps"));
    assertEquals(2, plan.requireInteger("batch"));
    assertEquals(6, plan.requireInteger("pictures"));
    assertEquals(1, plan.requireInteger("captions"));
    assertTrue(plan.requireInteger("layers") > 10 && plan.requireInteger("parameters") > 1000);
    JsonObject memory = plan.requireObject("memory");
    assertTrue(memory.requireBool("fits"));
    assertEquals(memory.requireLongInteger("total"), memory.requireLongInteger("tensors") + memory.requireLongInteger("java"));
    assertEquals(List.of("loading the weights", "encoding the pictures", "making the adapter", "training"),
        memory.requireObjects("phases").stream().map(phase -> phase.requireString("phase")).toList());
    long users = memory.requireObjects("users").stream().mapToLong(user -> user.requireLongInteger("bytes")).sum();
    assertEquals((double) memory.requireLongInteger("tensors"), (double) users, 0.02 * users, "the users add up to all");
    Terminal text = Terminal.run(join(List.of(train("--steps", "7")), "--dry-run"));
    assertEquals(0, text.status());
    assertTrue(text.out().contains("weights of unet") && text.out().contains("it fits"), text.out());
    assertEquals(List.of(), left(), "nothing is written");
  }

  @Test
  void whatDoesNotFitIsRefusedWithItsUsersAndWhatWouldHelp() throws IOException {
    long before = MemoryPool.cpu().systemAllocations();
    long budget = MemoryPool.cpu().budget();
    MemoryPool.cpu().setBudget(2 << 20);
    try {
      String[] command = train("--batch", "2");
      command[Arrays.asList(command).indexOf("--size") + 1] = "256";
      Terminal training = Terminal.run(command);
      assertEquals(3, training.status());
      for (String part : List.of("deft: not enough memory: this takes ", "the budget for tensors is 2.0 MiB", "weights of unet",
          "activations", "--checkpointing (", "--batch 1 (", "--weights bf16 (", "--size 128 (", "-Ddeft4j.memory")) {
        assertTrue(training.err().contains(part), "'" + part + "' in: " + training.err());
      }
      assertFalse(training.err().contains("step 1"), training.err());
      assertEquals("", training.out());
      Terminal sampling = Terminal.run(generate(sdxl(), "--json"));
      assertEquals(3, sampling.status());
      assertTrue(sampling.err().contains("--width 32 --height 48 ("), sampling.err());
      assertEquals(3, Terminal.run(join(List.of(generate(sdxl())), "--dry-run")).status());
    } finally {
      MemoryPool.cpu().setBudget(budget);
    }
    assertEquals(before, MemoryPool.cpu().systemAllocations(), "no tensor was made");
    assertEquals(List.of(), left());
  }

  /** The budget shrinks when the first picture is encoded: as if another had taken what was there. */
  @Test
  void memoryThatRunsOutInTheMiddleSaysWhatWasBeingDone() throws IOException {
    long budget = MemoryPool.cpu().budget();
    ByteArrayOutputStream text = new ByteArrayOutputStream();
    PrintStream err = new PrintStream(new OutputStream() {
      @Override
      public void write(int b) {
        text.write(b);
        if (text.toString(StandardCharsets.UTF_8).contains("encoding pictures 6/6")) {
          MemoryPool.cpu().trim();
          MemoryPool.cpu().setBudget(0);
        }
      }
    }, true, StandardCharsets.UTF_8);
    Console console = new Console(new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8), err, false, false);
    Activity activity = new Activity();
    TrainingOptions options = new TrainingOptions(9, 1e-4, 0.1, 0.999, 1e-4, 1, "constant", 0, 12, 1, false);
    TrainingRequest request = TrainingRequest.of(photos, "a toy", 64);
    TrainingRun run = new TrainingRun(new ModelArgument(sdxl(), null), request, AdapterConfig.deft(2), options, 1,
        folder.resolve("run"));
    try {
      MemoryException error = assertThrows(MemoryException.class,
          () -> run.run(console, activity, Interruption.install(console, activity)));
      assertTrue(error.getMessage().startsWith("while training, step 1 of 9: "), error.getMessage());
      assertTrue(error.getMessage().contains(" more would exceed the memory budget of "), error.getMessage());
      assertEquals(ExitStatus.MEMORY, ExitStatus.of(error));
    } finally {
      MemoryPool.cpu().setBudget(budget);
    }
    MemoryPool.cpu().trim();
    assertEquals(0, MemoryPool.cpu().reservedBytes(), "all was let go of");
    assertEquals(List.of(), left());
  }
}
