package org.deft4j.autograd;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.deft4j.autograd.testing.OpCase;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.Decompose;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.testing.LeakCheck;
import org.deft4j.weights.JsonObject;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;

/** Values and gradients of every golden operation against PyTorch's; those of {@link OpCase#OF_NN} are tested there. */
@ExtendWith(LeakCheck.class)
class OpsFixtureTest {
  private static final Map<String, Function<OpCase, Tensor[]>> OPERATIONS = new LinkedHashMap<>();

  private static void many(String op, Function<OpCase, Tensor[]> function) {
    OPERATIONS.put(op, function);
  }

  private static void one(String op, Function<OpCase, Tensor> function) {
    many(op, c -> new Tensor[] {function.apply(c)});
  }

  private static void unary(String op, UnaryOperator<Tensor> function) {
    one(op, c -> function.apply(c.inputs()[0]));
  }

  static {
    unary("silu", Tensor::silu);
    unary("gelu_erf", Tensor::gelu);
    unary("gelu_tanh", Tensor::geluTanh);
    unary("quick_gelu", Tensor::quickGelu);
    unary("sigmoid", Tensor::sigmoid);
    unary("tanh", Tensor::tanh);
    unary("relu", Tensor::relu);
    unary("leaky_relu", x -> x.leakyRelu(0.2));
    unary("softplus", Tensor::softplus);
    unary("exp", Tensor::exp);
    unary("sin", Tensor::sin);
    unary("cos", Tensor::cos);
    unary("abs", Tensor::abs);
    unary("neg", Tensor::neg);
    unary("square", Tensor::square);
    unary("erf", Tensor::erf);
    unary("clamp", x -> x.clamp(-1, 1.5));
    unary("log", Tensor::log);
    unary("sqrt", Tensor::sqrt);
    unary("rsqrt", Tensor::rsqrt);
    unary("reciprocal", Tensor::reciprocal);
    unary("scalar", a -> a.mul(-3.0).add(2.5).mul(1 / 0.7));
    unary("permute+reshape", x -> x.permute(0, 2, 3, 1).flatten(1, 2));

    one("add", c -> c.in("a").add(c.in("b")));
    one("sub", c -> c.in("a").sub(c.in("b")));
    one("mul", c -> c.in("a").mul(c.in("b")));
    one("div", c -> c.in("a").div(c.in("b")));
    one("maximum", c -> c.in("a").maximum(c.in("b")));
    one("minimum", c -> c.in("a").minimum(c.in("b")));
    one("pow", c -> c.has("b") ? c.in("a").pow(c.in("b")) : c.in("a").pow(number(c, "exponent")));
    one("where", c -> c.in("c").where(c.in("a"), c.in("b")));
    one("lerp", c -> c.in("a").add(c.in("b").sub(c.in("a")).mul(number(c, "weight"))));

    one("conv2d", c -> conv(c.in("x"), c, conv(c.attributes())));
    one("pad+conv2d", c -> conv(c.in("x"), c, padded(c.attributes())));
    one("nearest2x+conv2d", c -> conv(nearest(c.in("x"), 2), c, ConvSpec.of(1, 1)));
    one("linear", c -> linear(c));
    one("geglu", c -> linear(c).geglu());
    one("matmul", OpsFixtureTest::matmul);
    one("addmm", c -> c.in("a").matmul(c.in("b")).add(c.in("c")));
    one("scaled_dot_product_attention", OpsFixtureTest::attention);

    one("group_norm", c -> c.in("x").groupNorm(c.attributes().requireInteger("groups"), number(c, "eps"), c.in("weight"),
        c.in("bias")));
    one("layer_norm", c -> {
      int dims = c.attributes().has("normalized_shape") ? c.attributes().requireInts("normalized_shape").size() : 1;
      return c.has("weight") ? c.in("x").layerNorm(dims, number(c, "eps"), c.in("weight"), c.in("bias"))
          : c.in("x").layerNorm(dims, number(c, "eps"));
    });
    one("rms_norm", c -> c.in("x").rmsNorm(number(c, "eps"), c.in("weight")));
    one("softmax", c -> c.in("x").softmax(dim(c)));
    one("log_softmax", c -> c.in("x").logSoftmax(dim(c)));
    one("logsumexp", c -> c.in("x").logSumExp(dim(c)));

    one("sum", c -> keeps(c) ? c.in("x").sumKeep(dims(c)) : c.in("x").sum(dims(c)));
    one("mean", c -> keeps(c) ? c.in("x").meanKeep(dims(c)) : c.in("x").mean(dims(c)));
    one("var", OpsFixtureTest::variance);
    one("std", c -> variance(c).sqrt());
    one("amax", c -> c.in("x").max(keeps(c), dims(c)));
    one("amin", c -> c.in("x").min(keeps(c), dims(c)));
    one("norm2", c -> c.in("x").norm(dims(c)));
    one("cumsum", c -> c.in("x").cumsum(dim(c)));
    one("prod", c -> c.in("x").prod(dim(c)));
    one("argmax", c -> c.in("x").argmax(dimInName(c)));
    one("argmin", c -> c.in("x").argmin(dimInName(c)));
    many("topk", c -> c.in("x").topk(-1, c.attributes().requireInteger("k")));
    many("sort", c -> c.in("x").sort(-1, false));

    one("embedding", c -> c.in("weight").embedding(c.in("ids")));
    one("gather", c -> c.in("x").gather(dim(c), c.in("idx")));
    one("index_select", c -> c.in("x").indexSelect(dim(c), c.in("idx")));
    one("scatter_add", c -> c.in("x").scatterAdd(dim(c), c.in("idx"), c.in("src")));
    one("advanced_index", OpsFixtureTest::rowOfEach);

    one("upsample_nearest", c -> c.attributes().has("scale") ? nearest(c.in("x"), c.attributes().requireInteger("scale"))
        : c.in("x").upsampleNearest(size(c, 0), size(c, 1)));
    one("upsample_bilinear", c -> c.in("x").upsampleBilinear(size(c, 0), size(c, 1)));
    one("avg_pool2d", c -> Dispatch.run(new Spatial.AvgPool2d(window(c), c.attributes().bool("count_include_pad", true)),
        c.in("x"))[0]);
    one("max_pool2d", c -> Dispatch.run(new Spatial.MaxPool2d(window(c)), c.in("x"))[0]);

    one("pad", c -> c.in("x").pad(number(c, "value"),
        c.attributes().requireInts("last_dim_first").stream().mapToLong(n -> n).toArray()));
    one("concat", c -> Tensor.concat(dim(c), c.inputs()));
    one("stack", c -> Tensor.stack(dim(c), c.inputs()));
    one("slice", OpsFixtureTest::slice);
    many("chunk", c -> c.in("x").chunk(dim(c), c.attributes().requireInteger("chunks")).toArray(Tensor[]::new));
    many("split", c -> c.in("x").split(dim(c), c.attributes().requireInts("sizes").stream().mapToLong(n -> n).toArray())
        .toArray(Tensor[]::new));
    many("repeat", OpsFixtureTest::repeats);
    one("flip", c -> c.in("x").flip(dims(c)));
    many("triu", c -> new Tensor[] {c.in("x").triu(1), c.in("x").tril(0), c.in("x").triu(-1)});
    one("roll", OpsFixtureTest::roll);

    many("qr", c -> {
      // Of float32 there are two more outputs, for the gradient.
      return Arrays.copyOf(Dispatch.run(new Decompose.Qr(), c.in("x")), c.outputCount());
    });
    one("qr_projector", c -> projector(Dispatch.run(new Decompose.Qr(), c.in("x"))[0]));
    one("svd", c -> Dispatch.run(new Decompose.Svd(), c.in("x"))[1]);
    one("svd_projector", c -> projector(Dispatch.run(new Decompose.Svd(), c.in("x"))[0]
        .slice(-1, 0, c.attributes().requireInteger("k"))));
    one("inverse", c -> Dispatch.run(new Decompose.Inverse(), c.in("x"))[0]);
    one("cholesky", c -> Dispatch.run(new Decompose.Cholesky(), c.in("x"))[0]);
  }

