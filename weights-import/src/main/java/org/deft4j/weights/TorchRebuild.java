package org.deft4j.weights;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;
import org.deft4j.tensor.Shape;

/**
 * The three calls that a pickle of tensors makes ({@code torch/_utils.py}), and the persistent identifiers of its storages
 * ({@code torch/serialization.py}), each with exactly the arguments that torch.save gives.
 */
final class TorchRebuild {
  /** A number: torch counts the storages, its first versions wrote addresses. It becomes part of an entry's name. */
  private static final Pattern KEY = Pattern.compile("[0-9]{1,20}");
  /** Where the storage was; its bytes in the file are the same. */
  private static final Pattern DEVICE = Pattern.compile("cpu|cuda(:[0-9]{1,3})?");

  private final Function<String, FormatException> wrong;
  private final Map<String, TorchStorage> storages = new HashMap<>();

  /** @param wrong the refusal of the place that is being read */
  TorchRebuild(Function<String, FormatException> wrong) {
    this.wrong = wrong;
  }

  /** What {@code callee} makes of its arguments; {@code name} is the tensor's, for errors, or null. */
  PickleValue call(TorchGlobal callee, List<PickleValue> arguments, String name) {
    String whose = name == null ? "" : "tensor " + Text.quote(name) + ": ";
    return switch (callee) {
      case ORDERED_DICT -> {
        requireCount(whose, callee, arguments, 0);
        yield new PickleValue.Dict(new LinkedHashMap<>(), true);
      }
      case REBUILD_TENSOR -> tensor(whose, arguments);
      case REBUILD_PARAMETER -> {
        requireCount(whose, callee, arguments, 3);
        require(whose, arguments.get(1), PickleValue.Bool.class, "requires_grad");
        requireNoHooks(whose, arguments.get(2));
        yield require(whose, arguments.get(0), TorchTensor.class, "a parameter's data");
      }
      default -> throw wrong.apply(whose + callee.describe() + " is called; it is the class of a storage, which only names one");
    };
  }

  /** {@code (storage, offset, size, stride, requires_grad, hooks)}. */
  private TorchTensor tensor(String whose, List<PickleValue> arguments) {
    requireCount(whose, TorchGlobal.REBUILD_TENSOR, arguments, 6);
    TorchStorage storage = require(whose, arguments.get(0), TorchStorage.class, "the storage");
    long offset = require(whose, arguments.get(1), PickleValue.Int.class, "the offset").value();
    long[] sizes = integers(whose, arguments.get(2), "the size");
    long[] strides = integers(whose, arguments.get(3), "the stride");
    require(whose, arguments.get(4), PickleValue.Bool.class, "requires_grad");
    requireNoHooks(whose, arguments.get(5));
    String fault = TorchTensor.fault(storage, offset, sizes, strides);
    if (fault != null) {
      throw wrong.apply(whose + fault);
    }
    return new TorchTensor(storage, offset, Shape.of(sizes), strides);
  }

  /** {@code ('storage', class, key, device, count)}. */
  TorchStorage storage(PickleValue identifier) {
    List<PickleValue> parts = require("", identifier, PickleValue.Tuple.class, "the identifier of a storage").items();
    if (parts.size() != 5 || !(parts.get(0) instanceof PickleValue.Str(String kind)) || !kind.equals("storage")) {
      throw wrong.apply("a persistent identifier of " + parts.size() + " parts is not ('storage', class, key, device, count)");
    }
    TorchGlobal type = require("", parts.get(1), TorchGlobal.class, "the class of a storage");
    String key = require("", parts.get(2), PickleValue.Str.class, "the key of a storage").value();
    String device = require("", parts.get(3), PickleValue.Str.class, "the device of a storage").value();
    long count = require("", parts.get(4), PickleValue.Int.class, "the size of a storage").value();
    if (!KEY.matcher(key).matches() || !DEVICE.matcher(device).matches() || count < 0) {
      throw wrong.apply("a storage with the key " + Text.quote(key) + ", the device " + Text.quote(device) + " and " + count
          + " elements; a number, cpu or cuda, and no negative size are expected");
    }
    TorchStorage storage = new TorchStorage(key, type.dtype().orElseThrow(() -> wrong.apply("the class of a storage is "
        + type.describe())), count);
    TorchStorage known = storages.putIfAbsent(key, storage);
    if (known != null && !known.equals(storage)) {
      throw wrong.apply("the storage " + key + " is " + known.count() + " elements of " + known.dtype() + " and also "
          + count + " of " + storage.dtype());
    }
    return storage;
  }

  private long[] integers(String whose, PickleValue value, String what) {
    return require(whose, value, PickleValue.Tuple.class, what).items().stream()
        .mapToLong(item -> require(whose, item, PickleValue.Int.class, "a number of " + what).value()).toArray();
  }

  private void requireCount(String whose, TorchGlobal callee, List<PickleValue> arguments, int count) {
    if (arguments.size() != count) {
      throw wrong.apply(whose + callee.describe() + " takes " + count + " arguments, found " + arguments.size());
    }
  }

  private void requireNoHooks(String whose, PickleValue value) {
    if (!(value instanceof PickleValue.Dict hooks) || !hooks.ordered() || !hooks.entries().isEmpty()) {
      throw wrong.apply(whose + "the hooks are " + value.describe() + "; an empty OrderedDict is expected");
    }
  }

  private <T extends PickleValue> T require(String whose, PickleValue value, Class<T> type, String what) {
    if (!type.isInstance(value)) {
      throw wrong.apply(whose + what + " is " + value.describe());
    }
    return type.cast(value);
  }
}
