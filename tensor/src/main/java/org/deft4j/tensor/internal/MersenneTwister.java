package org.deft4j.tensor.internal;

/** MT19937 of Matsumoto and Nishimura (1998): 32 random bits at a time, period 2^19937 - 1. */
public final class MersenneTwister {
  private static final int N = 624;
  private static final int M = 397;
  private static final int TWIST = 0x9908b0df;
  /** Words of {@link #state}: the engine's, and how many of them are used up. */
  public static final int STATE_LENGTH = N + 1;

  private final int[] words = new int[N];
  private int used = N;

  /** Seeds by the recurrence {@code x_i = 1812433253 * (x_{i-1} ^ (x_{i-1} >>> 30)) + i}. */
  public MersenneTwister(int seed) {
    words[0] = seed;
    for (int i = 1; i < N; i++) {
      words[i] = 1812433253 * (words[i - 1] ^ (words[i - 1] >>> 30)) + i;
    }
  }

  /** The next 32 bits. */
  public int next() {
    if (used == N) {
      refill();
    }
    int y = words[used++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return y ^ (y >>> 18);
  }

  private void refill() {
    for (int i = 0; i < N; i++) {
      int next = words[(i + 1) % N];
      int y = (words[i] & 0x80000000) | (next & 0x7fffffff);
      words[i] = words[(i + M) % N] ^ (y >>> 1) ^ ((next & 1) == 0 ? 0 : TWIST);
    }
    used = 0;
  }

  /** What the next numbers depend on. */
  public long[] state() {
    long[] state = new long[STATE_LENGTH];
    for (int i = 0; i < N; i++) {
      state[i] = words[i] & 0xFFFFFFFFL;
    }
    state[N] = used;
    return state;
  }

  /** Goes on from a {@link #state}. */
  public void restore(long[] state) {
    if (state.length != STATE_LENGTH || state[N] < 0 || state[N] > N) {
      throw new IllegalArgumentException("restore: not the state of a Mersenne twister");
    }
    for (int i = 0; i < N; i++) {
      words[i] = (int) state[i];
    }
    used = (int) state[N];
  }
}