  // -------------------------------------------------------------------------------------------------- attributes

  private static double number(OpCase c, String key) {
    return c.attributes().requireNumber(key);
  }

  private static int dim(OpCase c) {
    return c.attributes().requireInteger("dim");
  }

  private static int[] dims(OpCase c) {
    return c.attributes().list("dims").stream().mapToInt(dim -> ((Number) dim).intValue()).toArray();
  }

  private static boolean keeps(OpCase c) {
    return c.attributes().bool("keepdim", false);
  }

  /** The dimension that a name ends with: {@code reduce_argmax_1}, {@code reduce_argmin_last}. */
  private static int dimInName(OpCase c) {
    String last = c.name().substring(c.name().lastIndexOf('_') + 1);
    return last.equals("last") ? -1 : Integer.parseInt(last);
  }

  private static long size(OpCase c, int i) {
    return c.attributes().requireInts("size").get(i);
  }

  private static Spatial.Window window(OpCase c) {
    JsonObject a = c.attributes();
    return new Spatial.Window(a.requireInteger("kernel"), a.requireInteger("stride"), a.integer("padding", 0));
  }

  // --------------------------------------------------------------------------------------------------- functions

  private static ConvSpec conv(JsonObject a) {
    int stride = a.requireInteger("stride");
    int dilation = a.integer("dilation", 1);
    List<Integer> padding = a.requireInts("padding");
    int vertical = padding.get(0);
    int horizontal = padding.get(1);
    return new ConvSpec(stride, stride, vertical, vertical, horizontal, horizontal, dilation, dilation,
        a.integer("groups", 1));
  }

