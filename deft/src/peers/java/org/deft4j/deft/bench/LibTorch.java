package org.deft4j.deft.bench;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDManager;
import ai.djl.pytorch.engine.PtNDArray;
import ai.djl.pytorch.engine.PtNDManager;
import ai.djl.pytorch.jni.JniUtils;
import ai.djl.pytorch.jni.LibUtils;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

/**
 * PyTorch's library as DJL brings it. What DJL's arrays do not offer is called through the library's own C interface
 * ({@code torch/csrc/inductor/aoti_torch/c/shim.h} of the pinned version), on the same tensors: a DJL array's handle is a
 * pointer to {@code at::Tensor}, as there.
 */
@SuppressWarnings("restricted") // calls the library's C interface
final class LibTorch implements AutoCloseable {
  private final PtNDManager manager;
  private final SymbolLookup library;
  private final Linker linker = Linker.nativeLinker();
  private final MethodHandle malloc;
  private final Map<String, MethodHandle> functions = new HashMap<>();

  /** Loads the library and has it compute with so many threads. */
  LibTorch(int threads) {
    manager = (PtNDManager) Engine.getEngine("PyTorch").newBaseManager();
    JniUtils.setNumThreads(threads);
    JniUtils.setGradMode(false);
    library = SymbolLookup.libraryLookup(Path.of(LibUtils.getLibtorchPath()).resolve("libtorch_cpu.so"), Arena.global());
    malloc = linker.downcallHandle(linker.defaultLookup().findOrThrow("malloc"), FunctionDescriptor.of(ADDRESS, JAVA_LONG));
  }

  /** The version and how it was built. */
  static String version() {
    return "PyTorch " + LibUtils.getVersion() + ", " + JniUtils.getNumThreads() + " threads";
  }

  /** What else makes arrays. */
  NDManager manager() {
    return manager;
  }

  /** An array over the memory of {@code tensor}, with its strides; the tensor must outlive it. */
  PtNDArray view(Tensor tensor) {
    try (Arena arena = Arena.ofConfined()) {
      long[] sizes = tensor.shape().toArray();
      MemorySegment result = arena.allocate(ADDRESS);
      call("aoti_torch_create_tensor_from_blob", tensor.memory(), (long) sizes.length, longs(arena, sizes),
          longs(arena, tensor.strides()), tensor.offset(), dtype(tensor.dtype()), 0, -1, result);
      return array(result);
    }
  }

  private int dtype(DType type) {
    String name = switch (type) {
      case F32 -> "float32";
      case BF16 -> "bfloat16";
      case F16 -> "float16";
      case I64 -> "int64";
      default -> throw new IllegalArgumentException(type + " is not compared");
    };
    try {
      return (int) linker.downcallHandle(library.findOrThrow("aoti_torch_dtype_" + name), FunctionDescriptor.of(JAVA_INT))
          .invoke();
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  /** {@code convolution_backward}: the gradient by the input, or by the weight. */
  PtNDArray convolutionBackward(PtNDArray dy, PtNDArray x, PtNDArray w, long[] stride, long[] padding, boolean byInput) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment results = arena.allocate(ADDRESS, 3);
      MemorySegment ones = longs(arena, 1, 1);
      MemorySegment mask = arena.allocateFrom(JAVA_INT, byInput ? 1 : 0, byInput ? 0 : 1, 0);
      call("aoti_torch_cpu_convolution_backward", handle(dy), handle(x), handle(w), MemorySegment.NULL, 0L,
          longs(arena, stride), 2L, longs(arena, padding), 2L, ones, 2L, 0, longs(arena, 0, 0), 2L, 1L, mask, 3L,
          results, results.asSlice(8), results.asSlice(16));
      return array(results.asSlice(byInput ? 0 : 8));
    }
  }

