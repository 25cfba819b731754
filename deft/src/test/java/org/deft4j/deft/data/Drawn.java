package org.deft4j.deft.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PngWriter;

/** Pictures made for tests. */
public final class Drawn {
  private Drawn() {}

  /** The gray of a pixel. */
  interface Gray {
    int at(int x, int y);
  }

  static Picture gray(int width, int height, Gray gray) {
    byte[] rgb = new byte[3 * width * height];
    for (int i = 0; i < width * height; i++) {
      byte value = (byte) gray.at(i % width, i / width);
      rgb[3 * i] = value;
      rgb[3 * i + 1] = value;
      rgb[3 * i + 2] = value;
    }
    return new Picture(width, height, rgb);
  }

  static Picture noise(int width, int height, long seed) {
    byte[] rgb = new byte[3 * width * height];
    new Random(seed).nextBytes(rgb);
    return new Picture(width, height, rgb);
  }

  /** Colours that change slowly, as in a photograph. */
  public static Picture smooth(int width, int height) {
    byte[] rgb = new byte[3 * width * height];
    for (int i = 0; i < width * height; i++) {
      int x = i % width;
      int y = i / width;
      rgb[3 * i] = (byte) (128 + 100 * Math.sin(x / 7.0) * Math.cos(y / 9.0));
      rgb[3 * i + 1] = (byte) (128 + 90 * Math.cos(x / 11.0 + y / 5.0));
      rgb[3 * i + 2] = (byte) (255 * x / width);
    }
    return new Picture(width, height, rgb);
  }

  /** Writes a small picture whose colour depends on its name. */
  public static Path write(Path file) throws IOException {
    int shade = Math.floorMod(file.getFileName().toString().hashCode(), 200);
    return write(file, gray(16, 16, (x, y) -> shade + x + y));
  }

  /** Writes {@code picture} as PNG, and makes the folder that it is in. */
  public static Path write(Path file, Picture picture) throws IOException {
    Files.createDirectories(file.getParent());
    PngWriter.write(file, picture, Map.of());
    return file;
  }
}
