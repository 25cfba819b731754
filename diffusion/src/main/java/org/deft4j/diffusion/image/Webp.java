package org.deft4j.diffusion.image;

import com.twelvemonkeys.imageio.plugins.webp.WebPImageReaderSpi;
import java.io.IOException;
import java.util.Arrays;
import javax.imageio.ImageReader;

/** WebP: lossy, lossless, extended; of an animation the first frame, on the black canvas it is shown on. */
final class Webp {
  private static final int FIRST_CHUNK = 12;
  private static final int CHUNK_HEADER = 8;
  private static final int PROFILE_FLAG = 0x20;

  private Webp() {}

  static Picture read(PictureFile original) throws IOException {
    PictureFile file = withoutProfile(original);
    boolean extended = file.at(FIRST_CHUNK, "VP8X");
    int frame = extended ? find(file, "ANMF") : -1;
    if (extended) {
      file.requireSize(1L + u24(file, 24), 1L + u24(file, 27));
    }
    ImageReader reader = new WebPImageReaderSpi().createReaderInstance(null);
    try {
      reader.setInput(file.stream(), false, true);
      file.requireSize(reader.getWidth(0), reader.getHeight(0));
      Picture picture = Rasters.toPicture(reader.read(0));
      if (frame >= 0) {
        picture = onCanvas(file, picture, 2 * u24(file, frame), 2 * u24(file, frame + 3));
      }
      int exif = extended ? find(file, "EXIF") : -1;
      return exif < 0 ? picture : Exif.orientation(content(file, exif)).apply(picture);
    } finally {
      reader.dispose();
    }
  }

  /** The same file without the flag that says it has a colour profile, so that the reader does not apply it. */
  private static PictureFile withoutProfile(PictureFile file) {
    int flags = FIRST_CHUNK + CHUNK_HEADER;
    if (!file.at(FIRST_CHUNK, "VP8X") || file.bytes().length <= flags || (file.u8(flags) & PROFILE_FLAG) == 0) {
      return file;
    }
    byte[] bytes = file.bytes().clone();
    bytes[flags] &= ~PROFILE_FLAG;
    return file.with(bytes);
  }

  private static int u24(PictureFile file, int at) {
    return file.u16le(at) | file.u8(at + 2) << 16;
  }

  /** Where the content of the first chunk of that name begins, or -1. */
  private static int find(PictureFile file, String name) {
    long at = FIRST_CHUNK;
    while (at + CHUNK_HEADER <= file.bytes().length) {
      long length = file.u32le((int) at + 4);
      if (file.at((int) at, name)) {
        return (int) at + CHUNK_HEADER;
      }
      at += CHUNK_HEADER + length + (length & 1);
    }
    return -1;
  }

  private static byte[] content(PictureFile file, int start) {
    long end = Math.min(start + file.u32le(start - 4), file.bytes().length);
    return Arrays.copyOfRange(file.bytes(), start, (int) end);
  }

  private static Picture onCanvas(PictureFile file, Picture frame, int left, int top) {
    Picture canvas = Picture.black(1 + u24(file, 24), 1 + u24(file, 27));
    if (left + frame.width() > canvas.width() || top + frame.height() > canvas.height()) {
      throw file.damaged("its first frame reaches beyond the canvas");
    }
    for (int y = 0; y < frame.height(); y++) {
      System.arraycopy(frame.rgb(), 3 * y * frame.width(), canvas.rgb(), 3 * ((top + y) * canvas.width() + left),
          3 * frame.width());
    }
    return canvas;
  }
}
