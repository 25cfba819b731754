package org.deft4j.deft;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.Shape;
import java.awt.geom.Ellipse2D;
import java.awt.geom.Line2D;
import java.awt.geom.Path2D;
import java.awt.geom.Rectangle2D;
import java.awt.image.BufferedImage;
import java.io.IOException;
import java.nio.file.Path;
import javax.imageio.ImageIO;
import org.deft4j.deft.testing.Dense;
import org.deft4j.nn.Linear;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;

/**
 * The paper's figure 3, the authors' example of two dimensions: where DEFT moves the answers {@code z = W x} of a layer,
 * {@code h = z - M z + P R x}, with {@code M = P P^T} and with {@code M = relu(P) relu(P)^T}. {@code main} draws it into a file.
 */
final class DisplacementPicture {
  static final Dense WEIGHT = new Dense(new double[][] {{1.2, 0.3}, {0.1, 0.8}});
  static final Dense P = new Dense(new double[][] {{1}, {-1}});
  static final Dense R = new Dense(new double[][] {{0.5, 0.2}});

  private static final int INPUTS = 200;
  private static final int PANEL = 460;
  private static final int LEFT = 60;
  private static final int TOP = 58;
  private static final int GAP = 70;
  private static final int CORNER = 100;
  private static final int WIDTH = 2 * PANEL + LEFT + GAP + 20;
  private static final int HEIGHT = TOP + PANEL + 56;
  private static final double END = 3;
  private static final double HEAD = 7;
  private static final Color GRID = new Color(0xE6E6E6);
  private static final Color INK = new Color(0x333333);
  private static final Color FULL = new Color(0x5B87B8);
  private static final Color RECTIFIED = new Color(0xDB8674);

  private DisplacementPicture() {}

  /**
   * The 200 inputs {@code x ~ N(0, 1)}, and what becomes of them.
   *
   * @param x [2, 200]
   * @param z {@code W x}, what the layer answers
   * @param moved {@code h - z}, what the adapter adds
   */
  record Displacements(Dense x, Dense z, Dense moved) {}

  /** By the decomposition called {@code method}. */
  static Displacements displacements(String method) {
    try (Scope _ = Scope.open()) {
      Linear layer = new Linear(2, 2, false);
      layer.weight().set(Scope.release(WEIGHT.tensor(DType.F64)));
      Scope.adopt(layer.weight().value());
      Factors factors = Decomposition.named(method).factors(P.tensor(DType.F64), "layer");
      Tensor x = new TorchRandom(0).normal(DType.F64, INPUTS, 2);
      Tensor z = layer.forward(x);
      Tensor moved = LowRankUpdate.replace(factors, R.tensor(DType.F64), 1).delta(layer, x, z, 1);
      return new Displacements(Dense.of(x).t(), Dense.of(z).t(), Dense.of(moved).t());
    }
  }

  /** Draws both into the PNG {@code args[0]}. */
  public static void main(String[] args) throws IOException {
    write(Path.of(args[0]));
  }

  static void write(Path file) throws IOException {
    BufferedImage image = new BufferedImage(WIDTH, HEIGHT, BufferedImage.TYPE_INT_RGB);
    Graphics2D canvas = image.createGraphics();
    canvas.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
    canvas.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
    canvas.setRenderingHint(RenderingHints.KEY_STROKE_CONTROL, RenderingHints.VALUE_STROKE_PURE);
    canvas.setColor(Color.WHITE);
    canvas.fillRect(0, 0, WIDTH, HEIGHT);
    panel(canvas, LEFT, displacements("relaxed"), FULL, "Full: M = P P\u1d40", "every displacement is a multiple of P = (1, \u22121)");
    panel(canvas, LEFT + PANEL + GAP, displacements("relu-relu"), RECTIFIED, "Rectified: M = relu(P) relu(P)\u1d40",
        "relu(P) = (1, 0): the displacements span the plane");
    canvas.dispose();
    if (!ImageIO.write(image, "png", file.toFile())) {
      throw new IOException("this Java writes no PNG");
    }
  }

  private static void panel(Graphics2D canvas, int left, Displacements displacements, Color color, String title, String subtitle) {
    canvas.translate(left, TOP);
    canvas.setColor(INK);
    canvas.setFont(new Font(Font.SANS_SERIF, Font.BOLD, 16));
    centred(canvas, title, PANEL / 2, -32);
    canvas.setFont(new Font(Font.SANS_SERIF, Font.PLAIN, 13));
    centred(canvas, subtitle, PANEL / 2, -11);
    axes(canvas);
    Shape all = canvas.getClip();
    canvas.clip(new Rectangle2D.Double(0, 0, PANEL, PANEL));
    arrows(canvas, displacements.z(), displacements.moved(), color);
    directions(canvas, displacements.moved(), color);
    canvas.setClip(all);
    frame(canvas, 0, 0, PANEL);
    canvas.translate(-left, -TOP);
  }

