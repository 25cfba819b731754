package org.deft4j.weights;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.zip.CRC32;

/**
 * Torch files made byte by byte. A piece of a pickle is a string with one character (0 to 255) for each byte, so that pieces are
 * put together with {@code +}.
 */
final class CraftedTorch {
  static final String HOOKS = global("collections", "OrderedDict") + ")R";
  static final String FALSE = "\u0089";
  /** Six elements of F32. */
  static final String STORAGE = storage("FloatStorage", "0", "cpu", 6);
  /** A tensor of shape [2, 3] over {@link #STORAGE}. */
  static final String TENSOR = tensor(STORAGE, number(0), numbers(2, 3), numbers(3, 1));

  private CraftedTorch() {}

  static byte[] latin(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }

  private static String littleEndian(long value, int count) {
    StringBuilder bytes = new StringBuilder();
    for (int i = 0; i < count; i++) {
      bytes.append((char) (value >>> (8 * i) & 0xFF));
    }
    return bytes.toString();
  }

  static String str(String ascii) {
    return "X" + littleEndian(ascii.length(), 4) + ascii;
  }

  static String number(long value) {
    return (int) value == value ? "J" + littleEndian(value, 4) : "\u008A\u0008" + littleEndian(value, 8);
  }

  static String tuple(String... items) {
    return "(" + String.join("", items) + "t";
  }

  static String numbers(long... values) {
    return tuple(Arrays.stream(values).mapToObj(CraftedTorch::number).toArray(String[]::new));
  }

  static String global(String module, String name) {
    return "c" + module + "\n" + name + "\n";
  }

  static String storage(String type, String key, String device, long count) {
    return tuple(str("storage"), global("torch", type), str(key), str(device), number(count)) + "Q";
  }

  static String tensor(String... firstFour) {
    return global("torch._utils", "_rebuild_tensor_v2") + tuple(String.join("", firstFour), FALSE, HOOKS) + "R";
  }

  /** A dict of keys and values in turn. */
  static String dict(String... items) {
    return "}(" + String.join("", items) + "u";
  }

  /** A whole pickle of protocol 2. */
  static byte[] pickle(String body) {
    return latin("\u0080\u0002" + body + ".");
  }

  /** The entries of a file with this pickle and 24 bytes of storage 0. */
  static Map<String, byte[]> entries(byte[] pickle) {
    Map<String, byte[]> entries = new LinkedHashMap<>();
    entries.put("archive/data.pkl", pickle);
    entries.put("archive/byteorder", latin("little"));
    entries.put("archive/data/0", new byte[24]);
    entries.put("archive/version", latin("3\n"));
    return entries;
  }

  /** A file with this pickle. */
  static byte[] file(byte[] pickle) {
    return zip(entries(pickle), true);
  }

  /** A file of one tensor a. */
  static byte[] file() {
    return file(pickle(dict(str("a"), TENSOR)));
  }

  /** A zip archive of stored entries, without checksums (0 for each) where {@code checked} is false. */
  static byte[] zip(Map<String, byte[]> entries, boolean checked) {
    ByteArrayOutputStream file = new ByteArrayOutputStream();
    ByteArrayOutputStream directory = new ByteArrayOutputStream();
    entries.forEach((name, data) -> {
      CRC32 crc = new CRC32();
      crc.update(data);
      int header = file.size();
      byte[] rawName = name.getBytes(StandardCharsets.UTF_8);
      String fields = fields(checked ? crc.getValue() : 0, data.length, rawName.length, 0);
      file.writeBytes(latin("PK\3\4" + fields));
      file.writeBytes(rawName);
      file.writeBytes(data);
      directory.writeBytes(latin("PK\1\2" + littleEndian(20, 2) + fields + littleEndian(0, 10) + littleEndian(header, 4)));
      directory.writeBytes(rawName);
    });
    int begin = file.size();
    file.writeBytes(directory.toByteArray());
    file.writeBytes(latin("PK\5\6" + littleEndian(0, 4) + littleEndian(entries.size(), 2) + littleEndian(entries.size(), 2)
        + littleEndian(directory.size(), 4) + littleEndian(begin, 4) + littleEndian(0, 2)));
    return file.toByteArray();
  }

