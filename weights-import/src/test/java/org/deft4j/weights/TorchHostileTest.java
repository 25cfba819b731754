package org.deft4j.weights;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;
import java.util.stream.Stream;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

import static org.deft4j.weights.CraftedTorch.FALSE;
import static org.deft4j.weights.CraftedTorch.HOOKS;
import static org.deft4j.weights.CraftedTorch.STORAGE;
import static org.deft4j.weights.CraftedTorch.TENSOR;
import static org.deft4j.weights.CraftedTorch.central;
import static org.deft4j.weights.CraftedTorch.dict;
import static org.deft4j.weights.CraftedTorch.entries;
import static org.deft4j.weights.CraftedTorch.file;
import static org.deft4j.weights.CraftedTorch.global;
import static org.deft4j.weights.CraftedTorch.latin;
import static org.deft4j.weights.CraftedTorch.local;
import static org.deft4j.weights.CraftedTorch.number;
import static org.deft4j.weights.CraftedTorch.numbers;
import static org.deft4j.weights.CraftedTorch.pickle;
import static org.deft4j.weights.CraftedTorch.storage;
import static org.deft4j.weights.CraftedTorch.str;
import static org.deft4j.weights.CraftedTorch.tensor;
import static org.deft4j.weights.CraftedTorch.tuple;
import static org.deft4j.weights.CraftedTorch.with;
import static org.deft4j.weights.CraftedTorch.zip;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Files that are cut off, lie, or hold a program: each is refused with a {@link FormatException} that says what was found. */
class TorchHostileTest {
  private static final String DATA = "archive/data/0";
  private static final long BIG = 1L << 62;

  @TempDir private Path temp;
  private final AtomicInteger files = new AtomicInteger();

  /** A file, and a part of the error that it must raise. */
  private record Case(String name, byte[] file, String error) {}

  /** A pickle of protocol 2 that does {@code body}. */
  private static Case does(String name, String body, String error) {
    return new Case(name, file(pickle(body)), error);
  }

  /** A dict of one tensor a, made by {@code value}. */
  private static Case holds(String name, String value, String error) {
    return does(name, dict(str("a"), value), error);
  }

  private static Case view(String name, long offset, String sizes, String strides, String error) {
    return holds(name, tensor(STORAGE, number(offset), sizes, strides), "tensor 'a': " + error);
  }

  /** The good file with a number of {@code count} bytes replaced in an entry's line of the directory. */
  private static Case lists(String name, int at, int count, long value, String error) {
    byte[] good = file();
    return new Case(name, with(good, central(good, DATA) + at, count, value), error);
  }

  private static Case begins(String name, int at, int count, long value, String error) {
    byte[] good = file();
    return new Case(name, with(good, local(good, DATA) + at, count, value), error);
  }

  private static Case ends(String name, int at, int count, long value, String error) {
    byte[] good = file();
    return new Case(name, with(good, good.length - StoredZip.END_BYTES + at, count, value), error);
  }

  private static Case packs(String name, Consumer<Map<String, byte[]>> change, String error) {
    Map<String, byte[]> entries = entries(pickle(dict(str("a"), TENSOR)));
    change.accept(entries);
    return new Case(name, zip(entries, true), error);
  }

  private static byte[] moved(String folder) {
    Map<String, byte[]> moved = new LinkedHashMap<>();
    entries(pickle(dict(str("a"), TENSOR))).forEach((name, data) -> moved.put(name.replace("archive/", folder), data));
    return zip(moved, true);
  }

