package org.deft4j.weights;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/** A file that is open for reading at any byte. What cannot be read is a {@link FormatException} with the file and the byte. */
final class FileBytes implements AutoCloseable {
  /** Bytes that one read asks of the system. */
  static final long CHUNK = 8L << 20;

  private final Path path;
  private final FileChannel channel;
  private final FileState opened;

  private FileBytes(Path path, FileChannel channel, FileState opened) {
    this.path = path;
    this.channel = channel;
    this.opened = opened;
  }

  static FileBytes open(Path path) {
    try {
      FileState state = FileState.of(path);
      return new FileBytes(path, FileChannel.open(path, StandardOpenOption.READ), state);
    } catch (IOException e) {
      throw FormatException.unreadable(path, e);
    }
  }

  Path path() {
    return path;
  }

  /** Bytes that the file had when it was opened. */
  long size() {
    return opened.size();
  }

  /** The bytes {@code from} to {@code from + count} (exclusive), little-endian, on the heap: for small parts. */
  ByteBuffer read(long from, int count) {
    ByteBuffer bytes = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
    readFully(from, bytes, null);
    return bytes.flip();
  }

  /** Fills native memory with the bytes from {@code from} on; {@code tensor} is named in errors. */
  void read(long from, MemorySegment into, String tensor) {
    for (long at = 0; at < into.byteSize(); at += CHUNK) {
      readFully(from + at, into.asSlice(at, Math.min(CHUNK, into.byteSize() - at)).asByteBuffer(), tensor);
    }
    requireUnchanged(tensor);
  }

  /** Fills a contiguous tensor of the stored type with the bytes from {@code from} on; one without memory, in a rehearsal, stays as it is. */
  void read(long from, Tensor into, String tensor) {
    into.write(bytes -> read(from, bytes, tensor));
  }

  /** Fills a contiguous tensor from elements of another type; never more than a chunk is there in both types. */
  void readConverted(long from, DType stored, Tensor into, String tensor) {
    long count = into.elementCount();
    Tensor flat = into.reshape(count);
    long most = CHUNK / stored.bytes();
    for (long start = 0; start < count; start += most) {
      try (Scope _ = Scope.open()) {
        Tensor chunk = Tensor.empty(into.device(), stored, Shape.of(Math.min(most, count - start)));
        read(from + start * stored.bytes(), chunk, tensor);
        convert(chunk, flat.slice(0, start, start + chunk.elementCount()), tensor);
      }
    }
  }

  /** {@code into = stored}, in the type of {@code into}, whose range no value may leave. */
  void convert(Tensor stored, Tensor into, String tensor) {
    Dispatch.run(new InPlace.CopyInto(), into, stored);
    if (into.device() != Device.META) {
      ValueRange.require(path, tensor, stored.reshape(stored.elementCount()), into);
    }
  }

  private void readFully(long from, ByteBuffer into, String tensor) {
    try {
      long at = from;
      while (into.hasRemaining()) {
        int count = channel.read(into, at);
        if (count < 0) {
          throw FormatException.tensor(path, at, tensor, "the file ends here; it was cut off while it was read");
        }
        at += count;
      }
    } catch (IOException e) {
      throw FormatException.unreadable(path, e);
    }
  }

  /** What was read may be old in one part and new in another where the file was written to meanwhile. */
  private void requireUnchanged(String tensor) {
    try {
      if (opened.wasWrittenTo(path)) {
        throw FormatException.tensor(path, FormatException.NO_OFFSET, tensor,
            "the file was written to while it was read; start again when that is over");
      }
    } catch (IOException e) {
      throw FormatException.unreadable(path, e);
    }
  }

  @Override
  public void close() {
    try {
      channel.close();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
