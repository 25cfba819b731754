package org.deft4j.weights;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Writes safetensors files as the reference implementation (0.8.0) does, byte for byte: tensors ordered by element type, the
 * last of {@link StoredType} and with it the widest first, and then by name; the header compact and padded with spaces to a
 * multiple of 8. (Of several metadata entries the reference leaves the order open; here it is the map's.) The file appears
 * whole or not at all.
 */
public final class SafetensorsWriter {
  private static final String METADATA = "__metadata__";
  /** Bytes that one write hands to the system. */
  private static final long CHUNK = 8L << 20;

  private SafetensorsWriter() {}

  /** Makes or replaces a file; the tensors' memory is written as it is, and copied only where it is not contiguous. */
  public static void write(Path path, Map<String, Tensor> tensors, Map<String, String> metadata) {
    Map<String, TensorSpec> specs = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> specs.put(name, TensorSpec.of(tensor)));
    write(path, specs, tensors::get, metadata);
  }

  /**
   * Makes or replaces a file of tensors that need not exist together: each is asked for when its turn comes, inside a scope
   * that closes once it is written.
   *
   * @param specs what the tensors will be
   * @param tensors the tensor of a name
   */
  public static void write(Path path, Map<String, TensorSpec> specs, Function<String, Tensor> tensors,
      Map<String, String> metadata) {
    List<Map.Entry<String, TensorSpec>> ordered = ordered(specs);
    ByteBuffer header = header(path.toString(), ordered, metadata);
    Path folder = path.toAbsolutePath().getParent();
    try {
      if (!Files.isDirectory(folder)) {
        throw new NoSuchFileException(folder.toString(), null, "there is no such folder to write " + path.getFileName() + " to");
      }
      AtomicFile.write(path, channel -> write(channel, header, ordered, tensors));
    } catch (IOException e) {
      throw new UncheckedIOException(path + ": cannot be written: " + e.getMessage(), e);
    }
  }

  /** Gives the bytes that a file of these tensors and this metadata has, in their order, to {@code channel}; it stays open. */
  public static void write(WritableByteChannel channel, Map<String, Tensor> tensors, Map<String, String> metadata)
      throws IOException {
    Map<String, TensorSpec> specs = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> specs.put(name, TensorSpec.of(tensor)));
    List<Map.Entry<String, TensorSpec>> ordered = ordered(specs);
    write(channel, header("safetensors", ordered, metadata), ordered, tensors::get);
  }

  private static List<Map.Entry<String, TensorSpec>> ordered(Map<String, TensorSpec> specs) {
    return specs.entrySet().stream()
        .map(entry -> Map.entry(entry.getKey(), entry.getValue()))
        .sorted(Comparator.<Map.Entry<String, TensorSpec>, StoredType>comparing(entry -> type(entry.getValue())).reversed()
            .thenComparing(Map.Entry::getKey, Text::compareCodePoints))
        .toList();
  }

  private static void write(WritableByteChannel channel, ByteBuffer header, List<Map.Entry<String, TensorSpec>> ordered,
      Function<String, Tensor> tensors) throws IOException {
    writeFully(channel, header);
    for (Map.Entry<String, TensorSpec> entry : ordered) {
      writeTensor(channel, entry.getKey(), entry.getValue(), tensors);
    }
  }

  private static StoredType type(TensorSpec spec) {
    return StoredType.of(spec.dtype());
  }

  private static ByteBuffer header(String target, List<Map.Entry<String, TensorSpec>> tensors,
      Map<String, String> metadata) {
    StringBuilder json = new StringBuilder("{");
    if (!metadata.isEmpty()) {
      json.append('"').append(METADATA).append("\":").append(metadata.entrySet().stream()
          .map(entry -> string(entry.getKey()) + ":" + string(entry.getValue()))
          .collect(Collectors.joining(",", "{", "}")));
    }
    long end = 0;
    for (Map.Entry<String, TensorSpec> entry : tensors) {
      if (entry.getKey().equals(METADATA)) {
        throw new IllegalArgumentException(target + ": a tensor cannot be named " + METADATA + ", the format reserves it");
      }
      TensorSpec tensor = entry.getValue();
      long begin = end;
      end = Math.addExact(end, tensor.byteCount());
      String shape = Arrays.stream(tensor.shape().toArray()).mapToObj(Long::toString)
          .collect(Collectors.joining(",", "[", "]"));
      json.append(json.length() > 1 ? "," : "").append(string(entry.getKey())).append(":{\"dtype\":\"").append(type(tensor))
          .append("\",\"shape\":").append(shape).append(",\"data_offsets\":[").append(begin).append(',').append(end)
          .append("]}");
    }
    return framed(target, json.append('}'));
  }

  /** The length, the header, and spaces up to a multiple of 8. */
  private static ByteBuffer framed(String target, StringBuilder json) {
    ByteBuffer text;
    try {
      text = StandardCharsets.UTF_8.newEncoder().encode(java.nio.CharBuffer.wrap(json));
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException(target + ": a name has half of a surrogate pair and no UTF-8 form", e);
    }
    int length = (text.remaining() + 7) / 8 * 8;
    if (length > SafetensorsHeader.MAX_BYTES) {
      throw new IllegalArgumentException(target + ": the names make a header of " + length + " bytes, at most "
          + SafetensorsHeader.MAX_BYTES + " are allowed");
    }
    ByteBuffer bytes = ByteBuffer.allocate(SafetensorsHeader.PREFIX + length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(length).put(text);
    while (bytes.hasRemaining()) {
      bytes.put((byte) ' ');
    }
    return bytes.flip();
  }

  /** A JSON string with the escapes of serde_json: short ones where they exist, four hexadecimal digits below space. */
  private static String string(String text) {
    StringBuilder json = new StringBuilder("\"");
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '"', '\\' -> json.append('\\').append(c);
        case '\b' -> json.append("\\b");
        case '\t' -> json.append("\\t");
        case '\n' -> json.append("\\n");
        case '\f' -> json.append("\\f");
        case '\r' -> json.append("\\r");
        default -> json.append(c < ' ' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
      }
    }
    return json.append('"').toString();
  }

  private static void writeTensor(WritableByteChannel channel, String name, TensorSpec spec, Function<String, Tensor> tensors)
      throws IOException {
    try (Scope _ = Scope.open()) {
      Tensor tensor = tensors.apply(name);
      if (!TensorSpec.of(tensor).equals(spec)) {
        throw new IllegalArgumentException("tensor " + Text.quote(name) + " was announced as " + spec.dtype() + spec.shape()
            + " and is " + tensor);
      }
      MemorySegment bytes = tensor.to(Device.CPU).contiguous().bytes();
      for (long done = 0; done < bytes.byteSize(); done += CHUNK) {
        writeFully(channel, bytes.asSlice(done, Math.min(CHUNK, bytes.byteSize() - done)).asByteBuffer());
      }
    }
  }

  private static void writeFully(WritableByteChannel channel, ByteBuffer bytes) throws IOException {
    while (bytes.hasRemaining()) {
      channel.write(bytes);
    }
  }
}
