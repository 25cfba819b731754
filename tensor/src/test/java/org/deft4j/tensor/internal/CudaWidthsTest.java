package org.deft4j.tensor.internal;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.CudaTests;
import org.deft4j.tensor.internal.cuda.OnCard;
import org.deft4j.tensor.internal.cuda.SameBits;
import org.deft4j.tensor.internal.cuda.SameBits.Input;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Unary;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

/** What the card moves 16 bytes at once where it can is the same where it cannot. */
@ExtendWith(OnCard.class)
class CudaWidthsTest {
  private static final List<DType> TYPES = List.of(DType.F32, DType.F64, DType.BF16);

  private final Random random = new Random(5);

  private Tensor normal(long... sizes) {
    float[] values = new float[Math.toIntExact(Shape.of(sizes).elementCount())];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return Tensor.of(values, sizes);
  }

  private Tensor normal(DType type, long... sizes) {
    return normal(sizes).cast(type);
  }

  /** The same values in row-major order, an element beyond where the card's memory starts, which is at a multiple of 16 bytes. */
  private static Tensor apart(Tensor x) {
    Tensor flat = x.reshape(x.elementCount());
    return Tensor.concat(0, flat.slice(0, 0, 1), flat).to(Device.CUDA).slice(0, 1, x.elementCount() + 1).reshape(x.shape().toArray());
  }

  /** As a transformer's tokens are added to the picture they came from: copied in order first, and the same sums. */
  @Test
  void tokensAddedToAPicture() {
    for (DType type : TYPES) {
      Tensor picture = normal(2, 260, 130).cast(type);
      Tensor tokens = normal(2, 130, 260).cast(type);
      Tensor sum = picture.to(Device.CUDA).add(tokens.to(Device.CUDA).transpose(1, 2));
      assertArrayEquals(picture.add(tokens.transpose(1, 2)).toDoubles(), sum.to(Device.CPU).toDoubles());
    }
  }

  /** Each input in its turn lies where it cannot be moved at once, then all of them. */
  private static void check(Op op, Tensor... in) {
    for (DType type : TYPES) {
      Tensor[] here = CudaTests.converted(op, type, in);
      byte[][] expected = bits(op, here, x -> x.to(Device.CUDA), -1);
      for (int only = -1; only < in.length; only++) {
        byte[][] actual = bits(op, here, CudaWidthsTest::apart, only);
        for (int i = 0; i < expected.length; i++) {
          assertArrayEquals(expected[i], actual[i], op + " of " + type + ", output " + i + ", apart " + only);
        }
      }
    }
  }

  private static byte[][] bits(Op op, Tensor[] here, UnaryOperator<Tensor> moved, int only) {
    Tensor[] there = new Tensor[here.length];
    for (int i = 0; i < here.length; i++) {
      there[i] = only < 0 || only == i ? moved.apply(here[i]) : here[i].to(Device.CUDA);
    }
    return Arrays.stream(Dispatch.run(op, there)).map(y -> y.to(Device.CPU).contiguous().toDoubles()).map(CudaWidthsTest::bytes)
        .toArray(byte[][]::new);
  }

  private static byte[] bytes(double[] values) {
    ByteBuffer bytes = ByteBuffer.allocate(values.length * Double.BYTES);
    bytes.asDoubleBuffer().put(values);
    return bytes.array();
  }

  @Test
  void functions() {
    Fused.Gated first = new Fused.Gated(new Unary.Silu(), true);
    Fused.Gated second = new Fused.Gated(new Unary.Gelu(), false);
    Fused.Gated third = new Fused.Gated(new Unary.Sigmoid(), true);
    for (long width : new long[] {1, 8, 1028, 1030, 1032}) {
      check(new Unary.Gelu(), normal(3, width));
      check(new Unary.Exp(), normal(3, width));
      check(new Fused.ActivationGrad(new Unary.Tanh()), normal(3, width), normal(3, width));
      for (Fused.Gated op : List.of(first, second, third)) {
        check(op, normal(3, 2 * width));
        check(new Fused.GatedGrad(op), normal(3, width), normal(3, 2 * width));
      }
    }
  }

