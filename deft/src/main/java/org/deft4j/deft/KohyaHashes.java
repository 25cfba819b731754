package org.deft4j.deft;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.WritableByteChannel;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SafetensorsWriter;

/**
 * The two hashes that kohya's sd-scripts store in a LoRA file, as the A1111 extension sd-webui-additional-networks defined
 * them. Both are of the bytes of the safetensors file that the tensors would make with those metadata alone whose keys begin
 * with {@code ss_}, because the other entries may change later:
 *
 * <ul>
 *   <li>{@code sshs_model_hash}: SHA-256 of everything after the header, 64 hexadecimal digits;
 *   <li>{@code sshs_legacy_hash}: SHA-256 of the 64 KiB from byte 1 MiB on, of as many as there are, its first 8 digits.
 * </ul>
 *
 * <p>The bytes are hashed as the writer gives them out; the file is never in memory. (The header's length does not depend on
 * the order of its metadata, so neither do the hashes, unless the header itself is longer than 1 MiB.)
 *
 * @param model the value of {@code sshs_model_hash}
 * @param legacy the value of {@code sshs_legacy_hash}
 */
record KohyaHashes(String model, String legacy) {
  private static final String HASHED_KEYS = "ss_";
  private static final long LEGACY_START = 0x100000;
  private static final long LEGACY_END = LEGACY_START + 0x10000;
  private static final int LEGACY_DIGITS = 8;

  /** Of a file with these tensors and this metadata. */
  static KohyaHashes of(Map<String, Tensor> tensors, Map<String, String> metadata) {
    Map<String, String> hashed = new LinkedHashMap<>(metadata);
    hashed.keySet().removeIf(key -> !key.startsWith(HASHED_KEYS));
    try (Sink sink = new Sink()) {
      SafetensorsWriter.write(sink, tensors, hashed);
      return new KohyaHashes(digits(sink.model), digits(sink.legacy).substring(0, LEGACY_DIGITS));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static String digits(MessageDigest digest) {
    return HexFormat.of().formatHex(digest.digest());
  }

  /** Takes the file's bytes in order: the header's length in the first eight, little-endian, tells where the data begin. */
  private static final class Sink implements WritableByteChannel {
    private final MessageDigest model = sha256();
    private final MessageDigest legacy = sha256();
    private final ByteBuffer prefix = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private long at;

    private static MessageDigest sha256() {
      try {
        return MessageDigest.getInstance("SHA-256");
      } catch (NoSuchAlgorithmException e) {
        throw new IllegalStateException("every Java runtime has SHA-256", e);
      }
    }

    @Override
    public int write(ByteBuffer bytes) {
      int count = bytes.remaining();
      for (; prefix.hasRemaining() && bytes.hasRemaining(); at++) {
        prefix.put(bytes.get());
      }
      if (!prefix.hasRemaining()) {
        update(model, bytes, Long.BYTES + prefix.getLong(0), Long.MAX_VALUE);
        update(legacy, bytes, LEGACY_START, LEGACY_END);
      }
      at += bytes.remaining();
      bytes.position(bytes.limit());
      return count;
    }

    /** Hashes what of {@code bytes}, which lie at {@code at} in the file, lies in [from, to). */
    private void update(MessageDigest digest, ByteBuffer bytes, long from, long to) {
      int begin = Math.clamp(from - at, 0, bytes.remaining());
      int end = Math.clamp(to - at, 0, bytes.remaining());
      digest.update(bytes.slice(bytes.position() + begin, end - begin));
    }

    @Override
    public boolean isOpen() {
      return true;
    }

    @Override
    public void close() {}
  }
}
