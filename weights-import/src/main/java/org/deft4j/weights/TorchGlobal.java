package org.deft4j.weights;

import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.deft4j.tensor.DType;

/** The names out of Python's modules that a pickle of tensors may mention: all of them, and what they mean is fixed here. */
enum TorchGlobal implements PickleValue {
  /** A dict; torch also writes an empty one for a tensor's hooks. */
  ORDERED_DICT("collections", "OrderedDict", null),
  /** A tensor from (storage, offset, size, stride, requires_grad, hooks). */
  REBUILD_TENSOR("torch._utils", "_rebuild_tensor_v2", null),
  /** A parameter from (tensor, requires_grad, hooks). */
  REBUILD_PARAMETER("torch._utils", "_rebuild_parameter", null),
  /** F64. */
  DOUBLE_STORAGE("torch", "DoubleStorage", DType.F64),
  /** F32. */
  FLOAT_STORAGE("torch", "FloatStorage", DType.F32),
  /** F16. */
  HALF_STORAGE("torch", "HalfStorage", DType.F16),
  /** BF16. */
  BFLOAT16_STORAGE("torch", "BFloat16Storage", DType.BF16),
  /** I64. */
  LONG_STORAGE("torch", "LongStorage", DType.I64),
  /** I32. */
  INT_STORAGE("torch", "IntStorage", DType.I32),
  /** U8. */
  BYTE_STORAGE("torch", "ByteStorage", DType.U8),
  /** BOOL. */
  BOOL_STORAGE("torch", "BoolStorage", DType.BOOL);

  private static final Map<String, TorchGlobal> BY_PATH =
      Arrays.stream(values()).collect(Collectors.toMap(TorchGlobal::path, Function.identity()));
  private static final Map<DType, TorchGlobal> BY_DTYPE = Arrays.stream(values())
      .filter(global -> global.dtype != null).collect(Collectors.toMap(global -> global.dtype, Function.identity()));

  private final String module;
  private final String member;
  private final DType dtype;

  TorchGlobal(String module, String member, DType dtype) {
    this.module = module;
    this.member = member;
    this.dtype = dtype;
  }

  /** The module's name. */
  String module() {
    return module;
  }

  /** The name in the module. */
  String member() {
    return member;
  }

  /** Both, with a dot between. */
  String path() {
    return module + "." + member;
  }

  /** The elements of a storage class; empty for what is none. */
  Optional<DType> dtype() {
    return Optional.ofNullable(dtype);
  }

  /** The global of that path, or empty. */
  static Optional<TorchGlobal> of(String path) {
    return Optional.ofNullable(BY_PATH.get(path));
  }

  /** The class of storages of that element type; empty where torch has none that is read here. */
  static Optional<TorchGlobal> storage(DType dtype) {
    return Optional.ofNullable(BY_DTYPE.get(dtype));
  }
}
