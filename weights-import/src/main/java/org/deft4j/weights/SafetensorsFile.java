package org.deft4j.weights;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;
import java.util.Set;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;

/**
 * A safetensors file: eight bytes of header length N (little-endian), N bytes of JSON {@code {name: {dtype, shape,
 * data_offsets}}}, and the tensors' bytes. The header is checked whole when the file is opened; a tensor is read, never
 * mapped, straight into its memory when it is asked for, from whatever byte it starts at; where another type is asked for,
 * piece by piece, each converted as it is read.
 */
public final class SafetensorsFile implements WeightSource {
  /** Bytes that one read asks of the system. */
  private static final long CHUNK = 8L << 20;

  private final Path path;
  private final FileChannel channel;
  private final SafetensorsHeader header;
  private final long dataStart;
  private final FileState opened;

  private SafetensorsFile(Path path, FileChannel channel, SafetensorsHeader header, long dataStart, FileState opened) {
    this.opened = opened;
    this.path = path;
    this.channel = channel;
    this.header = header;
    this.dataStart = dataStart;
  }

  /** Opens a file and checks its header. */
  public static SafetensorsFile open(Path path) {
    FileChannel channel = null;
    boolean opened = false;
    try {
      FileState state = FileState.of(path);
      channel = FileChannel.open(path, StandardOpenOption.READ);
      long size = channel.size();
      long length = headerLength(path, channel, size);
      byte[] json = new byte[(int) length];
      readFully(path, channel, SafetensorsHeader.PREFIX, ByteBuffer.wrap(json), null);
      long dataStart = SafetensorsHeader.PREFIX + length;
      SafetensorsHeader header = SafetensorsHeader.parse(path, json, size - dataStart);
      opened = true;
      return new SafetensorsFile(path, channel, header, dataStart, state);
    } catch (IOException e) {
      throw FormatException.unreadable(path, e);
    } finally {
      if (!opened) {
        closeQuietly(channel);
      }
    }
  }

  /** The length of the header, which is checked against the limit and the file before anything of its size is allocated. */
  private static long headerLength(Path path, FileChannel channel, long size) throws IOException {
    if (size < SafetensorsHeader.PREFIX) {
      throw FormatException.of(path, "is not a safetensors file: it has " + size + " bytes, at least 8 are needed"
          + Pickles.hint(path, 0));
    }
    ByteBuffer prefix = ByteBuffer.allocate(SafetensorsHeader.PREFIX).order(ByteOrder.LITTLE_ENDIAN);
    readFully(path, channel, 0, prefix, null);
    long length = prefix.getLong(0);
    if (length < 0 || length > SafetensorsHeader.MAX_BYTES) {
      throw FormatException.at(path, 0, "is not a safetensors file: a header of " + Long.toUnsignedString(length)
          + " bytes, at most " + SafetensorsHeader.MAX_BYTES + " are accepted" + Pickles.hint(path, length), null);
    }
    if (length > size - SafetensorsHeader.PREFIX) {
      throw FormatException.at(path, 0, "a header of " + length + " bytes does not fit the file of " + size
          + " bytes; it is cut off, or not a safetensors file" + Pickles.hint(path, 0), null);
    }
    return length;
  }

  private static void closeQuietly(FileChannel channel) {
    try {
      if (channel != null) {
        channel.close();
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static void readFully(Path path, FileChannel channel, long from, ByteBuffer into, String tensor)
      throws IOException {
    long at = from;
    while (into.hasRemaining()) {
      int count = channel.read(into, at);
      if (count < 0) {
        throw FormatException.tensor(path, at, tensor, "the file ends here; it was cut off while it was read");
      }
      at += count;
    }
  }

  @Override
  public String source() {
    return path.toString();
  }

  @Override
  public Set<String> names() {
    return header.entries().keySet();
  }

  /** What the header says of every tensor, in the order of the data. */
  public Map<String, TensorEntry> entries() {
    return header.entries();
  }

  private TensorEntry entry(String name) {
    TensorEntry entry = header.entries().get(name);
    if (entry == null) {
      String nearest = Text.nearest(name, names());
      throw FormatException.of(path, "has no tensor " + Text.quote(name)
          + (nearest == null ? "; it is empty" : "; the nearest name is " + Text.quote(nearest)));
    }
    return entry;
  }

  @Override
  public DType dtype(String name) {
    return entry(name).type().dtype().orElseThrow(() -> FormatException.tensor(path, FormatException.NO_OFFSET, name,
        "its element type " + entry(name).type() + " cannot be computed with; convert the file to F32, F16 or BF16"));
  }

  @Override
  public Shape shape(String name) {
    return entry(name).shape();
  }

  @Override
  public Tensor load(String name, DType type) {
    TensorEntry entry = entry(name);
    return read(name, type, entry.shape(), entry.begin());
  }

  /** Rows {@code start} to {@code stop} (exclusive) of the first dimension, read alone. */
  Tensor loadRows(String name, long start, long stop, DType type) {
    TensorEntry entry = entry(name);
    Shape part = entry.shape().with(0, stop - start);
    long rowBytes = part.sub(1, part.rank()).elementCount() * dtype(name).bytes();
    return read(name, type, part, entry.begin() + start * rowBytes);
  }

  private Tensor read(String name, DType type, Shape shape, long begin) {
    DType stored = dtype(name);
    return Scope.run(() -> {
      Tensor tensor = Tensor.empty(Device.CPU, type, shape).named(name);
      if (type == stored) {
        readInto(name, tensor, begin);
      } else {
        readConverted(name, stored, tensor, begin);
      }
      return tensor;
    });
  }

  /** Fills a contiguous tensor of the stored type; one without memory, in a rehearsal, stays as it is. */
  private void readInto(String name, Tensor tensor, long begin) {
    if (tensor.device() == Device.META) {
      return;
    }
    try {
      MemorySegment bytes = tensor.bytes();
      for (long at = 0; at < bytes.byteSize(); at += CHUNK) {
        ByteBuffer chunk = bytes.asSlice(at, Math.min(CHUNK, bytes.byteSize() - at)).asByteBuffer();
        readFully(path, channel, dataStart + begin + at, chunk, name);
      }
      requireUnchanged(name);
    } catch (IOException e) {
      throw FormatException.unreadable(path, e);
    }
  }

  /** Never more than a chunk is there in both types. */
  private void readConverted(String name, DType stored, Tensor tensor, long begin) {
    long count = tensor.elementCount();
    Tensor flat = tensor.reshape(count);
    long most = CHUNK / stored.bytes();
    for (long start = 0; start < count; start += most) {
      try (Scope _ = Scope.open()) {
        Tensor chunk = Tensor.empty(Device.CPU, stored, Shape.of(Math.min(most, count - start)));
        readInto(name, chunk, begin + start * stored.bytes());
        Tensor target = flat.slice(0, start, start + chunk.elementCount());
        Dispatch.run(new InPlace.CopyInto(), target, chunk);
        if (target.device() != Device.META) {
          ValueRange.require(path, name, chunk, target);
        }
      }
    }
  }

  /** What was read may be old in one part and new in another where the file was written to meanwhile. */
  private void requireUnchanged(String name) throws IOException {
    if (opened.wasWrittenTo(path)) {
      throw FormatException.tensor(path, FormatException.NO_OFFSET, name,
          "the file was written to while it was read; start again when that is over");
    }
  }

  @Override
  public Map<String, String> metadata() {
    return header.metadata();
  }

  @Override
  public void close() {
    closeQuietly(channel);
  }
}
