package org.deft4j.tensor.internal;

/**
 * Functions of float32, every one a fixed sequence of correctly rounded operations (+, *, fma, /), so that {@link MathVector},
 * which runs the same sequence in each lane, gives the same bits. The errors below are the largest found against
 * float64 over all exponents ({@code MathF32Test}), in units in the last place (ulp) of the result.
 *
 * <p>The coefficients are minimax fits, each rounded to float32 before the next was fitted: the last comment on a
 * polynomial is its own relative error.
 */
final class MathF32 {
  /** {@code t = fma(x, a, MAGIC)} rounds {@code a x} to an integer, which then stands in the low bits of t. */
  static final float MAGIC = 0x1.8p23f;
  /** The same plus 127: the lowest bits are then the exponent of 2^n, and shifted by 23, which drops all others, they are that number. */
  static final float MAGIC_POWER = 0x1.8p23f + 127;
  /** The same plus 126: half of 2^n. */
  static final float MAGIC_HALF_POWER = 0x1.8p23f + 126;
  /** The first plus 254: the exponents of two numbers with the product 2^n. */
  static final float MAGIC_POWERS = 0x1.8p23f + 254;

  static final float LOG2_E = 1.442695f;
  static final float LN2_HI = 0x1.62e430p-1f;
  static final float LN2_LO = -0x1.05c610p-29f;
  /** Below it e^x rounds to 0; above {@link #EXP_MAX} it overflows. */
  static final float EXP_MIN = -104f;
  static final float EXP_MAX = 89f;
  /** Above it e^x is not subnormal. */
  static final float EXP_INSIDE = -87f;
  /** {@code e^r = 1 + r + r^2 (E2 + E3 r + ...)} for |r| at most ln(2)/2; 3.2e-9. */
  static final float E2 = 0x1.fffffcp-2f;
  static final float E3 = 0x1.555492p-3f;
  static final float E4 = 0x1.5558b0p-5f;
  static final float E5 = 0x1.12398ep-7f;
  static final float E6 = 0x1.6a4d60p-10f;
  /** {@code 2^r = 1 + r (P1 + P2 r + ...)} for |r| at most 1/2; 3.0e-9. */
  static final float P1 = 0x1.62e430p-1f;
  static final float P2 = 0x1.ebfbdcp-3f;
  static final float P3 = 0x1.c6af7cp-5f;
  static final float P4 = 0x1.3b2de0p-7f;
  static final float P5 = 0x1.5f082ep-10f;
  static final float P6 = 0x1.416b54p-13f;
  /** Below it 2^x may be subnormal. */
  static final float EXP2_INSIDE = -126f;

  static final int SQRT_HALF_BITS = 0x3f3504f3;
  /** {@code log(1 + f) = f - f^2/2 + f^3 (L0 + L1 f + ...)} for 1 + f from sqrt(1/2) to sqrt(2); 7.7e-10. */
  static final float L0 = 0x1.555548p-2f;
  static final float L1 = -0x1.000006p-2f;
  static final float L2 = 0x1.99a476p-3f;
  static final float L3 = -0x1.555c44p-3f;
  static final float L4 = 0x1.233ba2p-3f;
  static final float L5 = -0x1.fc28cap-4f;
  static final float L6 = 0x1.e6c00ap-4f;
  static final float L7 = -0x1.de01d8p-4f;
  static final float L8 = 0x1.147334p-4f;

  static final float TANH_SMALL = 0.625f;
  /** From here on tanh rounds to 1. */
  static final float TANH_ONE = 10f;
  /** {@code tanh x = x (1 + z (T0 + T1 z + ...))}, z = x^2, for |x| below 0.625; 4.6e-9. */
  static final float T0 = -0x1.555532p-2f;
  static final float T1 = 0x1.1106f6p-3f;
  static final float T2 = -0x1.b835a4p-5f;
  static final float T3 = 0x1.51f8cep-6f;
  static final float T4 = -0x1.750ce2p-8f;

