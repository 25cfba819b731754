package org.deft4j.weights;

import java.util.List;
import java.util.Map;

/**
 * What can be on the stack of {@link TorchPickle}, under Python's names. There is no value that runs, opens or makes anything
 * else, so a pickle can only say which tensors there are.
 */
sealed interface PickleValue permits PickleValue.Str, PickleValue.Int, PickleValue.Bool, PickleValue.None, PickleValue.Tuple,
    PickleValue.Dict, TorchGlobal, TorchStorage, TorchTensor {
  /** In words, for errors. */
  default String describe() {
    return switch (this) {
      case Str str -> "the string " + Text.quote(str.value);
      case Int number -> "the integer " + number.value;
      case Bool bool -> bool.value ? "True" : "False";
      case None _ -> "None";
      case Tuple tuple -> "a tuple of " + tuple.items.size();
      case Dict dict -> (dict.ordered ? "an OrderedDict of " : "a dict of ") + dict.entries.size();
      case TorchGlobal global -> "the global " + Text.quote(global.path());
      case TorchStorage storage -> "the storage " + storage.key();
      case TorchTensor tensor -> "a tensor of shape " + tensor.shape();
    };
  }

  /** A string. */
  record Str(String value) implements PickleValue {}

  /** An integer of 64 bits. */
  record Int(long value) implements PickleValue {}

  /** True or False. */
  record Bool(boolean value) implements PickleValue {}

  /** None. */
  record None() implements PickleValue {}

  /** A tuple; {@code depth} counts the tuples one in another, itself included. */
  record Tuple(List<PickleValue> items, int depth) implements PickleValue {
    static Tuple of(List<PickleValue> items) {
      int deepest = 0;
      for (PickleValue item : items) {
        deepest = item instanceof Tuple tuple ? Math.max(deepest, tuple.depth) : deepest;
      }
      return new Tuple(items, 1 + deepest);
    }
  }

  /** A dict from strings, or an OrderedDict where {@code ordered}; filled while the pickle is read. */
  record Dict(Map<String, PickleValue> entries, boolean ordered) implements PickleValue {}
}
