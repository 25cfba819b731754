package org.deft4j.diffusion.image;

import java.io.IOException;
import java.util.Arrays;
import javax.imageio.IIOException;
import javax.imageio.stream.ImageInputStreamImpl;

/**
 * Bytes followed by a few zeros, then an error. The WebP decoder looks up to 8 bytes ahead and takes the end of the file for
 * zeros without end; on damaged data it would never stop.
 */
final class PaddedInput extends ImageInputStreamImpl {
  private static final int PADDING = 64;

  private final byte[] bytes;

  PaddedInput(byte[] bytes) {
    this.bytes = bytes;
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    read(one, 0, 1);
    return one[0] & 0xff;
  }

  @Override
  public int read(byte[] to, int offset, int length) throws IOException {
    if (length == 0) {
      return 0;
    }
    bitOffset = 0;
    long left = bytes.length + PADDING - streamPos;
    if (left <= 0) {
      throw new IIOException("the data ends before the picture is complete");
    }
    int count = (int) Math.min(length, left);
    int real = Math.clamp(bytes.length - streamPos, 0, count);
    if (real > 0) {
      System.arraycopy(bytes, (int) streamPos, to, offset, real);
    }
    Arrays.fill(to, offset + real, offset + count, (byte) 0);
    streamPos += count;
    return count;
  }

  @Override
  public long length() {
    return bytes.length;
  }
}
