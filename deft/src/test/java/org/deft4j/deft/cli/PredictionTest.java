package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.weights.Json;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** What {@code --dry-run} predicts against the most that is resident ({@code VmHWM}), in processes started as the launcher does. */
@Tag("full")
@EnabledOnOs(OS.LINUX)
class PredictionTest {
  @TempDir
  Path folder;

  private final Path photos = Path.of(System.getProperty("deft4j.root", "..")).resolve("deft/src/demo/photos");

  @TestFactory
  Stream<DynamicTest> theMostThatIsResidentIsWithinATenthOfThePrediction() {
    return Fixtures.models().stream().flatMap(model -> Stream.of(generate(model, "128", "4"), generate(model, "256", "20"),
        train(model, "64", "5"), train(model, "128", "40", "--checkpointing"))
        .map(command -> DynamicTest.dynamicTest(String.join(" ", command), () -> check(command))));
  }

  private List<String> generate(Path model, String size, String steps) {
    return List.of("generate", "--model", model.toString(), "--prompt", "a toy", "--width", size,
        "--height", size, "--steps", steps, "--seed", "1", "--out", folder.resolve("picture.png").toString());
  }

  private List<String> train(Path model, String size, String steps, String... more) {
    List<String> command = new ArrayList<>(List.of("train", "--model", model.toString(), "--data",
        photos.toString(), "--prompt", "a toy", "--size", size, "--steps", steps, "--seed", "1", "--out",
        folder.resolve("run").toString()));
    command.addAll(Arrays.asList(more));
    return command;
  }

  private static void check(List<String> command) throws IOException, InterruptedException {
    long predicted;
    List<String> plan = new ArrayList<>(command);
    plan.addAll(List.of("--dry-run", "--json"));
    try (Child child = Child.start("-Xmn16m", plan.toArray(String[]::new))) {
      predicted = Json.parse(child.output(), "plan").requireObject("memory").requireLongInteger("total");
      assertEquals(0, child.status(), child.messages());
    }
    try (Child child = Child.start("-Xmn16m", command.toArray(String[]::new))) {
      long peak = child.peakBytes();
      assertEquals(0, child.status(), child.messages());
      assertEquals((double) predicted, (double) peak, 0.1 * peak);
    }
  }
}