  /** The attention that {@code scaled_dot_product_attention} takes on a CPU: the result and the log-sum-exp of the scores. */
  PtNDArray[] attention(PtNDArray q, PtNDArray k, PtNDArray v, double scale, boolean causal) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment results = arena.allocate(ADDRESS, 2);
      call("aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu", handle(q), handle(k), handle(v), 0.0,
          causal ? 1 : 0, MemorySegment.NULL, arena.allocateFrom(JAVA_DOUBLE, scale), results, results.asSlice(8));
      return new PtNDArray[] {array(results), array(results.asSlice(8))};
    }
  }

  /** Its gradients by q, k and v. */
  PtNDArray[] attentionBackward(PtNDArray dO, PtNDArray q, PtNDArray k, PtNDArray v, PtNDArray o, PtNDArray lse, double scale,
      boolean causal) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment results = arena.allocate(ADDRESS, 3);
      call("aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu_backward", handle(dO), handle(q), handle(k), handle(v),
          handle(o), handle(lse), 0.0, causal ? 1 : 0, MemorySegment.NULL, arena.allocateFrom(JAVA_DOUBLE, scale), results,
          results.asSlice(8), results.asSlice(16));
      return new PtNDArray[] {array(results), array(results.asSlice(8)), array(results.asSlice(16))};
    }
  }

  /** Any other operation by its name; arguments are arrays, longs, doubles, booleans, and optionals of them. */
  PtNDArray dispatch(String name, String overload, Object... arguments) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment stack = arena.allocate(JAVA_LONG, Math.max(1, arguments.length));
      for (int i = 0; i < arguments.length; i++) {
        stack.setAtIndex(JAVA_LONG, i, word(arguments[i]));
      }
      call("aoti_torch_call_dispatcher", arena.allocateFrom(name), arena.allocateFrom(overload), stack);
      return new PtNDArray(manager, stack.getAtIndex(JAVA_LONG, 0));
    }
  }

  /** An argument that the operation may do without. */
  record Maybe(Object value) {}

  private long word(Object argument) {
    return switch (argument) {
      case PtNDArray array -> copyOfHandle(array);
      case Long number -> number;
      case Double number -> Double.doubleToRawLongBits(number);
      case Boolean flag -> flag ? 1 : 0;
      case Maybe(var value) -> value == null ? 0 : boxed(word(value));
      default -> throw new IllegalArgumentException("" + argument);
    };
  }

  /** The callee frees the word that an optional points to. */
  private long boxed(long word) {
    try {
      MemorySegment box = ((MemorySegment) malloc.invoke(8L)).reinterpret(8);
      box.set(JAVA_LONG, 0, word);
      return box.address();
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  /** The callee closes the handles on its stack. */
  private long copyOfHandle(PtNDArray array) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment result = arena.allocate(ADDRESS);
      call("aoti_torch_new_tensor_handle", handle(array), result);
      return result.get(JAVA_LONG, 0);
    }
  }

  private static MemorySegment handle(PtNDArray array) {
    return MemorySegment.ofAddress(array.getHandle());
  }

  private PtNDArray array(MemorySegment result) {
    return new PtNDArray(manager, result.get(JAVA_LONG, 0));
  }

  private static MemorySegment longs(Arena arena, long... values) {
    return arena.allocateFrom(JAVA_LONG, values);
  }

  /** Calls a function of the C interface; all yield zero where they succeed. */
  private void call(String name, Object... arguments) {
    MethodHandle function = functions.computeIfAbsent(name, key -> {
      MemoryLayout[] layouts = new MemoryLayout[arguments.length];
      for (int i = 0; i < layouts.length; i++) {
        layouts[i] = layout(arguments[i]);
      }
      return linker.downcallHandle(library.findOrThrow(key), FunctionDescriptor.of(JAVA_INT, layouts))
          .asSpreader(Object[].class, arguments.length);
    });
    try {
      int status = (int) function.invoke(arguments);
      if (status != 0) {
        throw new IllegalStateException(name + " failed; the library says why above");
      }
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private static ValueLayout layout(Object argument) {
    return switch (argument) {
      case Long _ -> JAVA_LONG;
      case Integer _ -> JAVA_INT;
      case Double _ -> JAVA_DOUBLE;
      case MemorySegment _ -> ADDRESS;
      default -> throw new IllegalArgumentException("" + argument);
    };
  }

  @Override
  public void close() {
    manager.close();
  }
}