  private static ConvSpec padded(JsonObject a) {
    int stride = a.requireInteger("stride");
    List<Integer> sides = a.requireInts("pad_left_right_top_bottom");
    return new ConvSpec(stride, stride, sides.get(2), sides.get(3), sides.get(0), sides.get(1), 1, 1, 1);
  }

  private static Tensor conv(Tensor x, OpCase c, ConvSpec spec) {
    return c.has("bias") ? x.conv2d(spec, c.in("weight"), c.in("bias")) : x.conv2d(spec, c.in("weight"));
  }

  private static Tensor linear(OpCase c) {
    return c.has("bias") ? c.in("x").linear(c.in("weight"), c.in("bias")) : c.in("x").linear(c.in("weight"));
  }

  private static Tensor nearest(Tensor x, int scale) {
    return x.upsampleNearest(scale * x.size(2), scale * x.size(3));
  }

  /** Vectors are matrices of one row or column, as in torch. */
  private static Tensor matmul(OpCase c) {
    boolean transposed = c.name().endsWith("_transposed");
    Tensor a = transposed ? c.in("a").t() : c.in("a");
    Tensor b = transposed ? c.in("b").t() : c.in("b");
    Tensor y = (a.rank() == 1 ? a.unsqueeze(0) : a).matmul(b.rank() == 1 ? b.unsqueeze(1) : b);
    y = b.rank() == 1 ? y.squeeze(-1) : y;
    return a.rank() == 1 ? y.squeeze(b.rank() == 1 ? -1 : -2) : y;
  }

  private static Tensor attention(OpCase c) {
    Tensor q = c.in("q");
    double scale = c.attributes().get("scale") instanceof Number given ? given.doubleValue() : 1 / Math.sqrt((double) q.size(-1));
    return c.has("mask") ? q.attention(c.in("k"), c.in("v"), c.in("mask"), scale)
        : q.attention(c.in("k"), c.in("v"), scale, c.attributes().bool("is_causal", false));
  }

  private static Tensor variance(OpCase c) {
    Tensor x = c.in("x");
    Tensor y = x.var(c.attributes().requireInteger("correction"), dims(c));
    if (!keeps(c)) {
      return y;
    }
    long[] kept = x.shape().toArray();
    x.shape().axes(dims(c)).forEach(dim -> kept[dim] = 1);
    return y.reshape(kept);
  }

  /** {@code x[i, idx[i]]} for each i. */
  private static Tensor rowOfEach(OpCase c) {
    Tensor x = c.in("x");
    Tensor index = c.in("idx").reshape(-1, 1, 1).expand(x.size(0), 1, x.size(2));
    return x.gather(1, index).squeeze(1);
  }

  private static Tensor slice(OpCase c) {
    Tensor y = c.in("x");
    List<?> ranges = c.attributes().requireList("ranges");
    for (int dim = 0; dim < ranges.size(); dim++) {
      long[] range = ((List<?>) ranges.get(dim)).stream().mapToLong(n -> ((Number) n).longValue()).toArray();
      y = y.slice(dim, range[0], range[1], range[2]);
    }
    return y;
  }

  /** To the sizes of the golden outputs: stretched, tiled, and each row several times. */
  private static Tensor[] repeats(OpCase c) {
    Tensor x = c.in("x");
    Tensor[] rows = new Tensor[Math.toIntExact(c.out("repeat").size(0) / x.size(0))];
    Tensor[] columns = new Tensor[Math.toIntExact(c.out("repeat").size(1) / x.size(1))];
    Arrays.fill(columns, x);
    Arrays.fill(rows, Tensor.concat(1, columns));
    return new Tensor[] {x.expand(c.out("expand").shape().toArray()), Tensor.concat(0, rows),
        x.repeatInterleave(0, c.out("repeat_interleave").size(0) / x.size(0))};
  }

  private static Tensor roll(OpCase c) {
    List<Integer> shifts = c.attributes().requireInts("shifts");
    Tensor y = c.in("x");
    for (int i = 0; i < shifts.size(); i++) {
      y = y.roll(dims(c)[i], shifts.get(i));
    }
    return y;
  }

  private static Tensor projector(Tensor q) {
    return q.matmul(q.t());
  }

  // -------------------------------------------------------------------------------------------------------- test

  static List<OpCase> cases() {
    return OpCase.all().stream().filter(c -> !OpCase.OF_NN.contains(c.op())).toList();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void matchesPyTorch(OpCase c) {
    Function<OpCase, Tensor[]> function = OPERATIONS.get(c.op());
    assertNotNull(function, () -> "no function for operation " + c.op() + " of case " + c.name());
    c.check(function);
  }

  @Test
  void thereAreCases() {
    assertFalse(cases().isEmpty());
  }
}