  private static Stream<Case> programs() {
    String call = tuple(str("touch /tmp/owned")) + "R";
    return Stream.of(
        does("os.system", global("os", "system") + call, "names the global 'os.system', which no dict of tensors needs"),
        does("posix.system", global("posix", "system") + call, "'posix.system'"),
        does("builtins.eval", global("builtins", "eval") + call, "'builtins.eval'"),
        does("builtins.getattr", global("builtins", "getattr") + call, "'builtins.getattr'"),
        does("subprocess.Popen", global("subprocess", "Popen") + call, "'subprocess.Popen'"),
        does("os.system by name", str("os") + str("system") + "\u0093" + call, "'os.system'"),
        does("runpy through a tensor's hooks", dict(str("a"), global("torch._utils", "_rebuild_tensor_v2")
            + tuple(STORAGE, number(0), numbers(6), numbers(1), FALSE, global("runpy", "_run_code") + ")R") + "R"), "'runpy._run_code'"),
        does("torch.load inside", global("torch.serialization", "load") + call, "'torch.serialization.load'"),
        does("another class of torch", global("torch", "Tensor") + ")R", "'torch.Tensor'"),
        does("numpy array", global("numpy.core.multiarray", "_reconstruct") + ")R", "'numpy.core.multiarray._reconstruct'"),
        does("a member of a known module", global("torch._utils", "_import_dotted_name") + call, "'torch._utils._import_dotted_name'"),
        does("module with a trick", global("collections", "OrderedDict.fromkeys") + call, "'collections.OrderedDict.fromkeys'"),
        does("INST", "(S'touch /tmp/owned'\nios\nsystem\n", "opcode 0x53"),
        does("OBJ", "(" + global("torch", "FloatStorage") + "o", "opcode 0x6f"),
        does("NEWOBJ", global("collections", "OrderedDict") + ")\u0081", "opcode 0x81"),
        does("NEWOBJ_EX", global("collections", "OrderedDict") + ")}\u0092", "opcode 0x92"),
        does("EXT1", "\u0082\u0001", "opcode 0x82"),
        does("PERSID", "P0\n", "opcode 0x50"),
        does("STRING", "S'x'\n", "opcode 0x53"),
        does("LIST", "(l", "opcode 0x6c"),
        does("FLOAT", "G" + "\u0000".repeat(8), "opcode 0x47"),
        does("a call of a dict", "})R", "the pickle calls a dict of 0 with a tuple of 0"),
        does("a call without a tuple", global("collections", "OrderedDict") + "}R", "with a dict of 0; a global and a tuple"),
        does("a call of a storage's class", global("torch", "FloatStorage") + ")R", "the global 'torch.FloatStorage' is called"),
        does("OrderedDict of a list", global("collections", "OrderedDict") + tuple("}") + "R", "takes 0 arguments, found 1"),
        does("BUILD on a tensor", TENSOR + "}b", "gives a tensor of shape [2, 3] attributes (a dict of 0)"),
        does("BUILD of other attributes", HOOKS + dict(str("__class__"), "}") + "b", "only the _metadata of a state dict"),
        does("BUILD on a dict", "}" + dict(str("_metadata"), "}") + "b", "only the _metadata of a state dict"),
        does("BUILD with nothing below", "}b", "looks at a value that it has not put on the stack"));
  }

