package org.deft4j.weights;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The {@code data.pkl} of a torch.save file, read as what it is: a list of tensors in the code of a stack machine. The machine
 * here has the opcodes of {@link PickleCode}, the names of {@link TorchGlobal} and the values of {@link PickleValue}, and
 * refuses whatever else a pickle may hold; nothing in a file can make it run, load or look up anything. Time and memory are
 * bounded by the limits below. Every refusal is a {@link FormatException} with the byte in the file.
 */
final class TorchPickle {
  /** The longest pickle that is accepted: a tensor takes about a hundred bytes. */
  static final int MAX_BYTES = 16 << 20;
  /** The longest string, in UTF-8 bytes. */
  static final int MAX_STRING = 4096;
  /** The most opcodes: a tensor takes 34. */
  static final int MAX_STEPS = 1 << 20;

  private static final int LOWEST_PROTOCOL = 2;
  private static final int HIGHEST_PROTOCOL = 5;
  private static final String METADATA = "_metadata";

  private final Path path;
  private final long begin;
  private final ByteBuffer code;
  private final List<PickleValue> stack = new ArrayList<>();
  private final List<Integer> marks = new ArrayList<>();
  private final List<PickleValue> memo = new ArrayList<>();
  private final TorchRebuild rebuild;
  /** Where the opcode at work begins. */
  private int at;

  private TorchPickle(Path path, long begin, byte[] code) {
    this.path = path;
    this.begin = begin;
    this.code = ByteBuffer.wrap(code).order(ByteOrder.LITTLE_ENDIAN);
    this.rebuild = new TorchRebuild(this::wrong);
  }

  /** The tensors by name, in the order of the dict; {@code begin} is where the pickle begins in the file. */
  static Map<String, TorchTensor> read(Path path, long begin, byte[] code) {
    return new TorchPickle(path, begin, code).run();
  }

  private Map<String, TorchTensor> run() {
    int first = unsigned8();
    int protocol = unsigned8();
    if (first != PickleCode.PROTO || protocol < LOWEST_PROTOCOL || protocol > HIGHEST_PROTOCOL) {
      throw wrong("a pickle of protocol 2 to 5 is expected, found bytes " + first + " " + protocol);
    }
    for (int steps = 0; steps < MAX_STEPS; steps++) {
      at = code.position();
      int opcode = unsigned8();
      if (opcode == PickleCode.STOP) {
        return result();
      }
      step(opcode);
    }
    throw wrong("the pickle has more than " + MAX_STEPS + " steps");
  }

  private void step(int opcode) {
    switch (opcode) {
      case PickleCode.FRAME -> requireFrame();
      case PickleCode.MARK -> marks.add(stack.size());
      case PickleCode.NONE -> stack.add(new PickleValue.None());
      case PickleCode.NEWTRUE -> stack.add(new PickleValue.Bool(true));
      case PickleCode.NEWFALSE -> stack.add(new PickleValue.Bool(false));
      case PickleCode.BININT1 -> stack.add(new PickleValue.Int(unsigned8()));
      case PickleCode.BININT2 -> stack.add(new PickleValue.Int(Short.toUnsignedLong(operand(2).getShort())));
      case PickleCode.BININT -> stack.add(new PickleValue.Int(operand(4).getInt()));
      case PickleCode.LONG1 -> stack.add(new PickleValue.Int(signed(unsigned8())));
      case PickleCode.SHORT_BINUNICODE -> stack.add(string(unsigned8()));
      case PickleCode.BINUNICODE -> stack.add(string(unsigned32()));
      case PickleCode.EMPTY_TUPLE -> stack.add(tuple(List.of()));
      case PickleCode.TUPLE1 -> stack.add(tuple(pop(1)));
      case PickleCode.TUPLE2 -> stack.add(tuple(pop(2)));
      case PickleCode.TUPLE3 -> stack.add(tuple(pop(3)));
      case PickleCode.TUPLE -> stack.add(tuple(popToMark()));
      case PickleCode.EMPTY_DICT -> stack.add(new PickleValue.Dict(new LinkedHashMap<>(), false));
      case PickleCode.SETITEM -> setItems(pop(2));
      case PickleCode.SETITEMS -> setItems(popToMark());
      case PickleCode.BINPUT -> note(unsigned8());
      case PickleCode.LONG_BINPUT -> note(unsigned32());
      case PickleCode.MEMOIZE -> note(memo.size());
      case PickleCode.BINGET -> stack.add(noted(unsigned8()));
      case PickleCode.LONG_BINGET -> stack.add(noted(unsigned32()));
      case PickleCode.GLOBAL -> stack.add(global(line() + "." + line()));
      case PickleCode.STACK_GLOBAL -> stackGlobal(pop(2));
      case PickleCode.REDUCE -> reduce(pop(2));
      case PickleCode.BUILD -> build(pop(1).getFirst());
      case PickleCode.BINPERSID -> stack.add(rebuild.storage(pop(1).getFirst()));
      default -> throw wrong(String.format("opcode 0x%02x is none that torch.save writes for a dict of tensors", opcode));
    }
  }