  static final float ERF_SMALL = 0.875f;
  /** From here on erf rounds to 1. */
  static final float ERF_ONE = 4f;
  /** {@code erf x = x (1 + F0 + F1 z + ...)}, z = x^2, for |x| below 0.875; 1.4e-8. */
  static final float F0 = 0x1.06eba6p-3f;
  static final float F1 = -0x1.8126eep-2f;
  static final float F2 = 0x1.ce1bfap-4f;
  static final float F3 = -0x1.b6a3b4p-6f;
  static final float F4 = 0x1.47d50ep-8f;
  static final float F5 = -0x1.3cb530p-11f;
  /** {@code erf t = 1 - e^(G0 + G1 t + ...)} for t from 0.875 to 4; 1.9e-9. */
  static final float G0 = -0x1.182078p-13f;
  static final float G1 = -0x1.20c06cp0f;
  static final float G2 = -0x1.46026cp-1f;
  static final float G3 = -0x1.ab5356p-4f;
  static final float G4 = 0x1.6f554cp-6f;
  static final float G5 = -0x1.955072p-9f;
  static final float G6 = 0x1.a585fcp-13f;

  /** From here on {@code Phi(-t)}, 1e-9, counts as 0. */
  static final float TAIL_END = 6f;
  /** {@code log2(2 Phi(-t)) = H1 t + H2 t^2 + ...} for t from 0 to 6; what Phi gets of its error is 1.1e-8 at most, and 1e-4 of Phi. */
  static final float H1 = -0x1.26aedap0f;
  static final float H2 = -0x1.d639d8p-2f;
  static final float H3 = -0x1.ae1e48p-5f;
  static final float H4 = 0x1.cf3d42p-8f;
  static final float H5 = -0x1.0bcb7ep-13f;
  static final float H6 = -0x1.a6e6b0p-13f;
  static final float H7 = 0x1.953f70p-15f;
  static final float H8 = -0x1.574258p-18f;
  static final float H9 = 0x1.ce87cap-23f;

  /** The largest |x| whose multiple of pi/2 the three-part constant takes away; beyond, float64 does. */
  static final float TRIG_MAX = 1e5f;
  static final float TWO_OVER_PI = 0.63661975f;
  /** pi/2 in three parts, all positive: so a negative zero stays one. */
  static final float HALF_PI_1 = 0x1.921fb4p0f;
  static final float HALF_PI_2 = 0x1.4442d0p-24f;
  static final float HALF_PI_3 = 0x1.84698ap-48f;
  /** {@code sin r = r (1 + z (S0 + S1 z + ...))}, z = r^2, for |r| at most pi/4; 1.7e-10. */
  static final float S0 = -0x1.555556p-3f;
  static final float S1 = 0x1.111174p-7f;
  static final float S2 = -0x1.a0595ep-13f;
  static final float S3 = 0x1.7c3226p-19f;
  /** {@code cos r = 1 - z/2 + z^2 (C0 + C1 z + ...)}; 7.4e-12. */
  static final float C0 = 0x1.555556p-5f;
  static final float C1 = -0x1.6c175ep-10f;
  static final float C2 = 0x1.a071b6p-16f;
  static final float C3 = -0x1.36147cp-22f;

  private MathF32() {}

  /** {@code e^x}, subnormal results included; 1 ulp. */
  static float exp(float x) {
    float c = x < EXP_MIN ? EXP_MIN : x > EXP_MAX ? EXP_MAX : x;
    float t = Math.fma(c, LOG2_E, MAGIC_POWERS);
    float p = expOfRemainder(c, t - MAGIC_POWERS);
    // 2^n in two steps: n reaches from -150 to 128, beyond the exponents of float32.
    int bits = Float.floatToRawIntBits(t);
    int half = bits >> 1;
    return p * Float.intBitsToFloat(half << 23) * Float.intBitsToFloat((bits - half) << 23);
  }