  private static Stream<Case> machine() {
    return Stream.of(
        new Case("no pickle", file(new byte[0]), "the pickle is cut off: 1 bytes are due, 0 are left"),
        new Case("protocol 0", file(latin("}.")), "a pickle of protocol 2 to 5 is expected, found bytes 125 46"),
        new Case("protocol 6", file(latin("\u0080\u0006}.")), "found bytes 128 6"),
        does("no end", "}}", "the pickle ends with 2 values"),
        does("nothing", "", "the pickle ends with 0 values"),
        does("an open mark", "}(", "the pickle ends with 1 values"),
        does("something after the end", "}.}", "and 2 more bytes"),
        new Case("no STOP", file(latin("\u0080\u0002}")), "the pickle is cut off"),
        does("PROTO again", "\u0080\u0002}", "opcode 0x80"),
        does("SETITEM on nothing", "s", "takes more values from the stack than it has put there"),
        does("SETITEMS without a mark", "}u", "goes back to a mark that it has not set"),
        does("TUPLE2 across a mark", "}(}\u0086", "takes more values"),
        does("SETITEMS into a tuple", ")(" + str("a") + "}u", "into a tuple of 0; pairs and a dict are expected"),
        does("SETITEMS of a key alone", "}(" + str("a") + "u", "puts 1 keys and values"),
        does("a key that is a number", dict(number(1), TENSOR), "a key of a dict is the integer 1; a string is expected"),
        does("a key twice", dict(str("a"), TENSOR, str("a"), TENSOR), "a dict has the key 'a' twice"),
        does("a note that is not there", "h\u0000", "asks for value 0 of the 0 that it has noted"),
        does("a note far away", "j\u00FF\u00FF\u00FF\u00FF", "asks for value 4294967295 of the 0"),
        does("a note out of turn", "}q\u0007", "notes a value as number 7 where 0 is the next"),
        does("a huge note", "}r\u00FF\u00FF\u00FF\u007F", "as number 2147483647"),
        does("a note of nothing", "\u0094", "looks at a value"),
        does("a string of 4 GiB", "X\u00FF\u00FF\u00FF\u00FF", "a string has 4294967295 bytes, at most 4096 are accepted"),
        does("a string of 5,000 bytes", str("n".repeat(5000)), "a string has 5000 bytes"),
        does("a string beyond the end", "X@\u0000\u0000\u0000abc", "the pickle is cut off: 64 bytes are due, 4 are left"),
        does("a string that is not UTF-8", "X\u0002\u0000\u0000\u0000\u00C3(", "a string is not UTF-8"),
        does("a string of half a pair", "X\u0003\u0000\u0000\u0000\u00ED\u00A0\u0080", "a string is not UTF-8"),
        does("a global of 5,000 bytes", "c" + "n".repeat(5000) + "\n", "a name has more than 4096 bytes"),
        does("a global without an end", "ctorch", "the pickle is cut off"),
        does("a global of numbers", number(1) + number(2) + "\u0093", "named by the integer 1 and the integer 2; strings"),
        does("an integer of 9 bytes", "\u008A\u0009" + "\u0001".repeat(9), "an integer has 9 bytes, at most 8"),
        does("a frame beyond the end", "\u0095\u00FF\u0000\u0000\u0000\u0000\u0000\u0000\u0000}", "a frame of 255 bytes, 2 are left"),
        does("a frame of 2^63", "\u0095\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0080}", "a frame of 9223372036854775808 bytes"),
        does("tuples in tuples", ")\u0085\u0085", "tuples lie in one another more than twice"),
        does("too many steps", "}(" + "N".repeat(TorchPickle.MAX_STEPS), "has more than 1048576 steps"),
        new Case("too long", file(new byte[TorchPickle.MAX_BYTES + 1]), "has 16777217 bytes, at most 16777216 are accepted"));
  }

