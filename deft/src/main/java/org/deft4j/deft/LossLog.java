package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** The losses of a run, as a table and as a picture. */
public final class LossLog implements Trainer.Listener {
  private final List<Trainer.Step> steps = new ArrayList<>();

  /** An empty log. */
  public LossLog() {}

  @Override
  public void done(Trainer.Step step) {
    steps.add(step);
  }

  /** The steps so far. */
  public List<Trainer.Step> steps() {
    return List.copyOf(steps);
  }

  /** The mean loss of the last {@code count} steps, or of all where there are fewer. */
  public double recent(int count) {
    return mean(Math.max(0, steps.size() - count), steps.size());
  }

  private double mean(int from, int to) {
    return steps.subList(from, to).stream().mapToDouble(Trainer.Step::loss).average().orElse(Double.NaN);
  }

  /** Writes {@code step,loss,learning_rate,gradient_norm}. */
  public void writeTable(Path file) throws IOException {
    StringBuilder text = new StringBuilder("step,loss,learning_rate,gradient_norm\n");
    for (Trainer.Step step : steps) {
      text.append(String.format(Locale.ROOT, "%d,%.9g,%.9g,%.9g%n", step.number(), step.loss(), step.learningRate(),
          step.gradientNorm()).replace(System.lineSeparator(), "\n"));
    }
    Files.writeString(file, text);
  }

  /**
   * Draws the loss of each step, and its mean over a window of a twentieth of the run.
   *
   * @throws IOException if the file cannot be written, or this Java has no fonts to write with
   */
  public void writePlot(Path file, String title) throws IOException {
    int window = Math.max(1, steps.size() / 20);
    Map<String, double[]> lines = new LinkedHashMap<>();
    lines.put("each step", means(1));
    if (window > 1) {
      lines.put("mean of " + window, means(window));
    }
    LossPlot.write(file, title, lines);
  }

  /** For each step the mean loss of the last {@code window} ones. */
  public double[] means(int window) {
    double[] means = new double[steps.size()];
    for (int i = 0; i < means.length; i++) {
      means[i] = mean(Math.max(0, i + 1 - window), i + 1);
    }
    return means;
  }
}
