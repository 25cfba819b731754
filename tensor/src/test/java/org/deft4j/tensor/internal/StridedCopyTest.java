package org.deft4j.tensor.internal;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Copies between layouts move every element to its place, whatever its size. */
class StridedCopyTest {
  private static final DType[] WIDTHS = {DType.F32, DType.BF16, DType.F64, DType.U8};
  private static final long[][] SHAPES = {{1}, {3, 70, 65}, {130, 5, 67}, {2, 64, 128}, {2, 3, 9, 40}, {1, 17, 200}, {7, 1, 1, 33},
      {65, 3}, {3, 2, 16, 16}, {2, 5, 4, 400}};

  private final Random random = new Random(5);

  @Test
  void everyPermutationOfEveryWidth() {
    for (DType type : WIDTHS) {
      for (long[] sizes : SHAPES) {
        try (Scope _ = Scope.open()) {
          check(permuted(bytes(type, sizes)));
        }
      }
    }
  }

  @Test
  void cutSteppedFlippedAndExpandedViews() {
    for (DType type : WIDTHS) {
      for (int round = 0; round < 20; round++) {
        try (Scope _ = Scope.open()) {
          Tensor x = bytes(type, 2 + random.nextInt(3), 1 + random.nextInt(90), 1 + random.nextInt(90), 1 + random.nextInt(5));
          Tensor view = permuted(x);
          for (int d = 0; d < view.rank(); d++) {
            long start = random.nextLong(view.size(d));
            view = view.slice(d, start, start + 1 + random.nextLong(view.size(d) - start), 1 + random.nextInt(2));
          }
          check(view);
          check(view.unsqueeze(1).expand(view.size(0), 3, view.size(1), view.size(2), view.size(3)));
        }
      }
    }
  }

  private Tensor permuted(Tensor x) {
    int[] order = new int[x.rank()];
    for (int i = 0; i < order.length; i++) {
      int j = random.nextInt(i + 1);
      order[i] = order[j];
      order[j] = i;
    }
    return x.permute(order);
  }

