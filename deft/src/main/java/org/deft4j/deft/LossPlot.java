package org.deft4j.deft;

import java.awt.Color;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.deft4j.weights.AtomicFile;
import org.knowm.xchart.BitmapEncoder;
import org.knowm.xchart.BitmapEncoder.BitmapFormat;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.lines.SeriesLines;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Losses over steps as a picture. */
public final class LossPlot {
  private static final int WIDTH = 800;
  private static final int HEIGHT = 450;
  private static final List<Color> COLORS =
      List.of(new Color(0x9DBFE0), new Color(0x1F4E8C), new Color(0xC8553D), new Color(0x588157));

  private LossPlot() {}

  /**
   * Draws each line over the steps 1, 2, ..., as PNG.
   *
   * @throws IOException if the file cannot be written, or this Java has no fonts to write with
   */
  public static void write(Path file, String title, Map<String, double[]> lines) throws IOException {
    try {
      XYChart chart = new XYChartBuilder().width(WIDTH).height(HEIGHT).title(title).xAxisTitle("step").yAxisTitle("loss")
          .build();
      chart.getStyler().setChartBackgroundColor(Color.WHITE).setPlotBorderVisible(false).setLegendVisible(lines.size() > 1);
      int color = 0;
      for (Map.Entry<String, double[]> line : lines.entrySet()) {
        double[] steps = IntStream.rangeClosed(1, line.getValue().length).asDoubleStream().toArray();
        XYSeries series = chart.addSeries(line.getKey(), steps, line.getValue());
        series.setMarker(SeriesMarkers.NONE);
        series.setLineStyle(SeriesLines.SOLID);
        series.setLineColor(COLORS.get(color++ % COLORS.size()));
      }
      AtomicFile.write(file, BitmapEncoder.getBitmapBytes(chart, BitmapFormat.PNG));
    } catch (LinkageError | InternalError | RuntimeException e) {
      throw new IOException("the plot cannot be drawn: " + e.getMessage(), e);
    }
  }
}
