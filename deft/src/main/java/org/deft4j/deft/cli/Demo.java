package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.LossPlot;
import org.deft4j.deft.Method;
import org.deft4j.deft.ReadOptions;
import org.deft4j.deft.TrainingOptions;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;

/** The demo: one training and one picture for each method, and a page that shows them side by side. */
final class Demo {
  static final String REPORT = "report.html";
  static final String PLOT = "loss.png";
  static final String BEFORE = "before.png";

  private static final String CAPTION = "a photo of sks robot";
  private static final String PROMPT = "a photo of sks robot on the beach";
  private static final int SIZE = 64;
  private static final int SAMPLING_STEPS = 12;
  private static final int RANK = 4;
  private static final double LEARNING_RATE = 2e-3;
  /** What is tried, one after the other. */
  static final List<Method> METHODS = List.of(Method.DEFT, Method.PARA, Method.LORA);

  private final Path shipped;
  private final Path folder;
  private final int steps;
  private final long seed;

  Demo(Path shipped, Path folder, int steps, long seed) {
    this.shipped = shipped;
    this.folder = folder;
    this.steps = steps;
    this.seed = seed;
  }

  static String after(Method method) {
    return "after-" + method.label() + ".png";
  }

  /** Runs it; false if it was interrupted. */
  boolean run(Console console) throws IOException {
    Activity activity = new Activity();
    Interruption interruption = Interruption.install(console, activity);
    Console quiet = console.messagesOnly();
    ModelArgument model = new ModelArgument(shipped.resolve("model").toString(), null);
    quiet.message("before: a picture of the model as it is");
    generate(quiet, activity, model, List.of(), BEFORE);
    Map<Method, JsonObject> runs = new LinkedHashMap<>();
    Map<String, double[]> losses = new LinkedHashMap<>();
    for (Method method : METHODS) {
      quiet.message(method.label() + ": training");
      Path adapter = folder.resolve(method.label());
      TrainingRequest request = TrainingRequest.of(shipped.resolve("photos"), CAPTION, SIZE);
      TrainingRun run = new TrainingRun(model, request, AdapterConfig.of(method, RANK),
          TrainingOptions.steps(steps).withLearningRate(LEARNING_RATE), seed, adapter);
      if (run.run(quiet, activity, interruption) != ExitStatus.OK) {
        return false;
      }
      runs.put(method, Json.read(adapter.resolve(TrainingRun.RUN)));
      losses.put(method.label(), run.losses(Math.max(1, steps / 6)));
      generate(quiet, activity, model, List.of(new AdapterArgument(adapter, 1)), after(method));
    }
    LossPlot.write(folder.resolve(PLOT), "mean loss over " + Math.max(1, steps / 6) + " steps", losses);
    Files.writeString(folder.resolve(REPORT), report(runs));
    return true;
  }

  private void generate(Console console, Activity activity, ModelArgument model, List<AdapterArgument> adapters, String name)
      throws IOException {
    AdapterArguments arguments = new AdapterArguments(adapters, false, ReadOptions.STRICT);
    PictureRequest request = new PictureRequest(PROMPT, null, null, SAMPLING_STEPS, null, SIZE, SIZE, new OmniGenOptions());
    new Generation(model, arguments, request, seed, 1, folder.resolve(name)).run(console, activity);
  }

  private static String report(Map<Method, JsonObject> runs) {
    StringBuilder rows = new StringBuilder();
    StringBuilder pictures = new StringBuilder(figure(BEFORE, "before"));
    runs.forEach((method, run) -> {
      rows.append(String.format(Locale.ROOT,
          "<tr><td>%s</td><td>%s</td><td>%d</td><td>%,d</td><td>%.4f</td><td>%.4f</td></tr>%n", method.label(),
          run.string("decomposition", ""), run.requireInteger("layers"), run.requireInteger("parameters"),
          run.requireNumber("first_loss"), run.requireNumber("recent_loss")));
      pictures.append(figure(after(method), "after " + method.label()));
    });
    return """
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <title>deft demo</title>
        <style>
        body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }
        td, th { padding: .2em 1em .2em 0; text-align: left }
        figure { display: inline-block; margin: 0 1em 1em 0 }
        figure img { width: 192px; image-rendering: pixelated }
        </style>
        <h1>deft demo</h1>
        <p>A small SDXL was adapted to six pictures of a toy robot, once with each method. Its weights are random numbers, so
        its pictures are noise before and after; what has changed is how well it predicts the noise in the robot's pictures.</p>
        <table>
        <tr><th>method</th><th>decomposition</th><th>layers</th><th>trained numbers</th><th>first loss</th><th>loss at the end</th></tr>
        %s</table>
        <p><img src="%s" alt="loss over the steps"></p>
        <p>One prompt, one seed: "%s"</p>
        %s
        </html>
        """.formatted(rows, PLOT, PROMPT, pictures);
  }

  private static String figure(String file, String caption) {
    return "<figure><img src=\"" + file + "\" alt=\"" + caption + "\"><figcaption>" + caption + "</figcaption></figure>\n";
  }
}
