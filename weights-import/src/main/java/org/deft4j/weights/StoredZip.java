package org.deft4j.weights;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32;

/**
 * The entries of a zip archive (PKWARE's APPNOTE 6.3, also with 64-bit fields) that holds them as they are: nothing is ever
 * inflated, so that no entry is larger than the file. The directory must end the file without a comment, and agree with the
 * header before each entry; no entry may be compressed, encrypted, named twice or overlap another.
 */
final class StoredZip {
  static final int LOCAL = 0x04034B50;
  static final int CENTRAL = 0x02014B50;
  static final int END = 0x06054B50;
  static final int LOCAL_BYTES = 30;
  static final int CENTRAL_BYTES = 46;
  static final int END_BYTES = 22;
  /** Flag: the entry's sizes stand behind it. */
  static final int DESCRIPTOR = 1 << 3;
  /** Flag: the name is UTF-8. */
  static final int UTF8 = 1 << 11;
  /** What a field of 32 bits holds where the number stands in one of 64. */
  static final long ELSEWHERE = 0xFFFF_FFFFL;

  private static final int LOCATOR = 0x07064B50;
  private static final int LOCATOR_BYTES = 20;
  private static final int END64 = 0x06064B50;
  private static final int END64_BYTES = 56;
  private static final int EXTRA64 = 1;
  private static final long MAX_DIRECTORY = 16 << 20;
  private static final int DEFLATED = 8;

  private final FileBytes file;
  private final Map<String, Entry> entries = new LinkedHashMap<>();

  /** Bytes {@code begin} to {@code begin + size} of the file; {@code header} is where the entry's own header begins. */
  record Entry(String name, long header, long begin, long size, int crc) {
    long end() {
      return begin + size;
    }
  }

  /** Where the directory is, and how many entries it lists. */
  private record Directory(long begin, long size, long count) {}

  private StoredZip(FileBytes file) {
    this.file = file;
  }

  /** Reads and checks the directory, and every entry's header. */
  static StoredZip read(FileBytes file) {
    StoredZip zip = new StoredZip(file);
    Directory directory = zip.directory();
    ByteBuffer bytes = file.read(directory.begin, (int) directory.size);
    for (long i = 0; i < directory.count; i++) {
      Entry entry = zip.entry(bytes, directory.begin);
      if (zip.entries.put(entry.name, entry) != null) {
        throw zip.wrong(entry.header, "the zip archive has two entries named " + Text.quote(entry.name));
      }
    }
    if (bytes.hasRemaining()) {
      throw zip.wrong(directory.begin + bytes.position(), "the zip directory lists " + directory.count
          + " entries and goes on after them");
    }
    zip.requireApart();
    return zip;
  }

  /** The entries by name, in the order of the directory. */
  Map<String, Entry> entries() {
    return Collections.unmodifiableMap(entries);
  }

  /** An entry's bytes, for those that are small; compared with their checksum. */
  byte[] read(Entry entry, int most) {
    if (entry.size > most) {
      throw wrong(entry.begin, "the entry " + Text.quote(entry.name) + " has " + entry.size + " bytes, at most " + most
          + " are accepted");
    }
    byte[] bytes = file.read(entry.begin, (int) entry.size).array();
    CRC32 crc = new CRC32();
    crc.update(bytes);
    requireChecksum(entry, crc, null);
    return bytes;
  }

  /** Refuses other bytes than those that were written. A checksum of 0 is none: torch can be told not to make them. */
  void requireChecksum(Entry entry, CRC32 found, String tensor) {
    if (entry.crc != 0 && entry.crc != (int) found.getValue()) {
      throw FormatException.tensor(file.path(), entry.begin, tensor, String.format(
          "the entry %s is damaged: its checksum is %08x, the archive has noted %08x", Text.quote(entry.name),
          (int) found.getValue(), entry.crc));
    }
  }

