package org.deft4j.weights;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Pattern;
import java.util.zip.CRC32;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * A file of {@code torch.save(dict)}, as DEFT's authors keep their adapters in: a zip archive of one folder F with
 * {@code F/data.pkl}, the pickle of a flat dict from names to tensors, {@code F/data/KEY}, the little-endian elements of each
 * storage, {@code F/version} (3) and in newer files {@code F/byteorder} (little).
 *
 * <p>A pickle can hold a program. This one is never run: {@link TorchPickle} knows the few opcodes and names that describe
 * tensors and refuses every other, so what opens is a list of tensors and nothing else. All of it is checked when the file is
 * opened, except the storages' checksums, which are when a tensor of theirs is first read. Data goes straight into the
 * tensor's memory where it is contiguous; a view is read with what lies between its elements and put in row-major order.
 */
public final class TorchFile implements WeightSource {
  static final String PICKLE = "data.pkl";
  static final String DATA = "data/";
  static final String BYTE_ORDER = "byteorder";
  static final String LITTLE = "little";
  static final String VERSION = "version";
  static final String SUPPORTED_VERSION = "3";

  /** What torch.save puts into the folder; newer versions add notes whose names begin with a dot. */
  private static final Pattern KNOWN = Pattern.compile("data\\.pkl|byteorder|version|data/[0-9]{1,20}|\\.[a-z_]+(/[a-z_]+)?");
  private static final int NOTE_BYTES = 64;
  /** {@code torch.serialization.MAGIC_NUMBER} as a pickle of protocol 2: how files of torch before 1.6 begin. */
  private static final byte[] OLD = {(byte) 0x80, 2, (byte) 0x8A, 10, 0x6C, (byte) 0xFC, (byte) 0x9C, 0x46, (byte) 0xF9, 0x20, 0x6A,
      (byte) 0xA8, 0x50, 0x19};

  private final FileBytes file;
  private final StoredZip zip;
  private final Map<String, StoredZip.Entry> data;
  private final Map<String, TorchTensor> tensors;
  private final Set<String> checked = ConcurrentHashMap.newKeySet();

  private TorchFile(FileBytes file, StoredZip zip, Map<String, StoredZip.Entry> data, Map<String, TorchTensor> tensors) {
    this.file = file;
    this.zip = zip;
    this.data = data;
    this.tensors = tensors;
  }

  /**
   * Opens a file and checks what it says of its tensors.
   *
   * @throws FormatException for anything but a dict from names to tensors of F64, F32, F16, BF16, I64, I32, U8 or BOOL
   */
  public static TorchFile open(Path path) {
    FileBytes file = FileBytes.open(path);
    boolean opened = false;
    try {
      requireZip(file);
      StoredZip zip = StoredZip.read(file);
      String folder = folder(path, zip);
      requireNote(path, zip, folder + VERSION, SUPPORTED_VERSION, true);
      requireNote(path, zip, folder + BYTE_ORDER, LITTLE, false);
      StoredZip.Entry pickle = entry(path, zip, folder + PICKLE);
      byte[] code = zip.read(pickle, TorchPickle.MAX_BYTES);
      Map<String, TorchTensor> tensors = TorchPickle.read(path, pickle.begin(), code);
      Map<String, StoredZip.Entry> data = new HashMap<>();
      tensors.forEach((name, tensor) -> data.put(tensor.storage().key(), data(path, zip, folder, name, tensor.storage())));
      opened = true;
      return new TorchFile(file, zip, data, tensors);
    } finally {
      if (!opened) {
        file.close();
      }
    }
  }

  /** Says what a file that is no zip archive looks like. */
  private static void requireZip(FileBytes file) {
    byte[] start = file.read(0, (int) Math.min(OLD.length, file.size())).array();
    ByteBuffer four = ByteBuffer.wrap(start).order(ByteOrder.LITTLE_ENDIAN);
    if (start.length >= 4 && four.getInt(0) == StoredZip.LOCAL) {
      return;
    }
    String problem = Arrays.equals(start, OLD)
        ? "is in torch's format from before version 1.6, which is not read; save it again in a newer torch: torch.save("
            + "torch.load(old, map_location='cpu', weights_only=True), new)"
        : start.length > 1 && start[0] == OLD[0] ? "is a bare Python pickle, which is not read; save the tensors with torch.save"
        : "is not a file of torch.save: a zip archive is expected, and it has " + file.size() + " bytes that begin otherwise";
    throw FormatException.at(file.path(), 0, problem, null);
  }

  /** The one folder of the archive, with a slash; every entry is in it and is one that torch.save writes. */
  private static String folder(Path path, StoredZip zip) {
    String first = zip.entries().isEmpty() ? "" : zip.entries().keySet().iterator().next();
    String folder = first.substring(0, first.indexOf('/') + 1);
    if (folder.length() < 2 || folder.equals("./") || folder.equals("../") || folder.indexOf('\\') >= 0) {
      throw FormatException.of(path, "is not a file of torch.save: its zip archive begins with " + Text.quote(first)
          + ", expected is archive/" + PICKLE);
    }
    for (StoredZip.Entry entry : zip.entries().values()) {
      String name = entry.name();
      if (!name.startsWith(folder) || !KNOWN.matcher(name.substring(folder.length())).matches()) {
        throw FormatException.at(path, entry.header(), "the archive holds " + Text.quote(name)
            + ", which torch.save does not write for tensors; is it a TorchScript program, or an archive of something else?", null);
      }
    }
    return folder;
  }