  /** From z to h, a dot at z. */
  private static void arrows(Graphics2D canvas, Dense z, Dense moved, Color color) {
    canvas.setStroke(new BasicStroke(1));
    canvas.setColor(color);
    Dense h = z.plus(moved);
    for (int i = 0; i < INPUTS; i++) {
      arrow(canvas, place(z.rows()[0][i]), place(-z.rows()[1][i]), place(h.rows()[0][i]), place(-h.rows()[1][i]));
    }
    canvas.setColor(INK);
    for (int i = 0; i < INPUTS; i++) {
      canvas.fill(new Ellipse2D.Double(place(z.rows()[0][i]) - 1.8, place(-z.rows()[1][i]) - 1.8, 3.6, 3.6));
    }
  }

  /** In a corner the directions of the displacements, all as long. */
  private static void directions(Graphics2D canvas, Dense moved, Color color) {
    int at = PANEL - CORNER - 8;
    double middle = at + CORNER / 2.0;
    double radius = CORNER / 2.0 - 6;
    canvas.setColor(Color.WHITE);
    canvas.fillRect(at, at, CORNER, CORNER);
    frame(canvas, at, at, CORNER);
    canvas.setFont(new Font(Font.SANS_SERIF, Font.PLAIN, 12));
    centred(canvas, "directions", at + CORNER / 2, at - 6);
    canvas.setColor(color);
    for (int i = 0; i < INPUTS; i++) {
      double x = moved.rows()[0][i];
      double y = moved.rows()[1][i];
      double scale = radius / Math.hypot(x, y);
      canvas.draw(new Line2D.Double(middle, middle, middle + scale * x, middle - scale * y));
    }
  }

  private static void frame(Graphics2D canvas, int x, int y, int side) {
    canvas.setColor(INK);
    canvas.setStroke(new BasicStroke(1));
    canvas.drawRect(x, y, side, side);
  }

  private static void axes(Graphics2D canvas) {
    canvas.setFont(new Font(Font.SANS_SERIF, Font.PLAIN, 12));
    canvas.setStroke(new BasicStroke(1));
    for (int tick = (int) -END; tick <= END; tick++) {
      int at = (int) Math.round(place(tick));
      canvas.setColor(GRID);
      canvas.drawLine(at, 0, at, PANEL);
      canvas.drawLine(0, at, PANEL, at);
      canvas.setColor(INK);
      String label = Integer.toString(tick).replace('-', '\u2212');
      centred(canvas, label, at, PANEL + 18);
      canvas.drawString(label, -8 - canvas.getFontMetrics().stringWidth(label), (int) Math.round(place(-tick)) + 4);
    }
    canvas.setFont(new Font(Font.SANS_SERIF, Font.PLAIN, 13));
    centred(canvas, "first output of the layer", PANEL / 2, PANEL + 40);
    canvas.rotate(-Math.PI / 2);
    centred(canvas, "second output of the layer", -PANEL / 2, -36);
    canvas.rotate(Math.PI / 2);
  }

  /** From the tail to the tip, whose head is at most a third of it. */
  private static void arrow(Graphics2D canvas, double x, double y, double tipX, double tipY) {
    double length = Math.hypot(tipX - x, tipY - y);
    double head = Math.min(HEAD, length / 3);
    double unitX = (tipX - x) / length;
    double unitY = (tipY - y) / length;
    double neckX = tipX - head * unitX;
    double neckY = tipY - head * unitY;
    canvas.draw(new Line2D.Double(x, y, neckX, neckY));
    Path2D triangle = new Path2D.Double();
    triangle.moveTo(tipX, tipY);
    triangle.lineTo(neckX - head * 0.4 * unitY, neckY + head * 0.4 * unitX);
    triangle.lineTo(neckX + head * 0.4 * unitY, neckY - head * 0.4 * unitX);
    triangle.closePath();
    canvas.fill(triangle);
  }

  /** Of a coordinate, in pixels of the panel. */
  private static double place(double value) {
    return (value + END) / (2 * END) * PANEL;
  }

  private static void centred(Graphics2D canvas, String text, int x, int y) {
    canvas.drawString(text, x - canvas.getFontMetrics().stringWidth(text) / 2, y);
  }
}
