package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import org.deft4j.tensor.Shape;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** The numbers by which a walk on the card divides without a division. */
class WalkTest {
  private static final long BEYOND = 1L << 31;

  /** The multiplier and the shift for a size: the last of the struct, for its first dimension. */
  private static int[] divisor(long size) {
    Walk walk = Walk.over(Shape.of(size), new long[] {1});
    ByteBuffer bytes = ByteBuffer.allocate(walk.bytes()).order(ByteOrder.nativeOrder());
    walk.put(bytes);
    assertEquals(walk.bytes(), bytes.position());
    int at = walk.bytes() - 8 * Long.BYTES;
    return new int[] {bytes.getInt(at), bytes.getInt(at + Integer.BYTES)};
  }

  private static void check(long size, int[] divisor, long i) {
    long high = (Integer.toUnsignedLong(divisor[0]) * i) >>> Integer.SIZE;
    assertEquals(i / size, ((high + i) & 0xffffffffL) >>> divisor[1], i + " / " + size);
  }

  @Test
  void quotientsOfAllSizesAreThose() {
    Random random = new Random(2);
    for (int k = 1; k <= 40; k++) {
      for (int j = -1; j <= 20; j++) {
        long size = Math.max(2, j < 2 ? (1L << k) + j : random.nextLong(1L << k, 2L << k));
        int[] divisor = divisor(size);
        for (long multiple : new long[] {1, 2, random.nextLong(BEYOND / size + 1), BEYOND / size}) {
          for (long i = multiple * size - 1; i <= multiple * size + 1; i++) {
            if (i >= 0 && i < BEYOND) {
              check(size, divisor, i);
            }
          }
        }
        check(size, divisor, 0);
        check(size, divisor, BEYOND - 1);
        check(size, divisor, random.nextLong(BEYOND));
      }
    }
  }
}