  private static Stream<Case> values() {
    return Stream.of(
        does("a tensor alone", TENSOR, "holds a tensor of shape [2, 3]; a dict from names to tensors is expected"),
        does("a list of nothing", ")", "holds a tuple of 0; a dict"),
        holds("a dict in the dict", dict(str("b"), TENSOR), "tensor 'a': is a dict of 1; a flat dict from names to tensors"),
        does("a dict in itself", "}q\u0000" + str("a") + "h\u0000s", "tensor 'a': is a dict of 1; a flat dict"),
        holds("an integer", number(7), "tensor 'a': is the integer 7"),
        holds("None", "N", "tensor 'a': is None"),
        holds("a flag", "\u0088", "tensor 'a': is True"),
        holds("a string", str("x"), "tensor 'a': is the string 'x'"),
        holds("a storage", STORAGE, "tensor 'a': is the storage 0"),
        holds("five arguments", global("torch._utils", "_rebuild_tensor_v2") + tuple(STORAGE, number(0), numbers(6), numbers(1), FALSE)
            + "R", "tensor 'a': the global 'torch._utils._rebuild_tensor_v2' takes 6 arguments, found 5"),
        holds("a negative view", global("torch._utils", "_rebuild_tensor_v2") + tuple(STORAGE, number(0), numbers(6), numbers(1), FALSE,
            HOOKS, dict(str("neg"), "\u0088")) + "R", "takes 6 arguments, found 7"),
        holds("no storage", tensor(number(0), number(0), numbers(6), numbers(1)), "tensor 'a': the storage is the integer 0"),
        holds("an offset of True", tensor(STORAGE, "\u0088", numbers(6), numbers(1)), "tensor 'a': the offset is True"),
        holds("a size that is a number", tensor(STORAGE, number(0), number(6), numbers(1)), "tensor 'a': the size is the integer 6"),
        holds("a stride of None", tensor(STORAGE, number(0), numbers(6), tuple("N")), "tensor 'a': a number of the stride is None"),
        holds("hooks", global("torch._utils", "_rebuild_tensor_v2") + tuple(STORAGE, number(0), numbers(6), numbers(1), FALSE,
            HOOKS + str("k") + number(1) + "s") + "R", "tensor 'a': the hooks are an OrderedDict of 1; an empty OrderedDict"),
        holds("hooks of a dict", global("torch._utils", "_rebuild_tensor_v2") + tuple(STORAGE, number(0), numbers(6), numbers(1), FALSE,
            "}") + "R", "tensor 'a': the hooks are a dict of 0"),
        holds("a parameter of a string", global("torch._utils", "_rebuild_parameter") + tuple(str("x"), FALSE, HOOKS) + "R",
            "tensor 'a': a parameter's data is the string 'x'"),
        holds("a parameter of two arguments", global("torch._utils", "_rebuild_parameter") + tuple(TENSOR, FALSE) + "R",
            "takes 3 arguments, found 2"),
        holds("a bad tensor in a parameter", global("torch._utils", "_rebuild_parameter") + "("
            + tensor(STORAGE, number(7), numbers(6), numbers(1)), "offset 7, sizes [6] and strides [1] reach element 12"));
  }

  private static Stream<Case> storages() {
    String[] parts = {str("storage"), global("torch", "FloatStorage"), str("0"), str("cpu"), number(6)};
    return Stream.of(
        does("an identifier that is a string", str("0") + "Q", "the identifier of a storage is the string '0'"),
        does("an identifier of four parts", tuple(Arrays.copyOf(parts, 4)) + "Q", "a persistent identifier of 4 parts is not"),
        does("an identifier of a module", tuple(str("module"), parts[1], parts[2], parts[3], parts[4]) + "Q", "of 5 parts is not"),
        does("a class that is none", tuple(parts[0], global("collections", "OrderedDict"), parts[2], parts[3], parts[4]) + "Q",
            "the class of a storage is the global 'collections.OrderedDict'"),
        does("a complex class", storage("ComplexFloatStorage", "0", "cpu", 3), "'torch.ComplexFloatStorage'"),
        does("an untyped storage", tuple(parts[0], global("torch.storage", "UntypedStorage"), parts[2]), "'torch.storage.UntypedStorage'"),
        does("a key that climbs", storage("FloatStorage", "../../etc/passwd", "cpu", 6), "with the key '../../etc/passwd'"),
        does("a key from the root", storage("FloatStorage", "/etc/passwd", "cpu", 6), "with the key '/etc/passwd'"),
        does("an empty key", storage("FloatStorage", "", "cpu", 6), "with the key ''"),
        does("a key of digits without end", storage("FloatStorage", "1".repeat(21), "cpu", 6), "a number, cpu or cuda"),
        does("a device unknown", storage("FloatStorage", "0", "meta", 6), "the device 'meta'"),
        does("a negative size", storage("FloatStorage", "0", "cpu", -1), "and -1 elements"),
        holds("data that is not there", tensor(storage("FloatStorage", "1", "cpu", 6), number(0), numbers(6), numbers(1)),
            "tensor 'a': its data 'archive/data/1' is not in the archive"),
        holds("more elements than bytes", tensor(storage("FloatStorage", "0", "cpu", 7), number(0), numbers(6), numbers(1)),
            "tensor 'a': its data 'archive/data/0' has 24 bytes, 7 elements of F32 are expected"),
        holds("fewer elements than bytes", tensor(storage("FloatStorage", "0", "cpu", 5), number(0), numbers(5), numbers(1)),
            "has 24 bytes, 5 elements of F32 are expected"),
        holds("elements past 2^63 bytes", tensor(storage("FloatStorage", "0", "cpu", BIG + 6), number(0), numbers(6), numbers(1)),
            "has 24 bytes, 4611686018427387910 elements of F32"),
        holds("another type", tensor(storage("DoubleStorage", "0", "cpu", 6), number(0), numbers(6), numbers(1)),
            "has 24 bytes, 6 elements of F64"),
        does("one storage in two types", dict(str("a"), TENSOR, str("b"), tensor(storage("IntStorage", "0", "cpu", 6), number(0),
            numbers(6), numbers(1))), "the storage 0 is 6 elements of F32 and also 6 of I32"));
  }

