package org.deft4j.weights;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.EnumMap;
import java.util.Map;

/**
 * Writes the pickle of a dict of contiguous tensors, each with a storage of its own, in protocol 2: byte for byte what
 * torch.save hands to CPython's pickler, numbered notes of every string, tuple and global included.
 */
final class TorchPickleWriter {
  /** Entries that CPython's pickler adds to a dict at once. */
  private static final int BATCH = 1000;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
  private final Map<TorchGlobal, Integer> globals = new EnumMap<>(TorchGlobal.class);
  private int notes;
  private int storageNote = -1;
  private int cpuNote = -1;

  private TorchPickleWriter() {}

  /**
   * The pickle; storage i is that of the i-th tensor.
   *
   * @throws IllegalArgumentException for a type that {@link TorchGlobal} has no storage for, or a name that cannot be written
   */
  static byte[] pickle(Map<String, TensorSpec> tensors) {
    TorchPickleWriter writer = new TorchPickleWriter();
    writer.op(PickleCode.PROTO).op(2).op(PickleCode.EMPTY_DICT).note();
    int count = 0;
    for (Map.Entry<String, TensorSpec> entry : tensors.entrySet()) {
      if (count % BATCH == 0 && tensors.size() > 1) {
        writer.op(PickleCode.MARK);
      }
      writer.string(entry.getKey());
      writer.tensor(entry.getKey(), entry.getValue(), count++);
      if (count % BATCH == 0) {
        writer.op(PickleCode.SETITEMS);
      }
    }
    writer.endOfDict(count);
    return writer.op(PickleCode.STOP).bytes.toByteArray();
  }

  /** CPython adds a lone entry by itself, and after a last batch that is full another without entries. */
  private void endOfDict(int count) {
    if (count == 1) {
      op(PickleCode.SETITEM);
    } else if (count > 0) {
      if (count % BATCH == 0) {
        op(PickleCode.MARK);
      }
      op(PickleCode.SETITEMS);
    }
  }

  private void tensor(String name, TensorSpec spec, int key) {
    TorchGlobal type = TorchGlobal.storage(spec.dtype()).orElseThrow(() -> new IllegalArgumentException("tensor "
        + Text.quote(name) + ": torch files here hold no " + spec.dtype() + "; cast it to F32, F16 or BF16"));
    global(TorchGlobal.REBUILD_TENSOR).op(PickleCode.MARK).op(PickleCode.MARK);
    storageNote = constant("storage", storageNote);
    global(type).string(Integer.toString(key));
    cpuNote = constant("cpu", cpuNote);
    integer(spec.shape().elementCount()).op(PickleCode.TUPLE).note().op(PickleCode.BINPERSID);
    integer(0).integers(spec.shape().toArray()).integers(spec.shape().contiguousStrides()).op(PickleCode.NEWFALSE);
    global(TorchGlobal.ORDERED_DICT).op(PickleCode.EMPTY_TUPLE).op(PickleCode.REDUCE).note();
    op(PickleCode.TUPLE).note().op(PickleCode.REDUCE).note();
  }

  private TorchPickleWriter op(int code) {
    bytes.write(code);
    return this;
  }

  private TorchPickleWriter littleEndian(long value, int count) {
    for (int i = 0; i < count; i++) {
      bytes.write((int) (value >>> (8 * i)));
    }
    return this;
  }

  private TorchPickleWriter note() {
    boolean small = notes < 1 << 8;
    return op(small ? PickleCode.BINPUT : PickleCode.LONG_BINPUT).littleEndian(notes++, small ? 1 : 4);
  }

  private TorchPickleWriter noted(int number) {
    boolean small = number < 1 << 8;
    return op(small ? PickleCode.BINGET : PickleCode.LONG_BINGET).littleEndian(number, small ? 1 : 4);
  }

  private TorchPickleWriter string(String text) {
    try {
      ByteBuffer encoded = StandardCharsets.UTF_8.newEncoder().encode(CharBuffer.wrap(text));
      byte[] utf8 = new byte[encoded.remaining()];
      encoded.get(utf8);
      if (utf8.length > TorchPickle.MAX_STRING) {
        throw new IllegalArgumentException("tensor " + Text.quote(text) + ": the name has " + utf8.length + " bytes, at most "
            + TorchPickle.MAX_STRING + " are allowed");
      }
      op(PickleCode.BINUNICODE).littleEndian(utf8.length, 4);
      bytes.writeBytes(utf8);
      return note();
    } catch (CharacterCodingException e) {
      throw new IllegalArgumentException("tensor " + Text.quote(text) + ": the name has half of a surrogate pair and no UTF-8 form", e);
    }
  }

  /** A string that all tensors share; returns its note. */
  private int constant(String text, int note) {
    if (note < 0) {
      string(text);
      return notes - 1;
    }
    noted(note);
    return note;
  }

  private TorchPickleWriter global(TorchGlobal global) {
    Integer known = globals.get(global);
    if (known != null) {
      return noted(known);
    }
    globals.put(global, notes);
    op(PickleCode.GLOBAL);
    bytes.writeBytes((global.module() + "\n" + global.member() + "\n").getBytes(StandardCharsets.US_ASCII));
    return note();
  }

  /** {@code value} is not negative. */
  private TorchPickleWriter integer(long value) {
    if (value < 1 << 8) {
      return op(PickleCode.BININT1).littleEndian(value, 1);
    }
    if (value < 1 << 16) {
      return op(PickleCode.BININT2).littleEndian(value, 2);
    }
    if (value <= Integer.MAX_VALUE) {
      return op(PickleCode.BININT).littleEndian(value, 4);
    }
    int count = (Long.SIZE - Long.numberOfLeadingZeros(value)) / 8 + 1;
    return op(PickleCode.LONG1).op(count).littleEndian(value, count);
  }

  private TorchPickleWriter integers(long[] values) {
    if (values.length == 0) {
      return op(PickleCode.EMPTY_TUPLE);
    }
    if (values.length > 3) {
      op(PickleCode.MARK);
    }
    for (long value : values) {
      integer(value);
    }
    return op(values.length > 3 ? PickleCode.TUPLE : PickleCode.TUPLE1 + values.length - 1).note();
  }
}