  /** What is left when the pickle ends: one dict, from names to tensors. */
  private Map<String, TorchTensor> result() {
    if (stack.size() != 1 || !marks.isEmpty() || code.hasRemaining()) {
      throw wrong("the pickle ends with " + stack.size() + " values and " + code.remaining() + " more bytes; one dict and none are"
          + " expected");
    }
    if (!(stack.getFirst() instanceof PickleValue.Dict dict)) {
      throw wrong("holds " + stack.getFirst().describe() + "; a dict from names to tensors is expected");
    }
    Map<String, TorchTensor> tensors = new LinkedHashMap<>();
    dict.entries().forEach((name, value) -> {
      if (!(value instanceof TorchTensor tensor)) {
        throw FormatException.tensor(path, FormatException.NO_OFFSET, name, "is " + value.describe()
            + "; a flat dict from names to tensors is expected, save that");
      }
      tensors.put(name, tensor);
    });
    return tensors;
  }

  // ------------------------------------------------------------------------------------------------- the stack

  /** The last {@code count} values, which must lie above the last mark. */
  private List<PickleValue> pop(int count) {
    int from = stack.size() - count;
    if (from < (marks.isEmpty() ? 0 : marks.getLast())) {
      throw wrong("the pickle takes more values from the stack than it has put there");
    }
    return cut(from);
  }

  private List<PickleValue> popToMark() {
    if (marks.isEmpty()) {
      throw wrong("the pickle goes back to a mark that it has not set");
    }
    return cut(marks.removeLast());
  }

  private List<PickleValue> cut(int from) {
    List<PickleValue> tail = stack.subList(from, stack.size());
    List<PickleValue> values = List.copyOf(tail);
    tail.clear();
    return values;
  }

  private PickleValue top() {
    if (stack.size() <= (marks.isEmpty() ? 0 : marks.getLast())) {
      throw wrong("the pickle looks at a value that it has not put on the stack");
    }
    return stack.getLast();
  }

  private void note(long number) {
    if (number != memo.size()) {
      throw wrong("the pickle notes a value as number " + number + " where " + memo.size() + " is the next");
    }
    memo.add(top());
  }

  private PickleValue noted(long number) {
    if (number >= memo.size()) {
      throw wrong("the pickle asks for value " + number + " of the " + memo.size() + " that it has noted");
    }
    return memo.get((int) number);
  }

  // ------------------------------------------------------------------------------------------------ the values

  private PickleValue.Tuple tuple(List<PickleValue> items) {
    PickleValue.Tuple tuple = PickleValue.Tuple.of(items);
    if (tuple.depth() > 2) {
      throw wrong("tuples lie in one another more than twice");
    }
    return tuple;
  }

  /** Keys and values in turn, for the dict below them. */
  private void setItems(List<PickleValue> items) {
    if (!(top() instanceof PickleValue.Dict dict) || items.size() % 2 != 0) {
      throw wrong("the pickle puts " + items.size() + " keys and values into " + top().describe() + "; pairs and a dict are expected");
    }
    for (int i = 0; i < items.size(); i += 2) {
      if (!(items.get(i) instanceof PickleValue.Str key)) {
        throw wrong("a key of a dict is " + items.get(i).describe() + "; a string is expected");
      }
      if (dict.entries().putIfAbsent(key.value(), items.get(i + 1)) != null) {
        throw wrong("a dict has the key " + Text.quote(key.value()) + " twice");
      }
    }
  }

