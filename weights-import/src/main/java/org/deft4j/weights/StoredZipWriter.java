package org.deft4j.weights;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;

/**
 * Writes a zip archive whose entries are stored as they are, each with its data at a multiple of {@link #ALIGNMENT}: the gap is
 * an extra field of the entry's header named FB, filled with Z, as torch makes it. The same entries give the same bytes: all bear
 * the first date of the format. Fields are of 32 bits, so an archive is smaller than 4 GiB.
 */
final class StoredZipWriter {
  /** Where data begins, as torch aligns it, so that a mapped tensor suits any vector instruction. */
  static final int ALIGNMENT = 64;
  /** The longest archive, and a number that stands for another one beyond it. */
  static final long MAX_BYTES = 0xFFFF_FFFEL;

  private static final short EXTRA_NAME = 'F' | ('B' << 8);
  private static final int EXTRA_HEAD = 4;
  /** The format's version 2.0. */
  private static final short VERSION = 20;
  /** January 1, 1980. */
  private static final short DATE = (1 << 5) | 1;
  /** Bytes that one write hands to the system. */
  private static final long CHUNK = 8L << 20;

  private final FileChannel channel;
  private final ByteArrayOutputStream directory = new ByteArrayOutputStream();
  private int entries;

  StoredZipWriter(FileChannel channel) {
    this.channel = channel;
  }

  /** At most what an entry of this name adds to an archive beside its data. */
  static long overhead(String name) {
    return StoredZip.LOCAL_BYTES + StoredZip.CENTRAL_BYTES + 2L * name.length() + EXTRA_HEAD + ALIGNMENT;
  }

  /** Adds an entry; {@code name} is ASCII. */
  void add(String name, MemorySegment data) throws IOException {
    long header = channel.position();
    byte[] rawName = name.getBytes(StandardCharsets.US_ASCII);
    long unaligned = header + StoredZip.LOCAL_BYTES + rawName.length + EXTRA_HEAD;
    int padding = (int) (-unaligned & (ALIGNMENT - 1));
    int crc = crc(data);
    ByteBuffer local = buffer(StoredZip.LOCAL_BYTES + rawName.length + EXTRA_HEAD + padding);
    local.putInt(StoredZip.LOCAL);
    putFields(local, crc, data.byteSize(), rawName.length, EXTRA_HEAD + padding);
    local.put(rawName).putShort(EXTRA_NAME).putShort((short) padding);
    while (local.hasRemaining()) {
      local.put((byte) 'Z');
    }
    writeFully(local.flip());
    for (long done = 0; done < data.byteSize(); done += CHUNK) {
      writeFully(data.asSlice(done, Math.min(CHUNK, data.byteSize() - done)).asByteBuffer());
    }
    byte[] line = new byte[StoredZip.CENTRAL_BYTES + rawName.length];
    ByteBuffer central = ByteBuffer.wrap(line).order(ByteOrder.LITTLE_ENDIAN).putInt(StoredZip.CENTRAL).putShort(VERSION);
    putFields(central, crc, data.byteSize(), rawName.length, 0);
    central.putShort((short) 0).putShort((short) 0).putShort((short) 0).putInt(0).putInt((int) header).put(rawName);
    directory.writeBytes(line);
    entries++;
  }

  /** What an entry's header and its line in the directory have in common. */
  private static void putFields(ByteBuffer into, int crc, long size, int nameBytes, int extraBytes) {
    into.putShort(VERSION).putShort((short) StoredZip.UTF8).putShort((short) 0).putShort((short) 0).putShort(DATE).putInt(crc)
        .putInt((int) size).putInt((int) size).putShort((short) nameBytes).putShort((short) extraBytes);
  }

  /** Writes the directory. */
  void finish() throws IOException {
    long begin = channel.position();
    writeFully(ByteBuffer.wrap(directory.toByteArray()));
    writeFully(buffer(StoredZip.END_BYTES).putInt(StoredZip.END).putInt(0).putShort((short) entries).putShort((short) entries)
        .putInt(directory.size()).putInt((int) begin).putShort((short) 0).flip());
  }

  private static int crc(MemorySegment data) {
    CRC32 crc = new CRC32();
    for (long at = 0; at < data.byteSize(); at += CHUNK) {
      crc.update(data.asSlice(at, Math.min(CHUNK, data.byteSize() - at)).asByteBuffer());
    }
    return (int) crc.getValue();
  }

  private static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }

  private void writeFully(ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }
}
