package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Matrix products: squares, and the linear layers of SDXL and Phi-3, {@code x [m,k], W [n,k]}. The weight also in 16 bits; the
 * products of the way back, {@code dx = dy W} and {@code dW = dy^T x}. And the half of a feed-forward that a bias and GEGLU follow: the
 * product adds the bias as it stores its tiles.
 */
final class Products {
  private static final String GROUP = "product";
  private static final long[] SQUARES = {512, 1024, 2048};
  private static final long[][] LINEAR = {{4096, 320, 2560}, {1024, 640, 5120}, {256, 1280, 10240}, {77, 2048, 640},
      {4096, 3072, 9216}};

  private Products() {}

  static List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    for (long n : SQUARES) {
      rows.add(row("a b " + n, in -> pair(in.held(n, n), in.held(n, n))));
      rows.add(row("a b^T " + n, in -> pair(in.held(n, n), in.held(n, n).t())));
      rows.add(row("a^T b " + n, in -> pair(in.held(n, n).t(), in.held(n, n))));
    }
    for (long[] size : LINEAR) {
      linear(rows, size[0], size[1], size[2]);
    }
    rows.add(new Row(GROUP, "linear + bias + geglu 8192x320x2560", in -> {
      Tensor x = in.held(8192, 320);
      Tensor w = in.held(2560, 320);
      Tensor b = in.draw(2560);
      return Job.arithmetic(() -> Scope.run(() -> x.linear(w, b).geglu()))
          .against("the same without bias", () -> Scope.run(() -> x.linear(w).geglu()));
    }));
    return rows;
  }

  private static void linear(List<Row> rows, long m, long k, long n) {
    String shape = m + "x" + k + "x" + n;
    for (DType type : List.of(DType.F32, DType.BF16, DType.F16)) {
      rows.add(new Row(GROUP, "linear " + shape + (type == DType.F32 ? "" : " " + type), in -> {
        Tensor x = in.held(m, k);
        Tensor w = in.draw(type, n, k);
        return Job.arithmetic(() -> x.linear(w));
      }));
    }
    for (DType type : List.of(DType.F32, DType.BF16)) {
      rows.add(row("dx = dy W " + shape + (type == DType.F32 ? "" : " " + type),
          in -> pair(in.held(m, n), in.draw(type, n, k))));
    }
    rows.add(row("dW = dy^T x " + shape, in -> pair(in.held(m, n).t(), in.held(m, k))));
  }

  private record Pair(Tensor left, Tensor right) {}

  private static Pair pair(Tensor left, Tensor right) {
    return new Pair(left, right);
  }

  private static Row row(String name, Function<Inputs, Pair> draw) {
    return new Row(GROUP, name, in -> {
      Pair pair = draw.apply(in);
      return Job.arithmetic(() -> pair.left().matmul(pair.right()));
    });
  }
}