  private TorchGlobal global(String name) {
    return TorchGlobal.of(name).orElseThrow(() -> wrong("names the global " + Text.quote(name)
        + ", which no dict of tensors needs; nothing in the file was run, and it is not read"));
  }

  private void stackGlobal(List<PickleValue> names) {
    if (!(names.get(0) instanceof PickleValue.Str module) || !(names.get(1) instanceof PickleValue.Str member)) {
      throw wrong("a global is named by " + names.get(0).describe() + " and " + names.get(1).describe() + "; strings are expected");
    }
    stack.add(global(module.value() + "." + member.value()));
  }

  private void reduce(List<PickleValue> call) {
    if (!(call.get(0) instanceof TorchGlobal callee) || !(call.get(1) instanceof PickleValue.Tuple arguments)) {
      throw wrong("the pickle calls " + call.get(0).describe() + " with " + call.get(1).describe()
          + "; a global and a tuple are expected");
    }
    stack.add(rebuild.call(callee, arguments.items(), key()));
  }

  /** The attributes of an object: torch gives the dict that {@code Module.state_dict()} returns its modules' versions. */
  private void build(PickleValue state) {
    boolean versions = top() instanceof PickleValue.Dict owner && owner.ordered() && state instanceof PickleValue.Dict attributes
        && attributes.entries().size() == 1 && attributes.entries().get(METADATA) instanceof PickleValue.Dict;
    if (!versions) {
      throw wrong("the pickle gives " + top().describe() + " attributes (" + state.describe() + "); only the " + METADATA
          + " of a state dict is expected");
    }
  }

  /** The key whose value is being made, for errors: the string below it, or below the call of a parameter around it. */
  private String key() {
    for (int i = stack.size() - 1; i >= Math.max(0, stack.size() - 2); i--) {
      if (stack.get(i) instanceof PickleValue.Str key) {
        return key.value();
      }
    }
    return null;
  }

  // -------------------------------------------------------------------------------------------------- the bytes

  private ByteBuffer operand(long count) {
    if (count > code.remaining()) {
      throw wrong("the pickle is cut off: " + count + " bytes are due, " + code.remaining() + " are left");
    }
    ByteBuffer bytes = code.slice(code.position(), (int) count).order(ByteOrder.LITTLE_ENDIAN);
    code.position(code.position() + (int) count);
    return bytes;
  }

  private int unsigned8() {
    return Byte.toUnsignedInt(operand(1).get());
  }

  private long unsigned32() {
    return Integer.toUnsignedLong(operand(4).getInt());
  }

  /** A two's complement number, least byte first. */
  private long signed(int count) {
    if (count > Long.BYTES) {
      throw wrong("an integer has " + count + " bytes, at most 8 are expected");
    }
    ByteBuffer bytes = operand(count);
    long value = 0;
    for (int i = 0; i < count; i++) {
      value |= Byte.toUnsignedLong(bytes.get(i)) << (8 * i);
    }
    int unused = Long.SIZE - 8 * count;
    return count == 0 ? 0 : value << unused >> unused;
  }

  private PickleValue.Str string(long count) {
    if (count > MAX_STRING) {
      throw wrong("a string has " + count + " bytes, at most " + MAX_STRING + " are accepted");
    }
    try {
      return new PickleValue.Str(StandardCharsets.UTF_8.newDecoder().decode(operand(count)).toString());
    } catch (CharacterCodingException e) {
      throw FormatException.at(path, begin + at, "a string is not UTF-8", e);
    }
  }

  /** Up to the next line feed. */
  private String line() {
    int length = 0;
    while (length < Math.min(MAX_STRING, code.remaining()) && code.get(code.position() + length) != '\n') {
      length++;
    }
    String line = string(length).value();
    if (unsigned8() != '\n') {
      throw wrong("a name has more than " + MAX_STRING + " bytes");
    }
    return line;
  }

  private void requireFrame() {
    ByteBuffer length = operand(8);
    if (length.getLong(0) < 0 || length.getLong(0) > code.remaining()) {
      throw wrong("a frame of " + Long.toUnsignedString(length.getLong(0)) + " bytes, " + code.remaining() + " are left");
    }
  }

  private FormatException wrong(String problem) {
    return FormatException.at(path, begin + at, problem, null);
  }
}
