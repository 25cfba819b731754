package org.deft4j.diffusion.image;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The one thing read from EXIF data (a TIFF structure): tag 0x0112 of the first directory, the orientation. */
final class Exif {
  /** Stands before the TIFF structure in JPEG, and in some WebP files. */
  private static final byte[] PREFIX = "Exif\0\0".getBytes(StandardCharsets.US_ASCII);

  private static final int ORIENTATION_TAG = 0x0112;
  private static final int SHORT = 3;
  private static final int ENTRY_BYTES = 12;

  private Exif() {}

  static boolean hasPrefix(byte[] data) {
    return data.length >= PREFIX.length && Arrays.equals(data, 0, PREFIX.length, PREFIX, 0, PREFIX.length);
  }

  /** The orientation in {@code data}; upright where it is missing or the data is damaged, as viewers do. */
  static Orientation orientation(byte[] data) {
    int from = hasPrefix(data) ? PREFIX.length : 0;
    ByteBuffer tiff = ByteBuffer.wrap(data, from, data.length - from).slice();
    if (tiff.remaining() < 8) {
      return Orientation.UPRIGHT;
    }
    tiff.order(tiff.get(0) == 'I' ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN);
    long directory = Integer.toUnsignedLong(tiff.getInt(4));
    if (tiff.getShort(2) != 42 || directory > tiff.limit() - 2) {
      return Orientation.UPRIGHT;
    }
    int entries = Short.toUnsignedInt(tiff.getShort((int) directory));
    for (int i = 0; i < entries; i++) {
      long entry = directory + 2 + (long) i * ENTRY_BYTES;
      if (entry + ENTRY_BYTES > tiff.limit()) {
        break;
      }
      int at = (int) entry;
      if (Short.toUnsignedInt(tiff.getShort(at)) == ORIENTATION_TAG && tiff.getShort(at + 2) == SHORT) {
        return Orientation.ofExif(Short.toUnsignedInt(tiff.getShort(at + 8)));
      }
    }
    return Orientation.UPRIGHT;
  }
}
