package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.deft4j.weights.ModelSource;

/**
 * Tells whether a model is the one that it was, at the cost of a look: the digest of the sizes of its files of weights and configurations and of
 * a block of bytes of each MiB of them. Wherever it lies, the same model has the same; one whose weights were trained or merged since has another.
 */
final class ModelDigest {
  private static final List<String> ENDINGS = List.of(".safetensors", ".json");
  private static final int BLOCK = 4096;
  private static final long STRIDE = 1 << 20;

  private ModelDigest() {}

  /** That of what {@code --model} names. */
  static String of(String model) throws IOException {
    Map<String, Path> files = new TreeMap<>();
    try (ModelSource source = ModelSource.open(model)) {
      Path whole = Path.of(source.source());
      if (Files.isRegularFile(whole)) {
        files.put("", whole);
      } else {
        add(files, "", whole);
        for (String component : source.components()) {
          if (source.folder(component).isPresent()) {
            add(files, component, source.folder(component).get());
          }
        }
      }
    }
    MessageDigest digest = sha256();
    for (Map.Entry<String, Path> file : files.entrySet()) {
      digest.update((file.getKey() + "\0" + Files.size(file.getValue()) + "\0").getBytes(StandardCharsets.UTF_8));
      sample(digest, file.getValue());
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private static void add(Map<String, Path> files, String component, Path folder) throws IOException {
    try (Stream<Path> all = Files.list(folder)) {
      all.filter(file -> ENDINGS.stream().anyMatch(file.toString()::endsWith) && Files.isRegularFile(file))
          .forEach(file -> files.put(component + "/" + file.getFileName(), file));
    }
  }

  private static void sample(MessageDigest digest, Path file) throws IOException {
    ByteBuffer block = ByteBuffer.allocate(BLOCK);
    try (FileChannel channel = FileChannel.open(file)) {
      for (long at = 0; at < channel.size(); at += STRIDE) {
        channel.read(block.clear(), at);
        digest.update(block.flip());
      }
      channel.read(block.clear(), Math.max(0, channel.size() - BLOCK));
      digest.update(block.flip());
    }
  }

  /** A new digest. */
  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