  private static StoredZip.Entry entry(Path path, StoredZip zip, String name) {
    StoredZip.Entry entry = zip.entries().get(name);
    if (entry == null) {
      throw FormatException.of(path, "the archive has no entry " + Text.quote(name));
    }
    return entry;
  }

  private static void requireNote(Path path, StoredZip zip, String name, String expected, boolean always) {
    if (always || zip.entries().containsKey(name)) {
      StoredZip.Entry entry = entry(path, zip, name);
      String found = new String(zip.read(entry, NOTE_BYTES), StandardCharsets.ISO_8859_1).strip();
      if (!found.equals(expected)) {
        throw FormatException.at(path, entry.begin(), "the entry " + Text.quote(name) + " says " + Text.quote(found)
            + ", only " + Text.quote(expected) + " is read", null);
      }
    }
  }

  /** The bytes of a storage, which must be as many as its elements take. */
  private static StoredZip.Entry data(Path path, StoredZip zip, String folder, String tensor, TorchStorage storage) {
    StoredZip.Entry entry = zip.entries().get(folder + DATA + storage.key());
    if (entry == null) {
      throw FormatException.tensor(path, FormatException.NO_OFFSET, tensor, "its data " + Text.quote(folder + DATA + storage.key())
          + " is not in the archive");
    }
    int bytes = storage.dtype().bytes();
    if (entry.size() % bytes != 0 || entry.size() / bytes != storage.count()) {
      throw FormatException.tensor(path, entry.begin(), tensor, "its data " + Text.quote(entry.name()) + " has " + entry.size()
          + " bytes, " + storage.count() + " elements of " + storage.dtype() + " are expected");
    }
    return entry;
  }

  @Override
  public String source() {
    return file.path().toString();
  }

  /** The names, in the order of the dict. */
  @Override
  public Set<String> names() {
    return Collections.unmodifiableSet(tensors.keySet());
  }

  private TorchTensor tensor(String name) {
    TorchTensor tensor = tensors.get(name);
    if (tensor == null) {
      String nearest = Text.nearest(name, names());
      throw FormatException.of(file.path(), "has no tensor " + Text.quote(name)
          + (nearest == null ? "; it is empty" : "; the nearest name is " + Text.quote(nearest)));
    }
    return tensor;
  }

  @Override
  public DType dtype(String name) {
    return tensor(name).storage().dtype();
  }

  @Override
  public Shape shape(String name) {
    return tensor(name).shape();
  }

  @Override
  public Tensor load(String name, DType type) {
    TorchTensor stored = tensor(name);
    return Scope.run(() -> {
      Tensor tensor = Tensor.empty(type, stored.shape()).named(name);
      if (tensor.device() != Device.META) {
        requireChecksum(name, stored.storage().key());
      }
      if (!stored.isContiguous()) {
        readView(name, stored, tensor);
      } else if (type == stored.storage().dtype()) {
        file.read(begin(stored), tensor, name);
      } else {
        file.readConverted(begin(stored), stored.storage().dtype(), tensor, name);
      }
      return tensor;
    });
  }

  /** Reads a storage once through, before the first of its tensors. */
  private void requireChecksum(String name, String key) {
    StoredZip.Entry entry = data.get(key);
    if (checked.contains(key)) {
      return;
    }
    try (Scope _ = Scope.open()) {
      MemorySegment chunk = Tensor.empty(Device.CPU, DType.U8, Shape.of(Math.min(FileBytes.CHUNK, entry.size()))).bytes();
      CRC32 crc = new CRC32();
      for (long at = 0; at < entry.size(); at += chunk.byteSize()) {
        MemorySegment part = chunk.asSlice(0, Math.min(chunk.byteSize(), entry.size() - at));
        file.read(entry.begin() + at, part, name);
        crc.update(part.asByteBuffer());
      }
      zip.requireChecksum(entry, crc, name);
    }
    checked.add(key);
  }

  /** The byte of the first element of the tensor's span. */
  private long begin(TorchTensor stored) {
    return data.get(stored.storage().key()).begin() + stored.offset() * stored.storage().dtype().bytes();
  }

  private void readView(String name, TorchTensor stored, Tensor tensor) {
    DType type = stored.storage().dtype();
    try (Scope _ = Scope.open()) {
      Tensor span = Tensor.empty(Device.CPU, type, Shape.of(stored.span()));
      file.read(begin(stored), span, name);
      Tensor ordered = type == tensor.dtype() ? tensor : Tensor.empty(tensor.device(), type, stored.shape());
      ordered.write(bytes -> stored.gather(span.bytes(), bytes));
      if (ordered != tensor) {
        file.convert(ordered, tensor, name);
      }
    }
  }

  /** Nothing: torch.save keeps tensors alone. */
  @Override
  public Map<String, String> metadata() {
    return Map.of();
  }

  @Override
  public void close() {
    file.close();
  }
}