  /** Random bits, among them those of every kind of NaN. */
  private Tensor bytes(DType type, long... sizes) {
    Tensor x = Tensor.empty(Device.CPU, type, Shape.of(sizes));
    for (long i = 0; i < x.elementCount() * type.bytes(); i++) {
      x.memory().set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt());
    }
    return x;
  }

  /** Out of the view, and back into a view of the same layout. */
  private static void check(Tensor view) {
    Tensor copy = Tensor.empty(Device.CPU, view.dtype(), view.shape());
    StridedCopy.copy(view, copy);
    same(view, copy);
    if (view.rank() < 5) {
      long span = view.memory().byteSize() / view.dtype().bytes();
      Tensor other = Tensor.empty(Device.CPU, view.dtype(), Shape.of(span));
      other.memory().fill((byte) 0x55);
      StridedCopy.copy(copy, other, view.shape(), view.strides(), view.offset());
      for (long i = 0; i < view.elementCount(); i++) {
        long at = view.offset() + Positions.offset(i, view.shape(), view.strides());
        assertEquals(bits(copy, i), bits(other, at), () -> view + ", into it");
      }
    }
  }

  private static void same(Tensor view, Tensor copy) {
    for (long i = 0; i < view.elementCount(); i++) {
      long index = i;
      assertEquals(bits(view, view.offset() + Positions.offset(i, view.shape(), view.strides())), bits(copy, i),
          () -> view + ", element " + index);
    }
  }

  private static long bits(Tensor x, long i) {
    return switch (x.dtype().bytes()) {
      case 8 -> x.memory().getAtIndex(ValueLayout.JAVA_LONG, i);
      case 4 -> x.memory().getAtIndex(ValueLayout.JAVA_INT, i);
      case 2 -> x.memory().getAtIndex(ValueLayout.JAVA_SHORT, i);
      default -> x.memory().get(ValueLayout.JAVA_BYTE, i);
    };
  }

  /** Of both casts between F32 and BF16, in vectors and at the end of a row: infinities, NaNs, ties, numbers too small. */
  @Test
  void bfloat16IsRoundedAsByHand() {
    try (Scope _ = Scope.open()) {
      Tensor x = bytes(DType.F32, 70_003);
      int[] special = {0x7f800000, 0xff800000, 0x7f800001, 0xffc12345, 0x7fffffff, 0x3f808000, 0x3f818000, 0x7f7fffff, 1, 0x80000000};
      for (int i = 0; i < 4096; i++) {
        x.memory().setAtIndex(ValueLayout.JAVA_INT, random.nextInt(70_003), special[i % special.length]);
      }
      Tensor y = x.cast(DType.BF16);
      Tensor back = y.cast(DType.F32);
      for (int i = 0; i < 70_003; i++) {
        short wanted = (short) SmallFloat.bfloat16(x.memory().getAtIndex(ValueLayout.JAVA_FLOAT, i));
        assertEquals(wanted, y.memory().getAtIndex(ValueLayout.JAVA_SHORT, i));
        assertEquals(wanted << 16, back.memory().getAtIndex(ValueLayout.JAVA_INT, i));
      }
    }
  }

  /** {@code view += alpha x} is what the dense addition gives, by both kernels, and leaves what lies around the view. */
  @Test
  void scaledAdditionsIntoViews() {
    InPlace op = new InPlace.AddScaledInto(0.3);
    for (DType type : new DType[] {DType.F32, DType.F64}) {
      for (int round = 0; round < 12; round++) {
        try (Scope _ = Scope.open()) {
          Tensor base = Twins.random(random, 5, 40, 33).cast(type);
          boolean swapped = round % 2 != 0;
          int step = 1 + round % 3;
          Tensor x = swapped ? Twins.random(random, 40, 5, 33) : Twins.random(random, 33, 40, 5).permute(2, 1, 0);
          Tensor term = x.cast(type).slice(2, 0, 33, step);
          Tensor[] results = new Tensor[2];
          for (int k = 0; k < 2; k++) {
            Tensor own = KernelHash.copy(base);
            Tensor view = (swapped ? own.permute(1, 0, 2) : own).slice(2, 0, 33, step);
            Tensor wanted = KernelHash.copy(view.contiguous());
            Dispatch.run(op, wanted, KernelHash.copy(term));
            Tensor[] in = {view, term};
            if (k == 0) {
              new ScalarKernels().run(op, in, new Tensor[0]);
            } else {
              Dispatch.run(op, in);
            }
            assertArrayEquals(wanted.toDoubles(), view.toDoubles());
            results[k] = own;
          }
          assertArrayEquals(results[0].toDoubles(), results[1].toDoubles());
          double[] sum = results[0].sub(base).toDoubles();
          for (int i = 0; i < sum.length; i++) {
            assertTrue(i % 33 % step == 0 || sum[i] == 0, "beside the view");
          }
        }
      }
    }
  }

  /** Blocks of every size up to a tile, moved by both forms, touch nothing around them. */
  @Test
  void bothFormsOfTheBlocks() {
    CopyBlocks plain = new CopyBlocks();
    CopyBlocks vector = new VectorCopyBlocks();
    int room = StridedCopy.TILE * (StridedCopy.TILE + 9);
    try (Arena arena = Arena.ofConfined()) {
      for (int bytes : new int[] {1, 2, 4, 8}) {
        MemorySegment read = arena.allocate((long) room * bytes);
        for (long i = 0; i < read.byteSize(); i++) {
          read.set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt());
        }
        for (int round = 0; round < 60; round++) {
          int lines = round == 0 ? StridedCopy.TILE : 1 + random.nextInt(StridedCopy.TILE);
          int length = round < 2 ? StridedCopy.TILE : 1 + random.nextInt(StridedCopy.TILE);
          MemorySegment[] to = {arena.allocate((long) room * bytes), arena.allocate((long) room * bytes)};
          plain.turn(read, 3, length + 2, to[0], 5, lines + 3, lines, length, bytes);
          vector.turn(read, 3, length + 2, to[1], 5, lines + 3, lines, length, bytes);
          assertEquals(-1, to[0].mismatch(to[1]), "turned " + lines + " x " + length + " of " + bytes);
          plain.runs(read, 3, length + 2, to[0], 5, length + 3, lines, length, bytes);
          vector.runs(read, 3, length + 2, to[1], 5, length + 3, lines, length, bytes);
          assertEquals(-1, to[0].mismatch(to[1]), "copied " + lines + " x " + length + " of " + bytes);
        }
      }
    }
  }
}
