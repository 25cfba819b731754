package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Conv2d;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * DoRA: {@code W' = diag(c) (W + s B A), c = m / n}, n [out] the lengths of the rows of {@code W + s B A} and m [out] the lengths that are
 * trained (arXiv 2402.09353; PEFT's {@code use_dora}). A convolution's rows are those of [out, in kh kw]. For the gradient n is a constant
 * (section 4.3 there). In the kernel of {@link LowRankUpdate} this is
 *
 * <pre>{@code E = diag(c) B,   R = A,   d = c - 1}</pre>
 *
 * and the lengths need no {@code W + s B A}: with w_i, b_i the rows of W and B,
 *
 * <pre>{@code n_i^2 = |w_i|^2 + 2 s b_i (A w_i) + s^2 b_i (A A^T) b_i^T}</pre>
 *
 * where {@code A W^T} [r, out] and {@code A A^T} [r, r] are thin and |w_i|^2 is worked out once, some rows at a time. The sum is taken in
 * float64, for its terms may cancel: of a float32 product {@code A W^T} an error e becomes {@code e (|w_i| + s |b_i A|)^2 / n_i^2}.
 *
 * <p>Strength multiplies {@code W' - W} as it does for every method. An adapter in sequence keeps the c of the layer's own weight. With
 * dropout before A the rows too grow on the dropped input, as in PEFT: {@code y = y0 + (c - 1) x~ W^T + c s x~ A^T B^T}.
 */
public final class DoraAdapter extends LoraAdapter {
  /** The key of m in a PEFT file. */
  public static final String MAGNITUDE = "lora_magnitude_vector";

  /** Rows that are squared at a time. */
  private static final long BLOCK = 256;
  /** The square of the smallest float32: a row of zeros has a length too, so that nothing is divided by zero. */
  private static final double TINY = 0x1p-298;

  private final Tensor a;
  private final Tensor b;
  private final Tensor magnitude;
  private Tensor squares;
  private long squaresOf;

  /**
   * Takes ownership of the matrices.
   *
   * @param scale s
   * @param magnitude m [out]
   */
  public DoraAdapter(String path, AdaptedLayer layer, Tensor a, Tensor b, double scale, Tensor magnitude) {
    super(path, layer, a, b, scale);
    this.a = tensors().get(A);
    this.b = tensors().get(B);
    this.magnitude = own(MAGNITUDE, magnitude);
  }

  /** One that changes nothing, to the bit, where {@code b} is zero: {@code m = n}. */
  static DoraAdapter start(String path, AdaptedLayer layer, Tensor a, Tensor b, double scale) {
    Tensor squares = squares(layer.weight().value());
    return new DoraAdapter(path, layer, a, b, scale, lengths(squares, layer.weight().value(), a, b, scale));
  }

  /** m of {@code layer} in the shape that PEFT has: [1, out, 1, 1] for a convolution. */
  static Tensor peft(AdaptedLayer layer, Tensor magnitude) {
    return layer instanceof Conv2d ? magnitude.reshape(1, -1, 1, 1) : magnitude;
  }

  /** The same in the shape of {@code dora_scale} in a kohya file: that of the weight, each size but the first 1. */
  static Tensor kohya(AdaptedLayer layer, Tensor magnitude) {
    return layer instanceof Conv2d ? magnitude.reshape(-1, 1, 1, 1) : magnitude.reshape(-1, 1);
  }

  @Override
  public LowRankUpdate update() {
    Tensor c = magnitude.div(Scope.run(this::lengths));
    return LowRankUpdate.rescale(b.mul(c.reshape(-1, 1)), a, scale(), c.add(-1));
  }

  @Override
  boolean dropsProduct() {
    return true;
  }

  /** n, a constant. */
  private Tensor lengths() {
    Tensor weight = layer().weight().value();
    if (squares == null || squaresOf != weight.id()) {
      forgetSquares();
      squares = Scope.release(Scope.run(() -> squares(weight)));
      squaresOf = weight.id();
    }
    return lengths(squares, weight, a.detach(), b.detach(), scale());
  }

  private static Tensor lengths(Tensor squares, Tensor weight, Tensor a, Tensor b, double scale) {
    Tensor rows = LowRankUpdate.matrix(a);
    Tensor wideA = rows.cast(DType.F64);
    Tensor wideB = b.cast(DType.F64);
    Tensor crossed = rows.linear(LowRankUpdate.matrix(weight)).cast(DType.F64).t().mul(wideB).sum(1);
    Tensor added = wideB.matmul(wideA.linear(wideA)).mul(wideB).sum(1);
    return squares.add(crossed.mul(2 * scale)).add(added.mul(scale * scale)).relu().add(TINY).sqrt().cast(b.dtype());
  }

  /** {@code |w_i|^2} [out], F64. */
  private static Tensor squares(Tensor weight) {
    Tensor matrix = LowRankUpdate.matrix(weight);
    List<Tensor> blocks = new ArrayList<>();
    for (long start = 0; start < matrix.size(0); start += BLOCK) {
      Tensor block = matrix.slice(0, start, Math.min(start + BLOCK, matrix.size(0)));
      blocks.add(Scope.run(() -> block.cast(DType.F64).square().sum(1)));
    }
    return Tensor.concat(0, blocks);
  }

  private void forgetSquares() {
    if (squares != null) {
      squares.close();
      squares = null;
    }
  }

  @Override
  public void close() {
    forgetSquares();
    super.close();
  }
}
