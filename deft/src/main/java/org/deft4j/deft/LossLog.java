package org.deft4j.deft;

import java.awt.Color;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.lines.SeriesLines;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The losses of a run, as a table and as a picture. */
public final class LossLog implements Trainer.Listener {
  private static final int WIDTH = 800;
  private static final int HEIGHT = 450;

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
    try {
      BitmapEncoder.saveBitmap(chart(title), file.toString(), BitmapFormat.PNG);
    } catch (LinkageError | InternalError | RuntimeException e) {
      throw new IOException("the plot cannot be drawn: " + e.getMessage(), e);
    }
  }

  private XYChart chart(String title) {
    int window = Math.max(1, steps.size() / 20);
    double[] numbers = new double[steps.size()];
    double[] losses = new double[steps.size()];
    double[] means = new double[steps.size()];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = steps.get(i).number();
      losses[i] = steps.get(i).loss();
      means[i] = mean(Math.max(0, i + 1 - window), i + 1);
    }
    XYChart chart = new XYChartBuilder().width(WIDTH).height(HEIGHT).title(title).xAxisTitle("step").yAxisTitle("loss").build();
    chart.getStyler().setChartBackgroundColor(Color.WHITE).setPlotBorderVisible(false).setLegendVisible(window > 1);
    line(chart, "each step", numbers, losses, new Color(0xA8C5E2));
    if (window > 1) {
      line(chart, "mean of " + window, numbers, means, new Color(0x1F4E8C));
    }
    return chart;
  }

  private static void line(XYChart chart, String name, double[] x, double[] y, Color color) {
    XYSeries series = chart.addSeries(name, x, y);
    series.setMarker(SeriesMarkers.NONE);
    series.setLineStyle(SeriesLines.SOLID);
    series.setLineColor(color);
  }
}
