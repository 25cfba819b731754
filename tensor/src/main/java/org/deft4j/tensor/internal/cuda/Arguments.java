package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/** The arguments of a kernel, packed as its parameters lie: one after the other, each at a multiple of its size. */
public final class Arguments {
  /** The most that a kernel of any architecture takes. */
  private static final int MOST = 4096;

  private final ByteBuffer bytes = ByteBuffer.allocateDirect(MOST).order(ByteOrder.nativeOrder());
  private final StringBuilder sizes = new StringBuilder();

  private Arguments() {}

  /**
   * @param values a {@link Tensor} for the address of its first element (null for no address), a Long, an Integer, a Float, a Double, a
   *     Boolean as an int, a long[] for a struct of so many, or a {@link Walk}
   */
  static Arguments of(Object... values) {
    Arguments arguments = new Arguments();
    for (Object value : values) {
      arguments.add(value);
    }
    return arguments;
  }

  /** A number in the type that a kernel for {@code dtype} computes in: a Float or a Double. */
  static Object real(DType dtype, double value) {
    if (dtype == DType.F64) {
      return value;
    }
    return (float) value;
  }

  private void add(Object value) {
    switch (value) {
      case null -> aligned(Long.BYTES).putLong(0);
      case Tensor tensor -> aligned(Long.BYTES).putLong(tensor.address());
      case Long number -> aligned(Long.BYTES).putLong(number);
      case Double number -> aligned(Double.BYTES).putDouble(number);
      case Integer number -> aligned(Integer.BYTES).putInt(number);
      case Boolean truth -> aligned(Integer.BYTES).putInt(truth ? 1 : 0);
      case Float number -> aligned(Float.BYTES).putFloat(number);
      case long[] numbers -> {
        ByteBuffer struct = struct(numbers.length * Long.BYTES);
        for (long number : numbers) {
          struct.putLong(number);
        }
      }
      case Walk walk -> walk.put(struct(Walk.BYTES));
      default -> throw new IllegalArgumentException("no kernel takes a " + value.getClass());
    }
  }

  /** Steps to the next multiple of {@code size}, for a number of that size. */
  private ByteBuffer aligned(int size) {
    bytes.position((bytes.position() + size - 1) / size * size);
    sizes.append(size).append(' ');
    return bytes;
  }

  private ByteBuffer struct(int size) {
    aligned(Long.BYTES);
    sizes.setLength(sizes.length() - 2);
    sizes.append(size).append(' ');
    return bytes;
  }

  /** The packed bytes, from the buffer's start to its position. */
  public ByteBuffer bytes() {
    return bytes;
  }

  /** The bytes of each argument, in order: what a card can compare with the parameters of the kernel. */
  public String sizes() {
    return sizes.toString().strip();
  }
}
