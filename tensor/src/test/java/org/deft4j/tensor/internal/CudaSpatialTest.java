package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.Random;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.cuda.OnCard;
import org.deft4j.tensor.internal.cuda.SameBits;
import org.deft4j.tensor.internal.cuda.SameBits.Input;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.Spatial.Window;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The card resamples pictures as the CPU does, and adds in the same order where it goes back: bit by bit. Rotations likewise. */
@ExtendWith(OnCard.class)
class CudaSpatialTest {
  private static final DType[] TYPES = {DType.F32, DType.F64, DType.BF16};
  private static final long[][] PICTURES = {{2, 3, 8, 8}, {1, 2, 5, 7}, {1, 1, 1, 1}, {2, 1, 1, 9}, {0, 3, 4, 4}};
  private static final long[][] SIZES = {{16, 16}, {8, 8}, {5, 7}, {10, 21}, {3, 4}, {1, 1}, {13, 2}, {33, 50}};
  private static final Window[] WINDOWS = {new Window(1, 1, 0), new Window(2, 2, 0), new Window(2, 1, 1), new Window(3, 2, 1),
      new Window(3, 1, 1), new Window(2, 3, 0), new Window(5, 2, 2)};

  private final Random random = new Random(9);

  private Tensor normal(DType dtype, long... sizes) {
    double[] values = new double[(int) Arrays.stream(sizes).reduce(1, (a, b) -> a * b)];
    Arrays.setAll(values, i -> random.nextGaussian());
    return Tensor.of(values, sizes).cast(dtype);
  }

  @Test
  void resamplesUpAndDownAndBack() {
    for (DType type : TYPES) {
      for (long[] p : PICTURES) {
        for (long[] size : SIZES) {
          Tensor x = normal(type, p);
          Tensor dy = normal(type, p[0], p[1], size[0], size[1]);
          SameBits.check(new Spatial.UpsampleNearest(size[0], size[1]), x);
          SameBits.check(new Spatial.UpsampleNearestGrad(p[2], p[3]), dy);
          SameBits.check(new Spatial.UpsampleBilinear(size[0], size[1]), x);
          SameBits.check(new Spatial.UpsampleBilinearGrad(p[2], p[3]), dy);
        }
      }
    }
  }

  /** Sizes whose quotient is not a float: each source is the CPU's, and each gradient finds its way back. */
  @Test
  void ratiosThatRound() {
    for (long in = 1; in < 40; in += 3) {
      for (long out = 1; out < 140; out += 11) {
        SameBits.check(new Spatial.UpsampleNearest(1, out), normal(DType.F32, 1, 1, 1, in));
        SameBits.check(new Spatial.UpsampleNearestGrad(1, in), normal(DType.F32, 1, 1, 1, out));
        SameBits.check(new Spatial.UpsampleBilinearGrad(in, 1), normal(DType.F32, 1, 1, out, 1));
      }
    }
  }

  @Test
  void poolsAndGoesBack() {
    for (DType type : TYPES) {
      for (Window window : WINDOWS) {
        for (long[] p : new long[][] {{2, 3, 8, 8}, {1, 2, 5, 7}, {1, 1, 11, 6}}) {
          Tensor x = normal(type, p);
          Tensor dy = normal(type, p[0], p[1], window.out(p[2]), window.out(p[3]));
          for (boolean count : new boolean[] {false, true}) {
            SameBits.check(new Spatial.AvgPool2d(window, count), x);
            SameBits.check(new Spatial.AvgPool2dGrad(window, count, p[2], p[3]), dy);
          }
          SameBits.check(new Spatial.MaxPool2d(window), x);
          SameBits.check(new Spatial.MaxPool2dGrad(p[2], p[3]), dy, Dispatch.run(new Spatial.MaxPool2d(window), x)[1]);
        }
      }
    }
  }

  @Test
  void theLargestOfTiesInfinitiesAndNaNs() {
    double[] few = {0, -0.0, 1, Double.NEGATIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.NaN};
    for (DType type : TYPES) {
      double[] values = new double[2 * 9 * 10];
      Arrays.setAll(values, i -> few[random.nextInt(few.length)]);
      Tensor x = Tensor.of(values, 1, 2, 9, 10).cast(type);
      for (Window window : WINDOWS) {
        SameBits.check(new Spatial.MaxPool2d(window), x);
        SameBits.check(new Spatial.AvgPool2d(window, false), x);
      }
      SameBits.check(new Spatial.MaxPool2d(new Window(2, 1, 1)), normal(type, 1, 2, 0, 3));
    }
  }

  @Test
  void anIndexOutsideThePictureIsFoundAtTheNextRead() {
    Tensor dy = normal(DType.F32, 1, 1, 1, 2).to(Device.CUDA);
    Tensor index = Tensor.of(new long[] {3, 20}, 1, 1, 1, 2).to(Device.CUDA);
    Tensor dx = Dispatch.run(new Spatial.MaxPool2dGrad(4, 5), dy, index)[0];
    NumericException e = assertThrows(NumericException.class, dx::toDoubles);
    assertTrue(e.getMessage().contains("index 20 where indices run from 0 to 19"), e.getMessage());
  }

  @Test
  void rotatesWhateverTheStrides() {
    for (DType type : TYPES) {
      DType wide = type.wide();
      for (boolean inverse : new boolean[] {false, true}) {
        Fused.Rotary op = new Fused.Rotary(inverse);
        SameBits.check(op, normal(type, 2, 3, 7, 10), normal(wide, 7, 5), normal(wide, 7, 5));
        SameBits.check(op, new Input(normal(type, 2, 7, 3, 10), x -> x.transpose(1, 2)), new Input(normal(wide, 5, 7), Tensor::t),
            Input.of(normal(wide, 7, 5)));
        SameBits.check(op, new Input(normal(type, 10, 7, 3), x -> x.permute(2, 1, 0)), Input.of(normal(wide, 5)),
            new Input(normal(wide, 10), x -> x.slice(0, 0, 10, 2)));
        SameBits.check(op, new Input(normal(type, 7, 40), x -> x.slice(1, 3, 37, 2).slice(1, 0, 16)), Input.of(normal(wide, 7, 8)),
            Input.of(normal(wide, 1, 7, 8).reshape(7, 8)));
        SameBits.check(op, normal(type, 4, 2), normal(wide, 4, 1), normal(wide, 4, 1));
        SameBits.check(op, normal(type, 0, 2), normal(wide, 1), normal(wide, 1));
      }
    }
  }
}