  /** {@link #exp} for x from -87 to 88, where the result is neither subnormal nor infinite; NaN stays NaN. */
  static float expInside(float x) {
    float t = Math.fma(x, LOG2_E, MAGIC_POWER);
    return expOfRemainder(x, t - MAGIC_POWER) * Float.intBitsToFloat(Float.floatToRawIntBits(t) << 23);
  }

  /** {@link #expInside}, or 0 below -87: the exponential of a softmax, whose sums contain a 1. */
  static float expOrZero(float x) {
    return x < EXP_INSIDE ? 0f : expInside(x);
  }

  /** {@code e^(x - n ln 2)}; ln 2 in two parts, the difference with the first is exact. */
  private static float expOfRemainder(float x, float n) {
    float r = Math.fma(n, -LN2_LO, Math.fma(n, -LN2_HI, x));
    float p = Math.fma(E6, r, E5);
    p = Math.fma(p, r, E4);
    p = Math.fma(p, r, E3);
    p = Math.fma(p, r, E2);
    p = Math.fma(p, r, 1f);
    return Math.fma(p, r, 1f);
  }

  /** {@code 2^x}, or 0 below -126, for x up to 127; 1 ulp. NaN stays NaN. */
  static float exp2OrZero(float x) {
    float t = x + MAGIC_POWER;
    float y = exp2OfRemainder(x - (t - MAGIC_POWER)) * Float.intBitsToFloat(Float.floatToRawIntBits(t) << 23);
    return x < EXP2_INSIDE ? 0f : y;
  }

  private static float exp2OfRemainder(float r) {
    float p = Math.fma(P6, r, P5);
    p = Math.fma(p, r, P4);
    p = Math.fma(p, r, P3);
    p = Math.fma(p, r, P2);
    p = Math.fma(p, r, P1);
    return Math.fma(p, r, 1f);
  }

  /**
   * The normal distribution {@code Phi(x) = (1 + erf(x / sqrt 2)) / 2}, within 8e-8. Below zero, where that sum would leave but a few digits, it
   * keeps four at least down to -6, and is 0 beyond.
   */
  static float normal(float x) {
    float t = Math.abs(x);
    // In pairs, not one after another: the vectors of a loop wait less for each other.
    float z = t * t;
    float y = z * z;
    float d = Math.fma(Math.fma(H7, t, H6), z, Math.fma(H5, t, H4));
    float b = Math.fma(Math.fma(H3, t, H2), z, H1 * t);
    float q = Math.fma(y, Math.fma(y, Math.fma(H9, t, H8), d), b);
    float n = q + MAGIC_HALF_POWER;
    float half = Float.intBitsToFloat(Float.floatToRawIntBits(n) << 23);
    float tail = t > TAIL_END ? 0f : exp2OfRemainder(q - (n - MAGIC_HALF_POWER)) * half;
    return x < 0f ? tail : 1f - tail;
  }

  /** The natural logarithm; 1 ulp. */
  static float log(float x) {
    boolean tiny = x < Float.MIN_NORMAL;
    int bits = Float.floatToRawIntBits(tiny ? x * 0x1p25f : x);
    int k = (bits - SQRT_HALF_BITS) >> 23;
    float f = Float.intBitsToFloat(bits - (k << 23)) - 1f;
    float e = (float) k - (tiny ? 25f : 0f);
    float z = f * f;
    float p = Math.fma(L8, f, L7);
    p = Math.fma(p, f, L6);
    p = Math.fma(p, f, L5);
    p = Math.fma(p, f, L4);
    p = Math.fma(p, f, L3);
    p = Math.fma(p, f, L2);
    p = Math.fma(p, f, L1);
    p = Math.fma(p, f, L0);
    float tail = Math.fma(e, LN2_LO, (p * f) * z);
    tail = Math.fma(-0.5f, z, tail);
    float y = Math.fma(e, LN2_HI, f + tail);
    y = x < Float.POSITIVE_INFINITY ? y : x;
    y = x > 0f ? y : Float.NaN;
    return x == 0f ? Float.NEGATIVE_INFINITY : y;
  }

