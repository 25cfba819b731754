package org.deft4j.weights;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Writes a dict from names to tensors as torch.save does, for {@code torch.load} and {@link TorchFile}: a zip archive of
 * {@code archive/data.pkl} (protocol 2), {@code archive/byteorder}, {@code archive/data/0, 1, ...} at multiples of 64 bytes, and
 * {@code archive/version}. Every tensor has a storage of its own. The same tensors give the same bytes, whatever the file is
 * called, and the file appears whole or not at all.
 */
public final class TorchFileWriter {
  private static final String FOLDER = "archive/";
  /** {@link TorchPickle#MAX_STEPS} at 34 for a tensor. */
  private static final int MAX_TENSORS = 30_000;

  private TorchFileWriter() {}

  /**
   * Makes or replaces a file; tensors are in the order of the map, and copied only where they are not contiguous.
   *
   * @throws IllegalArgumentException for a type other than F64, F32, F16, BF16, I64, I32, U8 and BOOL, a name that is too long or has
   *     no UTF-8 form, and for 4 GiB or more
   */
  public static void write(Path path, Map<String, Tensor> tensors) {
    Map<String, TensorSpec> specs = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> specs.put(name, TensorSpec.of(tensor)));
    requireSmall(path, specs);
    byte[] pickle = TorchPickleWriter.pickle(specs);
    if (pickle.length > TorchPickle.MAX_BYTES) {
      throw new IllegalArgumentException(path + ": the names make a pickle of " + pickle.length + " bytes, at most "
          + TorchPickle.MAX_BYTES + " are allowed");
    }
    archive(path, pickle, zip -> {
      int key = 0;
      for (Tensor tensor : tensors.values()) {
        try (Scope _ = Scope.open()) {
          zip.add(FOLDER + TorchFile.DATA + key++, tensor.to(Device.CPU).contiguous().bytes());
        }
      }
    });
  }

  /**
   * Makes or replaces a file that holds no tensors but a dict of strings, booleans, integers, floats, None (null), and lists and dicts of them, a
   * configuration say.
   *
   * @throws IllegalArgumentException for a value of another kind
   */
  public static void writePlain(Path path, Map<String, ?> values) {
    archive(path, TorchPickleWriter.plain(values), _ -> {});
  }

  /** Adds the storages to an archive. */
  @FunctionalInterface
  private interface Storages {
    void add(StoredZipWriter zip) throws IOException;
  }

  private static void archive(Path path, byte[] pickle, Storages storages) {
    Path folder = path.toAbsolutePath().getParent();
    try {
      if (!Files.isDirectory(folder)) {
        throw new NoSuchFileException(folder.toString(), null, "there is no such folder to write " + path.getFileName() + " to");
      }
      AtomicFile.write(path, channel -> {
        StoredZipWriter zip = new StoredZipWriter(channel);
        zip.add(FOLDER + TorchFile.PICKLE, MemorySegment.ofArray(pickle));
        zip.add(FOLDER + TorchFile.BYTE_ORDER, ascii(TorchFile.LITTLE));
        storages.add(zip);
        zip.add(FOLDER + TorchFile.VERSION, ascii(TorchFile.SUPPORTED_VERSION + "\n"));
        zip.finish();
      });
    } catch (IOException e) {
      throw new UncheckedIOException(path + ": cannot be written: " + e.getMessage(), e);
    }
  }

  /** Before anything is written or copied: the limits of the archive. */
  private static void requireSmall(Path path, Map<String, TensorSpec> specs) {
    if (specs.size() > MAX_TENSORS) {
      throw new IllegalArgumentException(path + ": has " + specs.size() + " tensors, a torch file here has at most " + MAX_TENSORS
          + "; write safetensors");
    }
    long bytes = TorchPickle.MAX_BYTES;
    for (TensorSpec spec : specs.values()) {
      bytes += Math.min(spec.byteCount(), StoredZipWriter.MAX_BYTES) + StoredZipWriter.overhead(FOLDER + TorchFile.DATA + specs.size());
    }
    if (bytes > StoredZipWriter.MAX_BYTES) {
      throw new IllegalArgumentException(path + ": the tensors have about " + bytes + " bytes, a torch file here has less than 4 GiB;"
          + " write safetensors");
    }
  }

  private static MemorySegment ascii(String text) {
    return MemorySegment.ofArray(text.getBytes(StandardCharsets.US_ASCII));
  }
}
