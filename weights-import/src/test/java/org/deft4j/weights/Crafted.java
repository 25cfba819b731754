package org.deft4j.weights;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.StringJoiner;

/** Safetensors files made byte by byte. */
final class Crafted {
  private Crafted() {}

  /** A file of this header, with its true length before it, and data. */
  static byte[] file(byte[] header, byte[] data) {
    return ByteBuffer.allocate(8 + header.length + data.length).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length)
        .put(header).put(data).array();
  }

  /** A file of this header and as many bytes 0, 1, 2, ... of data. */
  static byte[] file(String header, int dataBytes) {
    byte[] data = new byte[dataBytes];
    for (int i = 0; i < dataBytes; i++) {
      data[i] = (byte) i;
    }
    return file(header.getBytes(StandardCharsets.UTF_8), data);
  }

  /** An entry of a header. */
  static String entry(String name, String dtype, String shape, long begin, long end) {
    return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":[" + begin + "," + end + "]}";
  }

  static Path write(Path file, byte[] bytes) {
    try {
      return Files.write(file, bytes);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** A file of the tensors that a manifest describes, as long as their data and full of nothing. */
  static Path sparse(Path file, JsonObject manifest) throws IOException {
    StringJoiner header = new StringJoiner(",", "{", "}");
    long end = 0;
    for (String name : manifest.keys()) {
      List<Integer> shape = manifest.requireObject(name).requireInts("shape");
      StoredType type = StoredType.valueOf(manifest.requireObject(name).requireString("dtype"));
      long bytes = shape.stream().mapToLong(Integer::longValue).reduce(1, Math::multiplyExact) * type.bits() / 8;
      header.add(entry(name, type.name(), shape.toString(), end, end + bytes));
      end += bytes;
    }
    return sparse(file, header.toString(), end);
  }

  /** A file of this header and that many bytes of data, all 0 but the last, which is 42; on disk only the ends exist. */
  static Path sparse(Path file, String header, long dataBytes) throws IOException {
    byte[] start = file(header, 0);
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW,
        StandardOpenOption.SPARSE)) {
      channel.write(ByteBuffer.wrap(start));
      channel.write(ByteBuffer.wrap(new byte[] {42}), start.length + dataBytes - 1);
    }
    return file;
  }
}
