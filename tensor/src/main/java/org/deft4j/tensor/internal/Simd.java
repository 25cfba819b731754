package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The vectors of this process: the widest the processor likes, or {@code -Ddeft4j.vectorBits=128|256|512}. The results do
 * not depend on it, to the bit.
 *
 * <p>Vectors of floats and doubles have no other width anywhere: HotSpot goes by what the methods of the Vector API have seen, and where that is two
 * classes, vectors that leave a loop can become objects, in whatever loop it compiles after that.
 */
final class Simd {
  static final VectorSpecies<Float> FLOATS = floats();
  static final VectorSpecies<Integer> INTS = FLOATS.withLanes(int.class);
  static final VectorSpecies<Double> DOUBLES = FLOATS.withLanes(double.class);
  /** Floats in a vector: 4, 8 or 16. */
  static final int LANES = FLOATS.length();
  static final int BYTES = Float.BYTES * LANES;
  static final ByteOrder ORDER = ByteOrder.nativeOrder();
  static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT;

  private Simd() {}

  private static VectorSpecies<Float> floats() {
    int preferred = Math.clamp(FloatVector.SPECIES_PREFERRED.vectorBitSize(), 128, 512);
    int bits = Integer.getInteger("deft4j.vectorBits", preferred);
    if (bits != 128 && bits != 256 && bits != 512) {
      throw new IllegalArgumentException("deft4j.vectorBits: " + bits + ", expected 128, 256 or 512");
    }
    return VectorSpecies.of(float.class, VectorShape.forBitSize(bits));
  }

  /** The vector at a byte address. */
  static FloatVector load(MemorySegment memory, long at) {
    return FloatVector.fromMemorySegment(FLOATS, OffHeap.known(memory), at, ORDER);
  }

  /** Writes a vector to a byte address. */
  static void store(FloatVector vector, MemorySegment memory, long at) {
    vector.intoMemorySegment(OffHeap.known(memory), at, ORDER);
  }
}
