package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Pictures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The losses of a run as a table and a plot. */
class LossLogTest {
  @TempDir
  Path folder;

  private static LossLog log(int steps) {
    LossLog log = new LossLog();
    for (int i = 1; i <= steps; i++) {
      log.done(new Trainer.Step(i, 1.0 / i, 1e-4, 0.5));
    }
    return log;
  }

  @Test
  void theTableHasALineForEachStep() throws IOException {
    Path file = folder.resolve("losses.csv");
    log(2).writeTable(file);
    assertEquals("""
        step,loss,learning_rate,gradient_norm
        1,1.00000000,0.000100000000,0.500000000
        2,0.500000000,0.000100000000,0.500000000
        """, Files.readString(file));
  }

  @Test
  void meansAreOverTheLastSteps() {
    assertArrayEquals(new double[] {1, 0.75, (0.5 + 1.0 / 3) / 2}, log(3).means(2), 1e-15);
    assertEquals((0.5 + 1.0 / 3) / 2, log(3).recent(2), 1e-15);
    assertEquals(1, log(1).recent(20));
  }

  @Test
  void thePlotIsAPictureWithSomethingInIt() throws IOException {
    Path file = folder.resolve("loss.png");
    log(60).writePlot(file, "deft");
    Picture picture = Pictures.read(file);
    assertEquals(800, picture.width());
    assertTrue(java.util.stream.IntStream.range(0, picture.width()).filter(x -> picture.value(x, 225, 0) < 200).count() > 0);
  }
}