  private static Stream<Case> views() {
    return Stream.of(
        view("an offset past the end", 1, numbers(2, 3), numbers(3, 1),
            "offset 1, sizes [2, 3] and strides [3, 1] reach element 6 of a storage of 6"),
        view("a size past the end", 0, numbers(7), numbers(1), "offset 0, sizes [7] and strides [1] reach element 6"),
        view("a stride past the end", 0, numbers(2, 3), numbers(4, 1), "offset 0, sizes [2, 3] and strides [4, 1] reach element 6"),
        view("an empty tensor past the end", 7, numbers(0), numbers(1), "offset 7"),
        view("a negative offset", -1, numbers(6), numbers(1), "has a negative offset, size or stride: -1, [6], [1]"),
        view("a negative size", 0, numbers(-6), numbers(1), "has a negative offset, size or stride"),
        view("a negative stride", 5, numbers(6), numbers(-1), "has a negative offset, size or stride"),
        view("more sizes than strides", 0, numbers(2, 3), numbers(1), "has 2 sizes and 1 strides"),
        view("sizes that overflow", 0, numbers(BIG, BIG), numbers(0, 0),
            "sizes [4611686018427387904, 4611686018427387904] and strides [0, 0] go beyond 2^63 - 1 elements"),
        view("sizes that overflow to 0", 0, numbers(1L << 32, 1L << 32), numbers(0, 0),
            "sizes [4294967296, 4294967296] and strides [0, 0] go beyond 2^63 - 1 elements"),
        view("strides that overflow", 0, numbers(5, 2), numbers(BIG, 1),
            "sizes [5, 2] and strides [4611686018427387904, 1] go beyond 2^63 - 1 elements"),
        view("an offset that overflows", Long.MAX_VALUE, numbers(2), numbers(1), "sizes [2] and strides [1] go beyond 2^63 - 1 elements"),
        view("one element as a million", 0, numbers(1_000_000), numbers(0), "shows the 6 elements of its storage as 1000000 in shape"),
        view("65 dimensions", 0, numbers(new long[65]), numbers(new long[65]), "has 65 dimensions, torch allows 64"));
  }

