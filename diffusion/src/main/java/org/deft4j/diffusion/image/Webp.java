package org.deft4j.diffusion.image;

import com.twelvemonkeys.imageio.plugins.webp.WebPImageReaderSpi;
import java.io.IOException;
import java.util.Arrays;
import javax.imageio.ImageReader;

/** WebP: lossy, lossless, extended; of an animation the first frame, on the black canvas it is shown on. */
final class Webp {
  private static final int FIRST_CHUNK = 12;
  private static final int CHUNK_HEADER = 8;
  private static final int FRAME_HEADER = 16;
  private static final int PROFILE_FLAG = 0x20;

  private Webp() {}

  static Picture read(PictureFile original) throws IOException {
    if (original.bytes().length < 30 || 8 + original.u32le(4) > original.bytes().length) {
      throw original.damaged("its header promises more bytes than the file has");
    }
    PictureFile file = withoutProfile(original);
    boolean extended = file.at(FIRST_CHUNK, "VP8X");
    int frame = extended ? find(file, FIRST_CHUNK, "ANMF") : -1;
    if (extended) {
      file.requireSize(1L + u24(file, 24), 1L + u24(file, 27));
    }
    requireStreamSize(file, frame < 0 ? FIRST_CHUNK : frame + FRAME_HEADER);
    ImageReader reader = new WebPImageReaderSpi().createReaderInstance(null);
    try {
      reader.setInput(new PaddedInput(file.bytes()), false, true);
      file.requireSize(reader.getWidth(0), reader.getHeight(0));
      Picture picture = Rasters.toPicture(reader.read(0));
      if (frame >= 0) {
        picture = onCanvas(file, picture, 2 * u24(file, frame), 2 * u24(file, frame + 3));
      }
      int exif = extended ? find(file, FIRST_CHUNK, "EXIF") : -1;
      return exif < 0 ? picture : Exif.orientation(content(file, exif)).apply(picture);
    } finally {
      reader.dispose();
    }
  }

  /** Checks the size that the compressed data itself claims, which need not be that of the file's header. */
  private static void requireStreamSize(PictureFile file, int firstChunk) {
    int lossy = find(file, firstChunk, "VP8 ");
    int lossless = find(file, firstChunk, "VP8L");
    if (lossy < 0 && lossless < 0) {
      throw file.damaged("it has no picture data");
    }
    if (lossy >= 0) {
      file.requireSize(file.u16le(lossy + 6) & 0x3fff, file.u16le(lossy + 8) & 0x3fff);
    }
    if (lossless >= 0) {
      long bits = file.u32le(lossless + 1);
      file.requireSize((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1);
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

  /** Where the content of the first chunk of that name begins, looking from the chunk at {@code start}; or -1. */
  private static int find(PictureFile file, int start, String name) {
    long at = start;
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
