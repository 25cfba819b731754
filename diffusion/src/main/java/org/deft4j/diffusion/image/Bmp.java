package org.deft4j.diffusion.image;

import java.io.IOException;
import javax.imageio.ImageReader;

/** BMP: palettes, run lengths, 16, 24 and 32 bits. */
final class Bmp {
  /** Length of the oldest header, whose sizes have two bytes instead of four. */
  private static final int CORE_HEADER = 12;

  private Bmp() {}

  static Picture read(PictureFile file) throws IOException {
    if (file.bytes().length < 26) {
      throw file.damaged("it ends inside its header");
    }
    boolean core = file.u32le(14) == CORE_HEADER;
    // A negative height means rows from the top.
    file.requireSize(core ? file.u16le(18) : (int) file.u32le(18),
        core ? file.u16le(20) : Math.abs((long) (int) file.u32le(22)));
    ImageReader reader = Decoders.jdk("bmp");
    try {
      reader.setInput(file.stream(), false, true);
      return Rasters.toPicture(reader.read(0));
    } finally {
      reader.dispose();
    }
  }
}
