package org.deft4j.weights;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BiConsumer;

/**
 * Writes the pickle of a dict in protocol 2. Of contiguous tensors, each with a storage of its own, it is byte for byte what
 * torch.save hands to CPython's pickler, numbered notes of every string, tuple and global included. Of plain values it means the
 * same, but a string that comes again is written again.
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
    AtomicInteger storages = new AtomicInteger();
    return writer.whole(tensors, (name, spec) -> writer.tensor(name, spec, storages.getAndIncrement()));
  }

  /**
   * The pickle of strings, booleans, integers, floats, None (null), and lists and dicts of them.
   *
   * @throws IllegalArgumentException for a value of another kind, or a string that cannot be written
   */
  static byte[] plain(Map<String, ?> values) {
    TorchPickleWriter writer = new TorchPickleWriter();
    return writer.whole(values, (_, value) -> writer.value(value));
  }

  private <V> byte[] whole(Map<String, V> entries, BiConsumer<String, V> value) {
    op(PickleCode.PROTO).op(2);
    dict(entries, value);
    return op(PickleCode.STOP).bytes.toByteArray();
  }

  /** CPython adds a lone entry by itself, and after a last batch that is full another without entries. */
  private <V> void dict(Map<String, V> entries, BiConsumer<String, V> value) {
    op(PickleCode.EMPTY_DICT).note();
    int count = 0;
    for (Map.Entry<String, V> entry : entries.entrySet()) {
      if (count % BATCH == 0 && entries.size() > 1) {
        op(PickleCode.MARK);
      }
      string(entry.getKey());
      value.accept(entry.getKey(), entry.getValue());
      if (++count % BATCH == 0) {
        op(PickleCode.SETITEMS);
      }
    }
    if (count == 1) {
      op(PickleCode.SETITEM);
    } else if (count > 0) {
      if (count % BATCH == 0) {
        op(PickleCode.MARK);
      }
      op(PickleCode.SETITEMS);
    }
  }

  private void value(Object value) {
    switch (value) {
      case null -> op(PickleCode.NONE);
      case Boolean truth -> op(truth ? PickleCode.NEWTRUE : PickleCode.NEWFALSE);
      case Integer number -> signed(number);
      case Long number -> signed(number);
      case Double number -> floating(number);
      case String text -> string(text);
      case List<?> list -> list(list);
      case Map<?, ?> map -> {
        Map<String, Object> named = new LinkedHashMap<>();
        map.forEach((name, inner) -> named.put((String) name, inner));
        dict(named, (_, inner) -> value(inner));
      }
      default -> throw new IllegalArgumentException("value " + value + " of " + value.getClass() + " is not plain");
    }
  }

  private void list(List<?> values) {
    op(PickleCode.EMPTY_LIST).note();
    if (!values.isEmpty()) {
      op(PickleCode.MARK);
      values.forEach(this::value);
      op(PickleCode.APPENDS);
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

  private void signed(long value) {
    if (value >= 0) {
      integer(value);
    } else if (value >= Integer.MIN_VALUE) {
      op(PickleCode.BININT).littleEndian(value, Integer.BYTES);
    } else {
      op(PickleCode.LONG1).op(Long.BYTES).littleEndian(value, Long.BYTES);
    }
  }

  /** In pickles the bytes of a float come in the order of the network, those of integers do not. */
  private void floating(double value) {
    op(PickleCode.BINFLOAT).littleEndian(Long.reverseBytes(Double.doubleToRawLongBits(value)), Double.BYTES);
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
