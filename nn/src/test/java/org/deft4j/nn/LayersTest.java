package org.deft4j.nn;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Layers against their formulas written out, in float64. */
class LayersTest {
  private static final double EXACT = 1e-13;

  private final RandomWeights random = new RandomWeights(1);
  private Scope scope;

  @BeforeEach
  void open() {
    scope = Scope.open();
  }

  @AfterEach
  void close() {
    scope.close();
  }

  private static Tensor of(Module module, String name) {
    return module.parameters().get(name).value();
  }

  @Test
  void attentionIsSoftmaxOfScaledProductsPerHead() {
    MultiHeadAttention attention = random.fill(new MultiHeadAttention(6, 5, 2));
    Tensor x = random.tensor(2, 4, 6);
    Tensor context = random.tensor(2, 3, 5);
    Tensor q = x.matmul(of(attention, "to_q.weight").t());
    Tensor k = context.matmul(of(attention, "to_k.weight").t());
    Tensor v = context.matmul(of(attention, "to_v.weight").t());
    Tensor[] heads = new Tensor[2];
    for (int h = 0; h < 2; h++) {
      Tensor scores = q.chunk(2, 2).get(h).matmul(k.chunk(2, 2).get(h).t()).mul(1 / Math.sqrt(3));
      heads[h] = scores.softmax(2).matmul(v.chunk(2, 2).get(h));
    }
    Tensor y = Tensor.concat(2, heads).matmul(of(attention, "to_out.0.weight").t()).add(of(attention, "to_out.0.bias"));
    assertArrayEquals(y.toDoubles(), attention.forward(x, context).toDoubles(), EXACT);
  }

  @Test
  void gatedFeedForwardTakesTheFirstHalfAsValue() {
    GegluFeedForward ff = random.fill(new GegluFeedForward(3));
    Tensor x = random.tensor(2, 3);
    Tensor wide = x.matmul(of(ff, "net.0.proj.weight").t()).add(of(ff, "net.0.proj.bias"));
    Tensor gated = wide.slice(1, 0, 12).mul(wide.slice(1, 12, 24).gelu());
    Tensor y = gated.matmul(of(ff, "net.2.weight").t()).add(of(ff, "net.2.bias"));
    assertArrayEquals(y.toDoubles(), ff.forward(x).toDoubles(), EXACT);
  }

  @Test
  void adaptersSeeInputAndProductWithoutBias() {
    Linear linear = random.fill(new Linear(4, 3));
    Tensor x = random.tensor(2, 4);
    Tensor y0 = x.matmul(linear.weight().value().t());
    double[] plain = linear.forward(x).toDoubles();
    Adapter halve = (in, product) -> product.mul(-0.5);
    Adapter addMean = (in, product) -> in.meanKeep(1).expand(2, 3);
    linear.attach(halve);
    linear.attach(addMean);
    Tensor expected = y0.mul(0.5).add(x.meanKeep(1)).add(linear.bias().value());
    assertArrayEquals(expected.toDoubles(), linear.forward(x).toDoubles(), EXACT);
    linear.detach(halve);
    linear.detach(addMean);
    assertArrayEquals(plain, linear.forward(x).toDoubles());
    assertThrows(IllegalArgumentException.class, () -> linear.detach(halve));
  }

  /** Neither its input nor its correction shows, and those around it are as without it. */
  @Test
  void anAdapterThatDoesNotActIsAsIfNotAttached() {
    Linear linear = random.fill(new Linear(4, 3));
    Tensor x = random.tensor(2, 4);
    Adapter halve = (in, product) -> product.mul(-0.5);
    boolean[] acts = {true};
    Adapter switched = new Adapter() {
      @Override
      public Tensor delta(Tensor in, Tensor base) {
        return base.mul(3);
      }

      @Override
      public Tensor input(Tensor in) {
        return in.mul(2);
      }

      @Override
      public boolean acts() {
        return acts[0];
      }
    };
    double[] bare = linear.forward(x).toDoubles();
    linear.attach(halve);
    double[] without = linear.forward(x).toDoubles();
    linear.attach(switched);
    double[] with = linear.forward(x).toDoubles();
    acts[0] = false;
    assertArrayEquals(without, linear.forward(x).toDoubles());
    linear.detach(halve);
    assertArrayEquals(bare, linear.forward(x).toDoubles());
    linear.detach(switched);
    linear.attach(halve);
    linear.attach(switched);
    acts[0] = true;
    assertArrayEquals(with, linear.forward(x).toDoubles());
  }

