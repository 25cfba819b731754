package org.deft4j.deft.testing;

import org.deft4j.deft.Decomposition;
import org.deft4j.deft.DeftAdapter;
import org.deft4j.deft.LoraParaAdapter;
import org.deft4j.deft.ParaAdapter;
import org.deft4j.deft.Projection;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Conv2d;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.ConvSpec;

/**
 * A layer, its input, and the matrices of an adapter, all determined by a seed; each as a tensor, and as what plain Java makes of
 * it. The weight is the matrix [out, row], row = in kh kw, a convolution's input has {@link #SIDE} x {@link #SIDE} positions.
 *
 * @param kind linear, or which convolution
 * @param in input features or channels
 * @param out output features or channels
 * @param rank r, at most out
 * @param batch rows or pictures
 * @param bias whether the layer has one
 * @param gated whether the adapter has a gate, where it can
 * @param masked whether an element of P is held at 0
 * @param type of all of them
 * @param scale s
 * @param strength how strongly the adapter acts
 * @param conditioning of P
 */
public record LayerSample(Kind kind, int in, int out, int rank, int batch, boolean bias, boolean gated, boolean masked, DType type,
    double scale,
    double strength, Conditioning conditioning, long seed) {
  /** Height and width of a convolution's input. */
  public static final int SIDE = 4;
  /** The path of the layer in {@link #model}. */
  public static final String PATH = "block.layer";
  private static final double GATE = 0.7;

  /** What is adapted. */
  public enum Kind {
    /** A linear layer. */
    LINEAR(1, 1, 0),
    /** A convolution of 1 x 1. */
    POINTWISE(1, 1, 0),
    /** A convolution of 3 x 3. */
    SPATIAL(3, 1, 1),
    /** A convolution of 3 x 3 at every second position. */
    STRIDED(3, 2, 1);

    private final int kernel;
    private final int stride;
    private final int padding;

    Kind(int kernel, int stride, int padding) {
      this.kernel = kernel;
      this.stride = stride;
      this.padding = padding;
    }

    private int side() {
      return (SIDE + 2 * padding - kernel) / stride + 1;
    }
  }

  /** A model that is this one layer. */
  public static final class OneLayer extends Module {
    private final AdaptedLayer layer;

    OneLayer(AdaptedLayer layer) {
      this.layer = child(PATH, layer);
    }

    /** The layer. */
    public AdaptedLayer layer() {
      return layer;
    }
  }

  /** With another P. */
  public LayerSample with(Conditioning other) {
    return new LayerSample(kind, in, out, rank, batch, bias, gated, masked, type, scale, strength, other, seed);
  }

  /** 1e-12 in float64 and 1e-5 in float32: what the identities hold to where nothing amplifies an error. */
  public double tolerance() {
    return type == DType.F64 ? 1e-12 : 1e-5;
  }

  /** The same where an error of P is amplified; P is worked on in float64 whatever its type. */
  public double tolerance(double amplification) {
    return Math.max(tolerance(), 1e-12 * amplification);
  }

  // ------------------------------------------------------------------------------------------------ in plain Java

  private int row() {
    return in * kind.kernel * kind.kernel;
  }

  private Dense draw(int stream, int height, int width) {
    return Dense.normal(seed + stream, height, width).rounded(type);
  }

  /** W [out, row]. */
  public Dense weight() {
    return draw(0, out, row());
  }

  /** P [out, columns(r)] before the mask. */
  public Dense p(Decomposition decomposition) {
    Dense p = conditioning.draw(seed + 1, out, rank);
    for (int columns = rank; columns < decomposition.columns(rank); columns += rank) {
      p = p.beside(conditioning.draw(seed + 1 + columns, out, rank));
    }
    return p.rounded(type);
  }

  /** Ones, and a 0 where an element is held. */
  public Dense mask(Dense p) {
    Dense mask = p.map(x -> 1);
    if (masked && out > 1) {
      mask.rows()[(int) Math.floorMod(seed, (long) out)][0] = 0;
    }
    return mask;
  }

  /** P with the mask; what is held is 0 of P's sign, which LAPACK's QR takes for that of a pivot. */
  public Dense masked(Dense p) {
    return p.zip(mask(p), (value, kept) -> value * kept);
  }

  /** R or A [r, row]. */
  public Dense r() {
    return draw(-1, rank, row());
  }

  /** B [out, r]. */
  public Dense b() {
    return draw(-2, out, rank);
  }

  /** What R is multiplied by: s, and the sigmoid of the gate's number where there is one. */
  public double injectionScale() {
    return gated ? scale / (1 + Math.exp(-GATE)) : scale;
  }

  private Dense biasRow() {
    return bias ? draw(-3, 1, out) : Dense.zeros(1, out);
  }

  private Dense x() {
    return draw(-4, batch, kind == Kind.LINEAR ? in : in * SIDE * SIDE);
  }

  /** What the layer answers with {@code other} [out, row] for a weight, as [batch, out positions]. */
  public Dense forward(Dense other) {
    if (kind == Kind.LINEAR) {
      return x().times(other.t()).plus(x().columns(0, 1).map(x -> 1).times(biasRow()));
    }
    int side = kind.side();
    Dense y = Dense.zeros(batch, out * side * side);
    for (int position = 0; position < side * side; position++) {
      Dense values = patches(position / side, position % side).times(other.t());
      for (int n = 0; n < batch; n++) {
        for (int o = 0; o < out; o++) {
          y.rows()[n][o * side * side + position] = values.rows()[n][o] + biasRow().rows()[0][o];
        }
      }
    }
    return y;
  }

  /** What the kernel sees at a position, a picture a row: [batch, in kh kw], zeros outside of the picture. */
  private Dense patches(int top, int left) {
    Dense x = x();
    Dense patches = Dense.zeros(batch, row());
    for (int n = 0; n < batch; n++) {
      for (int column = 0; column < row(); column++) {
        int area = kind.kernel * kind.kernel;
        int y = top * kind.stride - kind.padding + column % area / kind.kernel;
        int z = left * kind.stride - kind.padding + column % kind.kernel;
        if (y >= 0 && y < SIDE && z >= 0 && z < SIDE) {
          patches.rows()[n][column] = x.rows()[n][(column / area * SIDE + y) * SIDE + z];
        }
      }
    }
    return patches;
  }

  // ---------------------------------------------------------------------------------------------------- as tensors

  /** {@code values} in the sample's type. */
  public Tensor tensor(Dense values) {
    return values.tensor(type);
  }

  /** The layer's input. */
  public Tensor input() {
    return kind == Kind.LINEAR ? tensor(x()) : tensor(x()).reshape(batch, in, SIDE, SIDE);
  }

  /**
   * The layer, with its weight in {@code weightType} and its bias in float32 or, beside float64, in that; the innermost scope
   * closes it.
   */
  public AdaptedLayer layer(DType weightType) {
    AdaptedLayer layer = kind == Kind.LINEAR ? new Linear(in, out, bias)
        : new Conv2d(in, out, kind.kernel, ConvSpec.of(kind.stride, kind.padding), bias);
    layer.weight().set(Scope.release(tensor(weight()).reshape(layer.weight().shape().toArray()).cast(weightType)));
    if (bias) {
      layer.bias().set(Scope.release(tensor(biasRow()).reshape(out).cast(weightType == DType.F64 ? DType.F64 : DType.F32)));
    }
    layer.parameters().values().forEach(parameter -> Scope.adopt(parameter.value()));
    return layer;
  }

  /** The layer. */
  public AdaptedLayer layer() {
    return layer(type);
  }

  /** A model of it alone, at {@link #PATH}. */
  public OneLayer model(DType weightType) {
    return new OneLayer(layer(weightType));
  }

  private Tensor thin(AdaptedLayer layer, Dense values) {
    long[] sizes = layer.weight().shape().toArray();
    sizes[0] = rank;
    return tensor(values).reshape(sizes);
  }

  private Projection projection(Decomposition decomposition, Dense p) {
    return masked ? new Projection(tensor(p), tensor(mask(p)), decomposition) : new Projection(tensor(p), decomposition);
  }

  /** DEFT with P = {@code p}. */
  public DeftAdapter deft(AdaptedLayer layer, Decomposition decomposition, Dense p) {
    Tensor gate = gated ? tensor(Dense.zeros(1, 1).map(x -> GATE)).reshape(1) : null;
    return new DeftAdapter(PATH, layer, projection(decomposition, p), thin(layer, r()), gate, scale);
  }

  /** PaRa with P = {@code p}. */
  public ParaAdapter para(AdaptedLayer layer, Decomposition decomposition, Dense p) {
    return new ParaAdapter(PATH, layer, projection(decomposition, p));
  }

  /** LoRA and PaRa with P = {@code p}. */
  public LoraParaAdapter loraPara(AdaptedLayer layer, Decomposition decomposition, Dense p) {
    return new LoraParaAdapter(PATH, layer, projection(decomposition, p), thin(layer, r()), tensor(b()), null, scale);
  }
}
