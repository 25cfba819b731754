import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.GradientPaint;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.geom.Ellipse2D;
import java.awt.geom.Path2D;
import java.awt.geom.Rectangle2D;
import java.awt.geom.RoundRectangle2D;
import java.awt.image.BufferedImage;
import java.io.File;
import java.io.IOException;
import java.util.Random;
import javax.imageio.ImageIO;

/** Draws the demo's "photographs": one toy robot in six places. Run with {@code java DrawPhotos.java FOLDER}. */
final class DrawPhotos {
  private static final int WIDTH = 320;
  private static final int HEIGHT = 256;
  private static final Color[][] PLACES = {
    {new Color(0x8ECAE6), new Color(0xD9ED92), new Color(0x606C38)}, {new Color(0xFFB703), new Color(0xFB8500), new Color(0x9D0208)},
    {new Color(0x22223B), new Color(0x4A4E69), new Color(0x9A8C98)}, {new Color(0xF1FAEE), new Color(0xA8DADC), new Color(0x457B9D)},
    {new Color(0xE9C46A), new Color(0xF4A261), new Color(0x264653)}, {new Color(0xCDB4DB), new Color(0xFFC8DD), new Color(0x5A189A)}};

  private DrawPhotos() {}

  public static void main(String[] args) throws IOException {
    for (int i = 0; i < PLACES.length; i++) {
      BufferedImage image = new BufferedImage(WIDTH, HEIGHT, BufferedImage.TYPE_INT_RGB);
      Graphics2D g = image.createGraphics();
      g.setRenderingHint(RenderingHints.KEY_ANTIALIASING, RenderingHints.VALUE_ANTIALIAS_ON);
      Random random = new Random(i);
      place(g, PLACES[i], random);
      g.translate(WIDTH / 2.0 + random.nextInt(-40, 41), HEIGHT * 0.62 + random.nextInt(-12, 13));
      double scale = 0.85 + 0.3 * random.nextDouble();
      g.scale(scale, scale);
      g.rotate((random.nextDouble() - 0.5) * 0.3);
      robot(g);
      g.dispose();
      ImageIO.write(image, "jpg", new File(args[0], "0" + i + ".jpg"));
    }
  }

  private static void place(Graphics2D g, Color[] colors, Random random) {
    g.setPaint(new GradientPaint(0, 0, colors[0], 0, HEIGHT * 0.7f, colors[1]));
    g.fillRect(0, 0, WIDTH, HEIGHT);
    g.setPaint(colors[2]);
    Path2D hill = new Path2D.Double();
    hill.moveTo(0, HEIGHT);
    for (int x = 0; x <= WIDTH; x += 40) {
      hill.lineTo(x, HEIGHT * 0.7 + random.nextInt(-14, 15));
    }
    hill.lineTo(WIDTH, HEIGHT);
    g.fill(hill);
    g.setPaint(colors[1].brighter());
    g.fill(new Ellipse2D.Double(random.nextInt(WIDTH - 60), 14, 44, 44));
  }

  private static void robot(Graphics2D g) {
    g.setStroke(new BasicStroke(7, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND));
    g.setPaint(new Color(0x6C757D));
    for (int side = -1; side <= 1; side += 2) {
      Path2D arm = new Path2D.Double();
      arm.moveTo(side * 38, -8);
      arm.lineTo(side * 62, 10);
      arm.lineTo(side * 56, 34);
      g.draw(arm);
      g.fill(new RoundRectangle2D.Double(side * 20 - 9, 40, 18, 34, 8, 8));
    }
    g.setPaint(new Color(0xD62828));
    g.fill(new RoundRectangle2D.Double(-40, -24, 80, 70, 18, 18));
    g.setPaint(new Color(0xF77F00));
    g.fill(new Rectangle2D.Double(-22, -6, 44, 28));
    g.setPaint(new Color(0xADB5BD));
    g.fill(new RoundRectangle2D.Double(-32, -80, 64, 50, 16, 16));
    g.draw(new java.awt.geom.Line2D.Double(0, -80, 0, -98));
    g.setPaint(new Color(0x1D3557));
    g.fill(new Ellipse2D.Double(-22, -68, 17, 17));
    g.fill(new Ellipse2D.Double(5, -68, 17, 17));
    g.setPaint(new Color(0xFCBF49));
    g.fill(new Ellipse2D.Double(-7, -108, 14, 14));
    g.fill(new Rectangle2D.Double(-14, -42, 28, 5));
  }
}