  private Directory directory() {
    long at = file.size() - END_BYTES;
    ByteBuffer end = at < 0 ? null : file.read(at, END_BYTES);
    if (end == null || end.getInt(0) != END || end.getShort(20) != 0) {
      throw wrong(Math.max(at, 0), "a zip archive ends with its directory, and this file does not; it is cut off, or followed by"
          + " something else");
    }
    Directory directory = new Directory(unsigned32(end, 16), unsigned32(end, 12), unsigned16(end, 10));
    boolean one = end.getInt(4) == 0 && end.getShort(8) == end.getShort(10);
    long locatorAt = at - LOCATOR_BYTES;
    ByteBuffer locator = locatorAt < END64_BYTES ? null : file.read(locatorAt, LOCATOR_BYTES);
    if (locator != null && locator.getInt(0) == LOCATOR) {
      at = locatorAt - END64_BYTES;
      ByteBuffer end64 = file.read(at, END64_BYTES);
      Directory large = new Directory(end64.getLong(48), end64.getLong(40), end64.getLong(32));
      one &= locator.getInt(4) == 0 && locator.getInt(16) == 1 && locator.getLong(8) == at && end64.getInt(0) == END64
          && end64.getLong(4) == END64_BYTES - 12 && end64.getLong(16) == 0 && end64.getLong(24) == large.count
          && agree(directory.begin, large.begin, ELSEWHERE) && agree(directory.size, large.size, ELSEWHERE)
          && agree(directory.count, large.count, 0xFFFF);
      directory = large;
    }
    if (!one || directory.begin < 0 || directory.size < 0 || directory.begin != at - directory.size) {
      throw wrong(at, "the end of the zip archive contradicts itself: its directory of " + directory.count + " entries and "
          + directory.size + " bytes cannot begin at byte " + directory.begin);
    }
    if (directory.size > MAX_DIRECTORY || directory.count < 0 || directory.count > directory.size / CENTRAL_BYTES) {
      throw wrong(at, "the zip directory claims " + directory.count + " entries in " + directory.size + " bytes; at most "
          + MAX_DIRECTORY + " bytes are accepted, and an entry takes at least " + CENTRAL_BYTES);
    }
    return directory;
  }

  private static boolean agree(long small, long large, long elsewhere) {
    return small == large || small == elsewhere;
  }

  /** Reads the next entry of the directory. */
  private Entry entry(ByteBuffer directory, long directoryBegin) {
    long at = directoryBegin + directory.position();
    ByteBuffer head = part(directory, CENTRAL_BYTES, at);
    if (head.getInt(0) != CENTRAL) {
      throw wrong(at, "the zip directory has no entry here, where one is due");
    }
    byte[] rawName = new byte[unsigned16(head, 28)];
    part(directory, rawName.length, at).get(rawName);
    ByteBuffer extra = part(directory, unsigned16(head, 30), at);
    part(directory, unsigned16(head, 32), at);
    String name = name(rawName, at);
    requirePlain(name, unsigned16(head, 8), unsigned16(head, 10), at);
    long[] places = {unsigned32(head, 24), unsigned32(head, 20), unsigned32(head, 42)};
    widen(places, extra, at);
    if (places[0] != places[1]) {
      throw wrong(at, "the entry " + Text.quote(name) + " is stored as it is and claims " + places[1] + " bytes for "
          + places[0] + " bytes of content");
    }
    return located(head, rawName, name, places[0], places[2], directoryBegin);
  }

  /** Numbers that do not fit 32 bits stand in an extra field, in this order, and only they. */
  private void widen(long[] places, ByteBuffer extra, long at) {
    while (extra.remaining() >= 4) {
      int id = Short.toUnsignedInt(extra.getShort());
      ByteBuffer field = part(extra, Short.toUnsignedInt(extra.getShort()), at);
      for (int i = 0; i < places.length && id == EXTRA64; i++) {
        places[i] = places[i] == ELSEWHERE && field.remaining() >= 8 ? field.getLong() : places[i];
      }
    }
  }