  /** {@code log(1 + x)} for x from 0 to 1; 2 ulp. */
  static float log1p(float x) {
    float sum = 1f + x;
    float lost = x - (sum - 1f);
    return log(sum) + lost / sum;
  }

  /** The hyperbolic tangent; 2 ulp. */
  static float tanh(float x) {
    float a = Math.abs(x);
    float z = x * x;
    float p = Math.fma(T4, z, T3);
    p = Math.fma(p, z, T2);
    p = Math.fma(p, z, T1);
    p = Math.fma(p, z, T0);
    float small = x * Math.fma(p, z, 1f);
    float e = expInside((a > TANH_ONE ? TANH_ONE : a) * 2f);
    float large = 1f - 2f / (e + 1f);
    return a < TANH_SMALL ? small : x < 0f ? -large : large;
  }

  /** The error function; 1 ulp. */
  static float erf(float x) {
    float a = Math.abs(x);
    float z = x * x;
    float p = Math.fma(F5, z, F4);
    p = Math.fma(p, z, F3);
    p = Math.fma(p, z, F2);
    p = Math.fma(p, z, F1);
    p = Math.fma(p, z, F0);
    float small = Math.fma(p, x, x);
    float t = a > ERF_ONE ? ERF_ONE : a;
    float q = Math.fma(G6, t, G5);
    q = Math.fma(q, t, G4);
    q = Math.fma(q, t, G3);
    q = Math.fma(q, t, G2);
    q = Math.fma(q, t, G1);
    q = Math.fma(q, t, G0);
    float large = 1f - expInside(q);
    return a < ERF_SMALL ? small : x < 0f ? -large : large;
  }

  /** {@code 1 / (1 + e^-x)}, subnormal results included; 2 ulp. */
  static float sigmoid(float x) {
    float e = exp(-Math.abs(x));
    return (x >= 0f ? 1f : e) / (1f + e);
  }

  /** {@code log(1 + e^x)}; 3 ulp. */
  static float softplus(float x) {
    return Math.max(x, 0f) + log1p(exp(-Math.abs(x)));
  }

  /** {@code sin x}; 2 ulp. Beyond {@link #TRIG_MAX} float64's sine, rounded. */
  static float sin(float x) {
    return Math.abs(x) <= TRIG_MAX ? quarterTurns(x, 0) : (float) StrictMath.sin(x);
  }

  /** {@code cos x}; 2 ulp. Beyond {@link #TRIG_MAX} float64's cosine, rounded. */
  static float cos(float x) {
    return Math.abs(x) <= TRIG_MAX ? quarterTurns(x, 1) : (float) StrictMath.cos(x);
  }

  /** {@code sin(x + shift pi/2)}. */
  private static float quarterTurns(float x, int shift) {
    float t = Math.fma(x, TWO_OVER_PI, MAGIC);
    float n = t - MAGIC;
    int quarter = Float.floatToRawIntBits(t) + shift;
    float r = Math.fma(n, -HALF_PI_1, x);
    r = Math.fma(n, -HALF_PI_2, r);
    r = Math.fma(n, -HALF_PI_3, r);
    float z = r * r;
    float s = Math.fma(S3, z, S2);
    s = Math.fma(s, z, S1);
    s = Math.fma(s, z, S0);
    s = r * Math.fma(s, z, 1f);
    float c = Math.fma(C3, z, C2);
    c = Math.fma(c, z, C1);
    c = Math.fma(c, z, C0);
    c = Math.fma(c, z * z, Math.fma(-0.5f, z, 1f));
    float y = (quarter & 1) == 0 ? s : c;
    return (quarter & 2) == 0 ? y : -y;
  }

  /** {@code x^y}: float64's power, rounded. */
  static float pow(float x, float y) {
    return (float) StrictMath.pow(x, y);
  }
}
