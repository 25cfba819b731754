package org.deft4j.diffusion.image;

import java.io.IOException;
import javax.imageio.ImageReader;

/** BMP: palettes, run lengths, 16, 24 and 32 bits. */
final class Bmp {
  private Bmp() {}

  static Picture read(PictureFile file) throws IOException {
    ImageReader reader = Decoders.jdk("bmp");
    try {
      reader.setInput(file.stream(), false, true);
      file.requireSize(reader.getWidth(0), reader.getHeight(0));
      return Rasters.toPicture(reader.read(0));
    } finally {
      reader.dispose();
    }
  }
}
