package org.deft4j.tensor.internal;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/** The limits of the scalar kernels: one number at a time. */
final class ScalarLimits implements Limits {
  private static final int CHAINS = 12;

  @Override
  public List<MultiplyAdds> multiplyAdds() {
    return List.of(new MultiplyAdds(2.0 * CHAINS, ScalarLimits::chains));
  }

  private static float chains(int steps) {
    float x = 0.999f;
    float y = 0.001f;
    float a = 1;
    float b = 2;
    float c = 3;
    float d = 4;
    float e = 5;
    float f = 6;
    float g = 7;
    float h = 8;
    float i = 9;
    float j = 10;
    float k = 11;
    float l = 12;
    for (int n = 0; n < steps; n++) {
      a = Math.fma(x, y, a);
      b = Math.fma(x, y, b);
      c = Math.fma(x, y, c);
      d = Math.fma(x, y, d);
      e = Math.fma(x, y, e);
      f = Math.fma(x, y, f);
      g = Math.fma(x, y, g);
      h = Math.fma(x, y, h);
      i = Math.fma(x, y, i);
      j = Math.fma(x, y, j);
      k = Math.fma(x, y, k);
      l = Math.fma(x, y, l);
    }
    return a + b + c + d + e + f + g + h + i + j + k + l;
  }

  @Override
  public long read(MemorySegment memory, long from, long to) {
    long a = 0;
    long b = 0;
    long c = 0;
    long d = 0;
    for (long at = from; at < to; at += 4 * Long.BYTES) {
      a ^= memory.get(ValueLayout.JAVA_LONG, at);
      b ^= memory.get(ValueLayout.JAVA_LONG, at + Long.BYTES);
      c ^= memory.get(ValueLayout.JAVA_LONG, at + 2 * Long.BYTES);
      d ^= memory.get(ValueLayout.JAVA_LONG, at + 3 * Long.BYTES);
    }
    return a ^ b ^ c ^ d;
  }
}