  private static String fields(long crc, long size, int nameBytes, int extraBytes) {
    return littleEndian(20, 2) + littleEndian(1 << 11, 2) + littleEndian(0, 6) + littleEndian(crc, 4) + littleEndian(size, 4)
        + littleEndian(size, 4) + littleEndian(nameBytes, 2) + littleEndian(extraBytes, 2);
  }

  /**
   * A file of the U8 tensors big, of that many bytes (4 GiB or more), and small (1, 2, 3, 4), which lies behind it; on disk only the
   * ends exist. Sizes, places and the directory are given in 64 bits.
   */
  static void sparse(Path path, long bytes) throws IOException {
    Map<String, byte[]> small = new LinkedHashMap<>();
    String big = tensor(storage("ByteStorage", "0", "cpu", bytes), number(0), numbers(bytes), numbers(1));
    String four = tensor(storage("ByteStorage", "1", "cpu", 4), number(0), numbers(4), numbers(1));
    small.put("archive/data.pkl", pickle(dict(str("big"), big, str("small"), four)));
    small.put("archive/version", latin("3"));
    small.put("archive/data/0", new byte[0]);
    small.put("archive/data/1", new byte[] {1, 2, 3, 4});
    StringBuilder directory = new StringBuilder();
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW,
        StandardOpenOption.SPARSE)) {
      for (Map.Entry<String, byte[]> entry : small.entrySet()) {
        String name = entry.getKey();
        boolean isBig = name.endsWith("/0");
        long size = isBig ? bytes : entry.getValue().length;
        long header = channel.position();
        channel.write(ByteBuffer.wrap(latin("PK\3\4" + fields(0, isBig ? -1 : size, name.length(), 0) + name)));
        channel.write(ByteBuffer.wrap(entry.getValue()));
        channel.position(channel.position() + (isBig ? size : 0));
        String extra = littleEndian(1, 2) + littleEndian(isBig ? 24 : 8, 2)
            + (isBig ? littleEndian(size, 8) + littleEndian(size, 8) : "") + littleEndian(header, 8);
        directory.append("PK\1\2").append(littleEndian(20, 2)).append(fields(0, isBig ? -1 : size, name.length(), extra.length()))
            .append(littleEndian(0, 10)).append(littleEndian(-1, 4)).append(name).append(extra);
      }
      long begin = channel.position();
      long end = begin + directory.length();
      directory.append("PK\6\6").append(littleEndian(44, 8)).append(littleEndian(0x2D002D, 4)).append(littleEndian(0, 8))
          .append(littleEndian(4, 8)).append(littleEndian(4, 8)).append(littleEndian(end - begin, 8)).append(littleEndian(begin, 8))
          .append("PK\6\7").append(littleEndian(0, 4)).append(littleEndian(end, 8)).append(littleEndian(1, 4))
          .append("PK\5\6").append(littleEndian(0, 4)).append(littleEndian(-1, 4)).append(littleEndian(-1, 8)).append(littleEndian(0, 2));
      channel.write(ByteBuffer.wrap(latin(directory.toString())));
    }
  }

  /** Where the header of an entry begins. */
  static int local(byte[] file, String name) {
    return find(file, "PK\3\4", name, StoredZip.LOCAL_BYTES);
  }

  /** Where the line of an entry in the directory begins. */
  static int central(byte[] file, String name) {
    return find(file, "PK\1\2", name, StoredZip.CENTRAL_BYTES);
  }

  private static int find(byte[] file, String signature, String name, int nameAt) {
    String text = new String(file, StandardCharsets.ISO_8859_1);
    for (int at = text.indexOf(signature); at >= 0; at = text.indexOf(signature, at + 1)) {
      if (text.startsWith(name, at + nameAt)) {
        return at;
      }
    }
    throw new AssertionError("no entry " + name);
  }

  /** A copy with {@code count} bytes replaced by a little-endian number. */
  static byte[] with(byte[] file, int at, int count, long value) {
    byte[] copy = file.clone();
    ByteBuffer.wrap(copy).order(ByteOrder.LITTLE_ENDIAN).put(at, latin(littleEndian(value, count)));
    return copy;
  }
}