  private static Stream<Case> directory() {
    return Stream.of(
        lists("deflated", 10, 2, 8, "the entry 'archive/data/0' is compressed (deflated), and torch.save never compresses"),
        lists("another method", 10, 2, 14, "is compressed (method 14)"),
        lists("encrypted", 8, 2, 1 << 11 | 1, "is encrypted or patched (flags 2049)"),
        lists("a size that lies", 24, 4, 25, "is stored as it is and claims 24 bytes for 25 bytes of content"),
        lists("a packed size that lies", 20, 4, 1, "claims 1 bytes for 24 bytes"),
        lists("no signature", 0, 1, 0, "the zip directory has no entry here"),
        lists("a name past the end", 28, 2, 0xFFFF, "the zip directory is cut off inside an entry"),
        lists("an extra field past the end", 30, 2, 0xFFFF, "the zip directory is cut off inside an entry"),
        lists("a name that is not UTF-8", 46, 1, 0xFF, "the name of a zip entry is not UTF-8"),
        lists("another name", 46, 1, 'b', "the header of the entry 'brchive/data/0' contradicts the zip directory"),
        lists("another checksum", 16, 4, 1, "the header of the entry 'archive/data/0' contradicts the zip directory"),
        lists("a header far away", 42, 4, 0x7FFFFFFF, "claims byte 2147483647"),
        lists("the header of another", 42, 4, 0, "the header of the entry 'archive/data/0' contradicts the zip directory"),
        begins("no header", 0, 1, 0, "contradicts the zip directory"),
        begins("another size before the data", 22, 4, 25, "contradicts the zip directory"),
        begins("deflated before the data", 8, 2, 8, "contradicts the zip directory"),
        begins("data past the directory", 28, 2, 0xFFFF, "claims 24 bytes from byte"),
        ends("no end", 0, 1, 0, "a zip archive ends with its directory, and this file does not"),
        ends("a comment", 20, 2, 1, "a zip archive ends with its directory, and this file does not"),
        ends("a second disk", 4, 2, 1, "contradicts itself"),
        ends("fewer entries", 8, 4, 0x30003, "lists 3 entries and goes on after them"),
        ends("more entries", 8, 4, 0x50005, "the zip directory is cut off inside an entry"),
        ends("very many entries", 8, 4, -1, "the zip directory claims 65535 entries"),
        ends("two counts", 8, 2, 3, "contradicts itself"),
        ends("a longer directory", 12, 4, -1, "contradicts itself"),
        ends("a later directory", 16, 4, -1, "contradicts itself"));
  }

  private static Stream<Case> archives() throws IOException {
    byte[] good = file();
    byte[] overlap = with(good, local(good, DATA) + 18, 4, 30);
    overlap = with(with(overlap, local(good, DATA) + 22, 4, 30), central(good, DATA) + 20, 4, 30);
    return Stream.of(
        new Case("an entry inside another", with(overlap, central(good, DATA) + 24, 4, 30),
            "the zip entry 'archive/version' begins inside 'archive/data/0'"),
        new Case("two entries of one name", twice(), "the zip archive has two entries named 'archive/data/1'"),
        new Case("cut off", Arrays.copyOf(good, good.length - 1), "it is cut off, or followed by something else"),
        new Case("followed by something", Arrays.copyOf(good, good.length + 1), "it is cut off, or followed by something else"),
        new Case("cut off early", Arrays.copyOf(good, 10), "it is cut off"),
        new Case("an empty file", new byte[0], "a zip archive is expected, and it has 0 bytes"),
        new Case("three bytes", new byte[] {'P', 'K', 3}, "a zip archive is expected, and it has 3 bytes"),
        new Case("safetensors", Crafted.file("{}", 0), "is not a file of torch.save: a zip archive is expected"),
        new Case("before torch 1.6", Files.readAllBytes(TorchFileTest.golden("old.pt")), "is in torch's format from before version 1.6,"
            + " which is not read; save it again in a newer torch: torch.save(torch.load(old, map_location='cpu', weights_only=True),"
            + " new)"),
        new Case("a bare pickle", pickle(dict(str("a"), TENSOR)), "is a bare Python pickle, which is not read"),
        new Case("packed by the JDK", deflated(), "is compressed (deflated)"),
        packs("big-endian", e -> e.put("archive/byteorder", latin("big")), "'archive/byteorder' says 'big', only 'little' is read"),
        packs("a long note", e -> e.put("archive/byteorder", new byte[65]), "has 65 bytes, at most 64 are accepted"),
        packs("another version", e -> e.put("archive/version", latin("10\n")), "'archive/version' says '10', only '3' is read"),
        packs("no version", e -> e.remove("archive/version"), "the archive has no entry 'archive/version'"),
        packs("no pickle", e -> e.remove("archive/data.pkl"), "the archive has no entry 'archive/data.pkl'"),
        packs("no data", e -> e.remove(DATA), "tensor 'a': its data 'archive/data/0' is not in the archive"),
        packs("too little data", e -> e.put(DATA, new byte[23]), "has 23 bytes, 6 elements of F32 are expected"),
        packs("a program of TorchScript", e -> e.put("archive/code/__torch__.py", new byte[1]),
            "holds 'archive/code/__torch__.py', which torch.save does not write for tensors"),
        packs("constants of TorchScript", e -> e.put("archive/constants.pkl", new byte[1]), "holds 'archive/constants.pkl'"),
        packs("a second folder", e -> e.put("other/data/1", new byte[1]), "holds 'other/data/1'"),
        packs("an entry that climbs", e -> e.put("archive/../../x", new byte[1]), "holds 'archive/../../x'"),
        packs("an entry from the root", e -> e.put("/etc/passwd", new byte[1]), "holds '/etc/passwd'"),
        new Case("no folder", moved(""), "its zip archive begins with 'data.pkl', expected is archive/data.pkl"),
        new Case("a folder that climbs", moved("../"), "begins with '../data.pkl'"),
        new Case("a folder at the root", moved("/"), "begins with '/data.pkl'"),
        new Case("no entries", zip(Map.of(), true), "a zip archive is expected"));
  }