  @Test
  void norms() {
    Tensor statistics = normal(3).abs().add(0.5);
    for (long n : new long[] {8, 12, 640, 3072, 5000}) {
      Tensor x = normal(3, n).add(2);
      Tensor other = normal(3, n);
      Tensor w = normal(n);
      Tensor b = normal(n);
      check(new Norm.LayerNorm(1, 1e-5), x, w, b);
      check(new Norm.LayerNormOfSum(1e-5), x, other, w, b);
      check(new Norm.RmsNorm(1e-6), x, w);
      check(new Norm.LayerNormGrad(1, true), other, x, statistics, statistics, w);
      check(new Norm.RmsNormGrad(true), other, x, statistics, w);
    }
    for (long positions : new long[] {12, 4096, 4100}) {
      Tensor x = normal(2, 6, positions).add(2);
      Tensor dy = normal(2, 6, positions);
      Tensor w = normal(6);
      Tensor b = normal(6);
      Tensor mean = normal(2, 3);
      Tensor rstd = mean.abs().add(0.5);
      check(new Norm.GroupNorm(3, 1e-5), x, w, b);
      check(new Norm.GroupNormSilu(3, 1e-5), x, w, b);
      check(new Norm.GroupNormGrad(3), dy, x, mean, rstd, w);
      check(new Norm.GroupNormSiluGrad(3), dy, x, mean, rstd, w, b);
    }
  }

  /** Steps and starts that are multiples of 16 bytes, and such that are not; what broadcasts along rows, and across them. */
  @Test
  void stridesOfTwo() {
    for (DType type : TYPES) {
      for (Binary op : List.of(new Binary.Add(), new Binary.Maximum(), new Binary.Div())) {
        Input whole = Input.of(normal(type, 6, 5, 24));
        SameBits.check(op, whole, whole);
        for (long start : new long[] {0, 1, 4, 8}) {
          Input columns = new Input(normal(type, 6, 5, 40), x -> x.slice(2, start, start + 24));
          SameBits.check(op, whole, columns);
          SameBits.check(op, columns, columns);
          SameBits.check(op, new Input(normal(type, 5, 6, 40), x -> x.slice(2, start, start + 24).transpose(0, 1)), columns);
          SameBits.check(op, columns, new Input(normal(type, 24 + start), x -> x.slice(0, start, start + 24)));
        }
        SameBits.check(op, whole, Input.of(normal(type, 6, 5, 1)));
        SameBits.check(op, whole, Input.of(normal(type, 5, 1)));
        SameBits.check(op, Input.of(normal(type, 1)), whole);
        SameBits.check(op, whole, new Input(normal(type, 6, 24, 5), x -> x.transpose(1, 2)));
        SameBits.check(op, whole, new Input(normal(type, 6, 5, 48), x -> x.slice(2, 0, 48, 2)));
        SameBits.check(op, new Input(normal(type, 6, 5, 37), x -> x.slice(2, 0, 22)), Input.of(normal(type, 22)));
      }
    }
  }

  @Test
  void slicesThatAreAddedInto() {
    InPlace.AddScaledInto op = new InPlace.AddScaledInto(0.75);
    for (DType type : TYPES) {
      for (long start : new long[] {0, 2, 3, 8}) {
        Input slice = new Input(normal(type, 2, 7, 48), x -> x.slice(2, start, start + 16));
        SameBits.check(op, slice, Input.of(normal(type, 2, 7, 16)));
        SameBits.check(op, slice, new Input(normal(type, 7, 2, 16), x -> x.transpose(0, 1)));
        SameBits.check(op, Input.of(normal(type, 2, 7, 16)), slice);
        SameBits.check(op, slice, new Input(normal(type, 2, 16, 7), x -> x.transpose(1, 2)));
        SameBits.check(op, slice, new Input(normal(type, 2, 7, 1), x -> x.expand(2, 7, 16)));
      }
    }
  }

  /** Heads of a row side by side, their halves at multiples of 16 bytes or not. */
  @Test
  void headsThatAreTurned() {
    for (DType type : TYPES) {
      for (long size : new long[] {16, 12, 96}) {
        for (long start : new long[] {0, 1, 4, 8}) {
          Input heads = new Input(normal(type, 2, 7, 3, size + 8), x -> x.slice(3, start, start + size).transpose(1, 2));
          DType wide = type.wide();
          Fused.Rotary op = new Fused.Rotary(start == 1);
          SameBits.check(op, heads, Input.of(normal(wide, 7, size / 2)), Input.of(normal(wide, 7, size / 2)));
          SameBits.check(op, heads, new Input(normal(wide, 7, size), x -> x.slice(1, 0, size / 2)), Input.of(normal(wide, 7, size / 2)));
          SameBits.check(op, heads, new Input(normal(wide, 7, 1), x -> x.expand(7, size / 2)),
              new Input(normal(wide, size / 2), x -> x.expand(7, size / 2)));
        }
      }
    }
  }
}