  @Test
  void anAdapterThatAddsNothingChangesNoBit() {
    Linear linear = random.fill(new Linear(4, 3));
    Conv2d conv = random.fill(new Conv2d(2, 3, 3, 1, 1));
    Tensor x = random.tensor(2, 4);
    Tensor picture = random.tensor(1, 2, 4, 4);
    double[] y = linear.forward(x).toDoubles();
    double[] z = conv.forward(picture).toDoubles();
    linear.attach((in, product) -> product.zerosLike());
    conv.attach((in, product) -> product.zerosLike());
    assertArrayEquals(y, linear.forward(x).toDoubles());
    assertArrayEquals(z, conv.forward(picture).toDoubles());
  }

  @Test
  void downsamplePadsAllSidesOrOnlyBelowAndRight() {
    for (boolean symmetric : new boolean[] {true, false}) {
      Downsample2D down = random.fill(new Downsample2D(2, symmetric));
      Tensor x = random.tensor(1, 2, 6, 4);
      Tensor padded = symmetric ? x.pad(0, 1, 1, 1, 1) : x.pad(0, 0, 1, 0, 1);
      Tensor y = padded.conv2d(ConvSpec.of(2, 0), of(down, "conv.weight"), of(down, "conv.bias"));
      assertEquals(y.shape(), down.forward(x).shape());
      assertArrayEquals(y.toDoubles(), down.forward(x).toDoubles(), EXACT);
    }
  }

  @Test
  void upsampleGoesToTheSizeItIsGiven() {
    Upsample2D up = random.fill(new Upsample2D(2));
    assertEquals("[1, 2, 9, 7]", up.forward(random.tensor(1, 2, 5, 4), 9, 7).shape().toString());
  }

  @Test
  void embeddingConvertsOnlyTheRowsAskedFor() {
    Embedding embedding = new Embedding(4, 2);
    embedding.weight().set(Tensor.of(new float[] {0, 1, 2, 3, 4, 5, 6, 7.0009f}, 4, 2).cast(DType.F16));
    Tensor rows = embedding.forward(Tensor.of(new long[] {3, 1}, 1, 2));
    assertEquals(DType.F32, rows.dtype());
    assertArrayEquals(new float[] {6, 7, 2, 3}, rows.toFloats());
  }

  @Test
  void sinusoidsAreOfTheProductsInFloat32() {
    Tensor t = Tensor.of(new float[] {0, 1, 981});
    double[] y = TimestepEmbedding.sinusoidal(t, 5, true, 0).toDoubles();
    assertArrayEquals(new double[] {1, 1, 0, 0, 0}, java.util.Arrays.copyOf(y, 5));
    assertEquals(Math.cos(981), y[10], 1e-6);
    assertEquals(Math.cos(9.81), y[11], 1e-6);
    assertEquals(Math.sin(981), y[12], 1e-6);
    assertEquals(0, y[14]);
    double[] sineFirst = TimestepEmbedding.sinusoidal(t, 4, false, 1).toDoubles();
    assertEquals(Math.sin(1), sineFirst[4], 1e-6);
    assertEquals(Math.sin(1e-4), sineFirst[5], 1e-9);
    assertEquals(Math.cos(1), sineFirst[6], 1e-6);
  }

  @Test
  void sizesThatDoNotFitAreRefused() {
    assertTrue(assertThrows(IllegalArgumentException.class, () -> new MultiHeadAttention(6, 6, 4)).getMessage()
        .contains("6 is not a multiple of 4 heads"));
    assertThrows(IllegalArgumentException.class, () -> new GroupNorm(3, 4, 1e-5));
    assertThrows(IllegalArgumentException.class, () -> new Conv2d(3, 4, 3, new ConvSpec(1, 1, 1, 1, 1, 1, 1, 1, 2)));
    assertTrue(assertThrows(IllegalArgumentException.class, () -> Activation.of("mish")).getMessage().contains("'mish'"));
  }
}
