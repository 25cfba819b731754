package org.deft4j.tensor.internal;

/**
 * Logarithm, sine and cosine in float64, rounded to nearest: what a good C library gives too in all but about one case in
 * a thousand, so that random numbers made with them agree. Values are carried as unevaluated sums {@code high + low} of
 * two doubles (Dekker 1971), good to about 100 bits.
 */
public final class NearestF64 {
  /** {@code high + low}, |low| at most half a unit in the last place of high. */
  private record Pair(double high, double low) {
    static final Pair ONE = new Pair(1, 0);

    /** The exact sum where |a| >= |b|. */
    static Pair ordered(double a, double b) {
      double sum = a + b;
      return new Pair(sum, b - (sum - a));
    }

    /** The exact sum (Knuth). */
    static Pair exact(double a, double b) {
      double sum = a + b;
      double back = sum - a;
      return new Pair(sum, (a - (sum - back)) + (b - back));
    }

    Pair plus(Pair other) {
      Pair sum = exact(high, other.high);
      return ordered(sum.high, sum.low + (low + other.low));
    }

    Pair times(Pair other) {
      double product = high * other.high;
      double error = Math.fma(high, other.high, -product);
      return ordered(product, error + (high * other.low + low * other.high));
    }

    Pair over(Pair other) {
      double quotient = high / other.high;
      Pair back = other.times(new Pair(-quotient, 0));
      return ordered(quotient, plus(back).high / other.high);
    }

    Pair over(double divisor) {
      return over(new Pair(divisor, 0));
    }

    Pair negated() {
      return new Pair(-high, -low);
    }

    double rounded() {
      return high + low;
    }
  }

  private static final Pair LN_2 = new Pair(0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56);
  /** pi / 2 in three parts, the first of 33 bits so that small multiples are exact. */
  private static final double HALF_PI_1 = 0x1.921fb544p0;
  private static final Pair HALF_PI_2 = new Pair(0x1.0b4611a626331p-34, 0x1.1701b839a2520p-88);
  private static final int LOG_TERMS = 21;
  private static final int TRIG_TERMS = 14;

  private NearestF64() {}

  /** The natural logarithm of a positive, normal x: {@code e ln 2 + 2 artanh((m - 1) / (m + 1))}, {@code x = 2^e m}. */
  public static double log(double x) {
    int e = Math.getExponent(x);
    double m = Math.scalb(x, -e);
    if (m > Math.sqrt(2)) {
      m /= 2;
      e++;
    }
    Pair s = new Pair(m - 1, 0).over(Pair.exact(m, 1));
    Pair square = s.times(s);
    Pair sum = new Pair(0, 0);
    for (int k = LOG_TERMS; k >= 0; k--) {
      sum = sum.times(square).plus(Pair.ONE.over(2.0 * k + 1));
    }
    Pair log = sum.times(s).times(new Pair(2, 0));
    return LN_2.times(new Pair(e, 0)).plus(log).rounded();
  }

  /** The sine of {@code x} between 0 and 2 pi. */
  public static double sin(double x) {
    return turned(x, 0);
  }

  /** The cosine of {@code x} between 0 and 2 pi. */
  public static double cos(double x) {
    return turned(x, 1);
  }

  /** The sine of x and some quarter turns: x is brought to -pi/4 .. pi/4, where the Taylor series are short. */
  private static double turned(double x, int quarters) {
    long n = Math.round(x / (Math.PI / 2));
    Pair rest = Pair.exact(x - n * HALF_PI_1, 0).plus(HALF_PI_2.times(new Pair(-n, 0)));
    Pair square = rest.times(rest).negated();
    boolean cosine = ((n + quarters) & 1) != 0;
    Pair sum = Pair.ONE;
    for (int k = TRIG_TERMS; k >= 1; k--) {
      double step = cosine ? (2.0 * k - 1) * (2 * k) : 2.0 * k * (2 * k + 1);
      sum = sum.times(square).over(step).plus(Pair.ONE);
    }
    Pair result = cosine ? sum : sum.times(rest);
    return ((n + quarters) & 2) != 0 ? -result.rounded() : result.rounded();
  }
}
