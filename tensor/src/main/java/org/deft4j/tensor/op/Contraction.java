package org.deft4j.tensor.op;

import org.deft4j.tensor.Shape;
import org.deft4j.tensor.ShapeException;

/**
 * Sums of products. Each element of a product is one chain of fused multiply-adds, {@code acc = fma(a_k, b_k, acc)} with
 * k ascending from {@code acc = 0}, the bias added last: however the work is tiled, the bits are the same. A weight may
 * be F32, F16 or BF16 where the other side is F32 or BF16; it is converted as it is packed.
 */
public sealed interface Contraction extends Op {
  /**
   * {@code a [..., M, K], b [..., K, N] -> [..., M, N]}; leading dimensions broadcast; any strides. Where {@code wide}, the sums of a BF16 a
   * are not rounded: the result is F32, as the gradient of a weight is that is itself F32.
   */
  record MatMul(boolean wide) implements Contraction {
    /** With a result of a's type. */
    public MatMul() {
      this(false);
    }
  }

  /** {@code x [..., in], w [out, in], (b [out]) -> x w^T + b [..., out]}. */
  record Linear() implements Contraction {}

  /**
   * {@code x [..., N], s [N, R], l [N, R], (u [..., R]) -> x + t l^T [..., N]} and {@code t = scale u - x s [..., R]}: a part of x
   * removed and another put in its place, {@code x (I - s l^T) + scale u l^T}. The chain of {@code x s} runs over N, that of
   * {@code t l^T} over R; x is added last. Its gradient by x is the same operation with s and l exchanged.
   */
  record RankUpdate(double scale) implements Contraction {}

  /** How a convolution walks: stride, zero padding on the four sides, dilation, groups. */
  record ConvSpec(int strideH, int strideW, int top, int bottom, int left, int right, int dilationH, int dilationW,
      int groups) {
    /** Refuses what walks nowhere. */
    public ConvSpec {
      if (Math.min(Math.min(strideH, strideW), Math.min(Math.min(dilationH, dilationW), groups)) < 1
          || Math.min(Math.min(top, bottom), Math.min(left, right)) < 0) {
        throw new ShapeException("convolution: stride [" + strideH + ", " + strideW + "], dilation [" + dilationH + ", "
            + dilationW + "] and groups " + groups + " must be at least 1, padding [" + top + ", " + bottom + ", " + left
            + ", " + right + "] not negative");
      }
    }

    /** The same stride, and padding on all four sides. */
    public static ConvSpec of(int stride, int padding) {
      return new ConvSpec(stride, stride, padding, padding, padding, padding, 1, 1, 1);
    }

    /** Rows of the result for {@code height} input rows and a kernel of {@code kernelH}. */
    public long outHeight(long height, long kernelH) {
      return Math.floorDiv(height + top + bottom - dilationH * (kernelH - 1) - 1, strideH) + 1;
    }

    /** Columns of the result. */
    public long outWidth(long width, long kernelW) {
      return Math.floorDiv(width + left + right - dilationW * (kernelW - 1) - 1, strideW) + 1;
    }
  }

  /**
   * {@code x [N,C,H,W], w [O,C/groups,KH,KW], (b [O]) -> [N,O,OH,OW]}, the cross-correlation that deep learning calls
   * convolution. The chain of products runs over (c, kh, kw) ascending; positions in the padding contribute a zero.
   */
  record Conv2d(ConvSpec spec) implements Contraction {}

  /**
   * {@code dy [N,O,OH,OW], w -> dx} of {@code input} shape; the chain runs over (o, kh, kw) ascending. Taps that
   * fall between the positions of a strided dy do not exist; those beyond its border contribute a zero.
   */
  record Conv2dInputGrad(ConvSpec spec, Shape input) implements Contraction {}

  /** {@code dy, x -> dw} of {@code weight} shape; the chain runs over (n, oh, ow) ascending. */
  record Conv2dWeightGrad(ConvSpec spec, Shape weight) implements Contraction {}

  /**
   * Scaled dot-product attention: {@code q [B,H,T,D], k [B,H,S,D], v [B,H,S,D], (mask)} to
   * {@code o = softmax(scale * q k^T + mask) v [B,H,T,D]} and the log-sum-exp {@code [B,H,T]} of each row of scores. The
   * mask broadcasts to [B,H,T,S]: BOOL (true = may look) or added. {@code causal}: position t sees s <= t. The scores are
   * never stored as a whole.
   */
  record Attention(double scale, boolean causal) implements Contraction {}

  /** {@code do, q, k, v, o, lse, (mask) -> dq, dk, dv}. */
  record AttentionGrad(double scale, boolean causal) implements Contraction {}
}