  /** The second of two storages under the name of the first. */
  private static byte[] twice() {
    Map<String, byte[]> entries = entries(pickle("}"));
    entries.put("archive/data/1", new byte[1]);
    entries.put("archive/data/2", new byte[1]);
    String file = new String(zip(entries, true), StandardCharsets.ISO_8859_1);
    return latin(file.replace("archive/data/2", "archive/data/1"));
  }

  private static byte[] deflated() throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ZipOutputStream out = new ZipOutputStream(bytes)) {
      for (Map.Entry<String, byte[]> entry : entries(pickle(dict(str("a"), TENSOR))).entrySet()) {
        out.putNextEntry(new ZipEntry(entry.getKey()));
        out.write(entry.getValue());
        out.closeEntry();
      }
    }
    return bytes.toByteArray();
  }

  @TestFactory
  Stream<DynamicTest> everyHostileFileIsRefusedInWords() throws IOException {
    return Stream.of(programs(), machine(), values(), storages(), views(), directory(), archives()).flatMap(cases -> cases)
        .map(hostile -> DynamicTest.dynamicTest(hostile.name, () -> {
          Path path = Crafted.write(temp.resolve("hostile" + files.incrementAndGet() + ".pt"), hostile.file);
          FormatException error = assertThrows(FormatException.class, () -> TorchFile.open(path).close());
          assertTrue(error.getMessage().startsWith(path + ": ") && error.getMessage().contains(hostile.error), error.getMessage());
          Files.delete(path);
        }));
  }

  @Test
  void theFileThatTheyAreMadeOfIsGood() {
    for (byte[] good : List.of(file(), moved("knowledge_injection_state/"), moved("\u00E9/"))) {
      Path path = Crafted.write(temp.resolve("good.pt"), good);
      try (TorchFile torch = TorchFile.open(path)) {
        assertEquals(Set.of("a"), torch.names());
      }
    }
  }

  @Test
  void whatIsNoFileIsSaidInWords() {
    assertEquals(temp.resolve("none") + ": there is no such file",
        assertThrows(FormatException.class, () -> TorchFile.open(temp.resolve("none"))).getMessage());
    assertEquals(temp + ": is a folder; a file is needed",
        assertThrows(FormatException.class, () -> TorchFile.open(temp)).getMessage());
  }
}
