package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Tensor;

/** The arguments of a kernel, packed as its parameters lie: one after the other, each at a multiple of its size. */
public final class Arguments {
  /** The most that a kernel of any architecture takes. */
  static final int MOST = 4096;

  private final ByteBuffer bytes;
  private final int[] offsets;
  private final int[] sizes;
  private int count;

  private Arguments(int count, int room) {
    this.bytes = ByteBuffer.allocate(room).order(ByteOrder.nativeOrder());
    this.offsets = new int[count];
    this.sizes = new int[count];
  }

  /**
   * @param values a {@link Tensor} for the address of its first element (null for no address), a Long, an Integer, a Float, a Double, a
   *     Boolean as an int, a long[] for a struct of so many, or a {@link Struct}
   */
  static Arguments of(Object... values) {
    int room = 0;
    for (Object value : values) {
      room += Long.BYTES + (value instanceof Struct struct ? struct.bytes() : value instanceof long[] numbers ? numbers.length * Long.BYTES : 0);
    }
    Arguments arguments = new Arguments(values.length, room);
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
      case null -> sized(Long.BYTES).putLong(0);
      case Tensor tensor -> sized(Long.BYTES).putLong(tensor.address());
      case Long number -> sized(Long.BYTES).putLong(number);
      case Double number -> sized(Double.BYTES).putDouble(number);
      case Integer number -> sized(Integer.BYTES).putInt(number);
      case Boolean truth -> sized(Integer.BYTES).putInt(truth ? 1 : 0);
      case Float number -> sized(Float.BYTES).putFloat(number);
      case long[] numbers -> {
        ByteBuffer struct = sized(numbers.length * Long.BYTES);
        for (long number : numbers) {
          struct.putLong(number);
        }
      }
      case Struct struct -> struct.put(sized(struct.bytes()));
      default -> throw new IllegalArgumentException("no kernel takes a " + value.getClass());
    }
  }

  /** Steps to where the next argument, of so many bytes, starts: a multiple of its size, or of 8. */
  private ByteBuffer sized(int size) {
    int alignment = Math.min(size, Long.BYTES);
    bytes.position((bytes.position() + alignment - 1) / alignment * alignment);
    offsets[count] = bytes.position();
    sizes[count++] = size;
    return bytes;
  }


  /** The packed bytes, from the buffer's start to its position. */
  public ByteBuffer bytes() {
    return bytes;
  }

  /** Where each argument starts. */
  int[] offsets() {
    return offsets;
  }

  /** The bytes of each argument: what a card can compare with the parameters of the kernel. */
  int[] sizes() {
    return sizes;
  }
}
