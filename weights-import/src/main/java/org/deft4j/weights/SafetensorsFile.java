package org.deft4j.weights;

import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * A safetensors file: eight bytes of header length N (little-endian), N bytes of JSON {@code {name: {dtype, shape,
 * data_offsets}}}, and the tensors' bytes. The header is checked whole when the file is opened; a tensor is read, never
 * mapped, straight into its memory when it is asked for, from whatever byte it starts at; where another type is asked for,
 * piece by piece, each converted as it is read.
 */
public final class SafetensorsFile implements WeightSource {
  private final FileBytes file;
  private final SafetensorsHeader header;
  private final long dataStart;

  private SafetensorsFile(FileBytes file, SafetensorsHeader header, long dataStart) {
    this.file = file;
    this.header = header;
    this.dataStart = dataStart;
  }

  /** Opens a file and checks its header. */
  public static SafetensorsFile open(Path path) {
    FileBytes file = FileBytes.open(path);
    boolean opened = false;
    try {
      long length = headerLength(file);
      byte[] json = file.read(SafetensorsHeader.PREFIX, (int) length).array();
      long dataStart = SafetensorsHeader.PREFIX + length;
      SafetensorsHeader header = SafetensorsHeader.parse(path, json, file.size() - dataStart);
      opened = true;
      return new SafetensorsFile(file, header, dataStart);
    } finally {
      if (!opened) {
        file.close();
      }
    }
  }

  /** The length of the header, which is checked against the limit and the file before anything of its size is allocated. */
  private static long headerLength(FileBytes file) {
    Path path = file.path();
    long size = file.size();
    if (size < SafetensorsHeader.PREFIX) {
      throw FormatException.of(path, "is not a safetensors file: it has " + size + " bytes, at least 8 are needed"
          + Pickles.hint(path, 0));
    }
    long length = file.read(0, SafetensorsHeader.PREFIX).getLong(0);
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

  @Override
  public String source() {
    return file.path().toString();
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
      throw FormatException.of(file.path(), "has no tensor " + Text.quote(name)
          + (nearest == null ? "; it is empty" : "; the nearest name is " + Text.quote(nearest)));
    }
    return entry;
  }

  @Override
  public DType dtype(String name) {
    return entry(name).type().dtype().orElseThrow(() -> FormatException.tensor(file.path(), FormatException.NO_OFFSET, name,
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
      Tensor tensor = Tensor.empty(type, shape).named(name);
      if (type == stored) {
        file.read(dataStart + begin, tensor, name);
      } else {
        file.readConverted(dataStart + begin, stored, tensor, name);
      }
      return tensor;
    });
  }

  @Override
  public Map<String, String> metadata() {
    return header.metadata();
  }

  @Override
  public void close() {
    file.close();
  }
}
