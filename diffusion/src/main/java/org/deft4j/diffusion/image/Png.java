package org.deft4j.diffusion.image;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32;
import javax.imageio.ImageReader;

/** PNG: its chunks, and the picture in them. */
final class Png {
  static final String SIGNATURE = "\u0089PNG\r\n\u001a\n";

  /** Length, type and checksum. */
  private static final int CHUNK_OVERHEAD = 12;

  private Png() {}

  /** A chunk's type and where its content is. */
  record Chunk(String type, int start, int length) {
    byte[] content(PictureFile file) {
      return Arrays.copyOfRange(file.bytes(), start, start + length);
    }
  }

  static Picture read(PictureFile file) throws IOException {
    List<Chunk> chunks = chunks(file);
    if (chunks.isEmpty() || !chunks.getFirst().type.equals("IHDR") || chunks.getFirst().length != 13) {
      throw file.damaged("it does not begin with a header chunk");
    }
    int header = chunks.getFirst().start;
    file.requireSize(file.u32be(header), file.u32be(header + 4));
    ImageReader reader = Decoders.jdk("png");
    try {
      reader.setInput(file.stream(), true, true);
      Picture picture = Rasters.toPicture(reader.read(0));
      return orientation(file, chunks).apply(picture);
    } finally {
      reader.dispose();
    }
  }

  private static Orientation orientation(PictureFile file, List<Chunk> chunks) {
    return chunks.stream().filter(chunk -> chunk.type.equals("eXIf")).findFirst()
        .map(chunk -> Exif.orientation(chunk.content(file))).orElse(Orientation.UPRIGHT);
  }

  /**
   * The chunks up to the end chunk; without those that a decoder may do without and whose checksum is wrong.
   *
   * @throws PictureException if one reaches beyond the file, or the checksum of one that is needed is wrong
   */
  static List<Chunk> chunks(PictureFile file) {
    List<Chunk> chunks = new ArrayList<>();
    long at = SIGNATURE.length();
    while (at + CHUNK_OVERHEAD <= file.bytes().length) {
      long length = file.u32be((int) at);
      String type = latin1(file.bytes(), (int) at + 4, 4);
      if (at + CHUNK_OVERHEAD + length > file.bytes().length) {
        throw file.damaged("chunk " + type + " of " + length + " bytes at byte " + at + " is cut off");
      }
      if (type.equals("IEND")) {
        return chunks;
      }
      if (isIntact(file, (int) at, (int) length)) {
        chunks.add(new Chunk(type, (int) at + 8, (int) length));
      } else if (Character.isUpperCase(type.charAt(0))) {
        throw file.damaged("the checksum of chunk " + type + " at byte " + at + " is wrong");
      }
      at += CHUNK_OVERHEAD + length;
    }
    throw file.damaged("it has no end chunk");
  }

  private static boolean isIntact(PictureFile file, int at, int length) {
    CRC32 crc = new CRC32();
    crc.update(file.bytes(), at + 4, length + 4);
    return crc.getValue() == file.u32be(at + 8 + length);
  }

  static String latin1(byte[] bytes, int start, int length) {
    return new String(bytes, start, length, StandardCharsets.ISO_8859_1);
  }
}