  /** Compares what the directory says with the entry's own header, and finds the data behind that. */
  private Entry located(ByteBuffer head, byte[] rawName, String name, long size, long header, long directoryBegin) {
    long room = directoryBegin - LOCAL_BYTES - rawName.length;
    if (header < 0 || header > room || size < 0) {
      throw wrong(directoryBegin, "the entry " + Text.quote(name) + " claims byte " + header + " and " + size
          + " bytes, which are not in the archive");
    }
    ByteBuffer local = file.read(header, LOCAL_BYTES + rawName.length);
    long begin = header + LOCAL_BYTES + rawName.length + unsigned16(local, 28);
    boolean later = (local.getShort(6) & DESCRIPTOR) != 0;
    int crc = head.getInt(16);
    boolean same = local.getInt(0) == LOCAL && local.getShort(6) == head.getShort(8) && local.getShort(8) == 0
        && isSame(local.getInt(14), crc, later)
        && isSame(unsigned32(local, 18), Math.min(size, ELSEWHERE), later)
        && isSame(unsigned32(local, 22), Math.min(size, ELSEWHERE), later)
        && unsigned16(local, 26) == rawName.length && local.slice(LOCAL_BYTES, rawName.length).equals(ByteBuffer.wrap(rawName));
    if (!same) {
      throw wrong(header, "the header of the entry " + Text.quote(name) + " contradicts the zip directory");
    }
    if (size > directoryBegin - begin) {
      throw wrong(header, "the entry " + Text.quote(name) + " claims " + size + " bytes from byte " + begin
          + " on, the archive's directory begins at byte " + directoryBegin);
    }
    return new Entry(name, header, begin, size, crc);
  }

  /** Where the numbers stand behind the entry, its header has zeros. */
  private static boolean isSame(long found, long expected, boolean later) {
    return found == expected || (later && found == 0);
  }

  private void requirePlain(String name, int flags, int method, long at) {
    if (method != 0) {
      throw wrong(at, "the entry " + Text.quote(name) + " is compressed (" + (method == DEFLATED ? "deflated" : "method " + method)
          + "), and torch.save never compresses; unpack it and pack it again without compression, or save it again with torch");
    }
    if ((flags & ~(DESCRIPTOR | UTF8)) != 0) {
      throw wrong(at, "the entry " + Text.quote(name) + " is encrypted or patched (flags " + flags + "), which torch.save never does");
    }
  }

  private String name(byte[] raw, long at) {
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(raw)).toString();
    } catch (CharacterCodingException e) {
      throw FormatException.at(file.path(), at, "the name of a zip entry is not UTF-8", e);
    }
  }

  /** Many entries over the same bytes would make a small file a large one. */
  private void requireApart() {
    List<Entry> sorted = new ArrayList<>(entries.values());
    sorted.sort(Comparator.comparingLong(Entry::header));
    for (int i = 1; i < sorted.size(); i++) {
      Entry before = sorted.get(i - 1);
      if (sorted.get(i).header < before.end()) {
        throw wrong(sorted.get(i).header, "the zip entry " + Text.quote(sorted.get(i).name) + " begins inside "
            + Text.quote(before.name));
      }
    }
  }

  /** The next {@code count} bytes as a buffer of their own. */
  private ByteBuffer part(ByteBuffer bytes, int count, long at) {
    if (count > bytes.remaining()) {
      throw wrong(at, "the zip directory is cut off inside an entry");
    }
    ByteBuffer part = bytes.slice(bytes.position(), count).order(ByteOrder.LITTLE_ENDIAN);
    bytes.position(bytes.position() + count);
    return part;
  }

  private static int unsigned16(ByteBuffer bytes, int at) {
    return Short.toUnsignedInt(bytes.getShort(at));
  }

  private static long unsigned32(ByteBuffer bytes, int at) {
    return Integer.toUnsignedLong(bytes.getInt(at));
  }

  private FormatException wrong(long at, String problem) {
    return FormatException.at(file.path(), at, problem, null);
  }
}
