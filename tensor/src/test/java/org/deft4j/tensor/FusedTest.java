package org.deft4j.tensor;

import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Fused operations have the bits of the operations they are fused of. */
@ExtendWith(LeakCheck.class)
class FusedTest {
  private final RandomSource random = new TorchRandom(5);
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor draw(DType dtype, long... sizes) {
    return random.normal(DType.F32, sizes).cast(dtype);
  }

  /** {@code x cos + rotateHalf(x) sin}, cos and sin each twice, as the reference implementations of Llama and Phi-3 write it. */
  private static Tensor rotated(Tensor x, Tensor cos, Tensor sin) {
    long half = x.size(-1) / 2;
    Tensor turned = Tensor.concat(-1, x.slice(-1, half, 2 * half).neg(), x.slice(-1, 0, half));
    return x.mul(Tensor.concat(-1, cos, cos)).add(turned.mul(Tensor.concat(-1, sin, sin)));
  }

  private static void same(Tensor wanted, Tensor found) {
    assertEquals(wanted.shape(), found.shape());
    assertTrue(found.isContiguous());
    assertArrayEquals(wanted.toDoubles(), found.toDoubles());
  }

  @Test
  void rotaryIsTheCompositeOfTheReference() {
    for (DType dtype : new DType[] {DType.F32, DType.F64}) {
      for (long half : new long[] {3, 16, 48}) {
        Tensor angle = draw(dtype, 2, 1, 37, half);
        Tensor cos = angle.cos().mul(1.19);
        Tensor sin = angle.sin().mul(1.19);
        Tensor heads = draw(dtype, 2, 37, 3, 4, 2 * half).select(2, 1).transpose(1, 2);
        same(rotated(heads, cos, sin), heads.rotary(cos, sin));
        Tensor x = draw(dtype, 37, 2 * half);
        same(rotated(x, cos.select(0, 0).squeeze(0), sin.select(0, 0).squeeze(0)),
            x.rotary(cos.select(0, 0).squeeze(0), sin.select(0, 0).squeeze(0)));
      }
    }
  }

  @Test
  void aQuarterTurnMovesTheHalves() {
    Tensor zero = Tensor.of(new float[] {0, 0});
    Tensor one = Tensor.of(new float[] {1, 1});
    Tensor x = Tensor.of(new float[] {1, 2, 3, 4});
    assertArrayEquals(new float[] {-3, -4, 1, 2}, x.rotary(zero, one).toFloats());
    assertArrayEquals(new float[] {3, 4, -1, -2}, Dispatch.run(new Fused.Rotary(true), x, zero, one)[0].toFloats());
  }

  @Test
  void gatesAreTheirComposites() {
    for (DType dtype : new DType[] {DType.F32, DType.F64}) {
      for (long width : new long[] {3, 67, 2500}) {
        Tensor x = draw(dtype, 30, 2 * width);
        Tensor first = x.slice(-1, 0, width);
        Tensor second = x.slice(-1, width, 2 * width);
        same(first.mul(second.gelu()), x.geglu());
        same(first.silu().mul(second), x.swiglu());
      }
    }
  }

  @Test
  void withoutMemoryTheyHaveShapes() {
    Tensor x = Tensor.empty(Device.META, DType.F32, Shape.of(2, 3, 5, 8));
    Tensor angle = Tensor.empty(Device.META, DType.F32, Shape.of(5, 4));
    assertEquals(x.shape(), x.rotary(angle, angle).shape());
    assertEquals(Shape.of(2, 3, 5, 4), x.swiglu().shape());
  }
}
