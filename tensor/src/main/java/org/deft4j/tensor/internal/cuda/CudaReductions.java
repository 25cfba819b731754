package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.Slab;
import org.deft4j.tensor.op.Reduction;

/** {@link Reduction}, and softmax's gradient: {@code reductions.cu}. */
final class CudaReductions {
  private static final String SOURCE = "reductions";
  /** Longer sums are sums of sums over so many elements along rows; across rows over so many for each thread of a team. */
  private static final long PART = 8192;
  private static final long PART_OF_LANE = 32;
  private static final int WARPS = Launcher.THREADS / 32;

  /** {@code enum SoftmaxKind} of the source. */
  private static final int SOFTMAX = 0;
  private static final int LOG_SOFTMAX = 1;
  private static final int LOG_SUM_EXP = 2;

  private final Launcher launcher;

  CudaReductions(Launcher launcher) {
    this.launcher = launcher;
  }

  void run(Reduction op, Tensor x, Tensor y) {
    switch (op) {
      case Reduction.Sum(var dims, var _) -> Slab.reduce(x, dims, y, this::sum);
      case Reduction.Max(var dims, var _) -> Slab.reduce(x, dims, y, (slab, from, to) -> reduce("max", slab.requireElements(op), from, to));
      case Reduction.Min(var dims, var _) -> Slab.reduce(x, dims, y, (slab, from, to) -> reduce("min", slab.requireElements(op), from, to));
      case Reduction.Prod(var dim, var _) -> chain("prod", Slab.of(x.shape(), dim), x, y);
      case Reduction.ArgMax(var dim, var _) -> choose(1, Slab.of(x.shape(), dim).requireElements(op), x, y);
      case Reduction.ArgMin(var dim, var _) -> choose(-1, Slab.of(x.shape(), dim).requireElements(op), x, y);
      case Reduction.CumSum(var dim) -> chain("cum_sum", Slab.of(x.shape(), dim), x, y);
      case Reduction.Softmax(var dim) -> softmax(SOFTMAX, Slab.of(x.shape(), dim), x, y);
      case Reduction.LogSoftmax(var dim) -> softmax(LOG_SOFTMAX, Slab.of(x.shape(), dim), x, y);
      case Reduction.LogSumExp(var dim, var _) -> softmax(LOG_SUM_EXP, Slab.of(x.shape(), dim), x, y);
    }
  }

  /** {@code dx = y (dy - sum_dim(dy y))}. */
  void softmaxGradient(int dim, Tensor dy, Tensor y, Tensor dx) {
    Slab slab = Slab.of(y.shape(), dim);
    Teams teams = Teams.of(slab.n(), slab.inner());
    launch(teams.blocks(slab.results()), "softmax_grad", y.dtype(), dy, y, dx, slab.results(), slab.n(), slab.inner(), teams.lanes(),
        teams.across());
  }

  /** {@code to} [outer, inner]: the sums of {@code from} along n. */
  void sum(Slab slab, Tensor from, Tensor to) {
    reduce("sum", slab, from, to);
  }

  /** In one step, or where a team would have too much to do in two or more: parts of n, and then what they gave. */
  private void reduce(String kernel, Slab slab, Tensor from, Tensor to) {
    Teams teams = Teams.of(slab.n(), slab.inner());
    long part = teams.across() ? PART_OF_LANE * teams.lanes() : PART;
    long parts = Math.max(1, (slab.n() + part - 1) / part);
    if (parts == 1) {
      reduce(kernel, slab, part, parts, teams, from, to);
      return;
    }
    try (Tensor partial = Tensor.empty(from.device(), from.dtype().wide(), Shape.of(slab.outer(), parts, slab.inner()))) {
      reduce(kernel, slab, part, parts, teams, from, partial);
      reduce(kernel, new Slab(slab.outer(), parts, slab.inner()), partial, to);
    }
  }

  private void reduce(String kernel, Slab slab, long part, long parts, Teams teams, Tensor from, Tensor to) {
    long results = slab.results() * parts;
    String name = Launcher.variant(kernel, from.dtype());
    String variant = to.dtype() == from.dtype() ? name : Launcher.variant(name, to.dtype());
    launcher.rows(teams.blocks(results), Launcher.THREADS, SOURCE, variant, from, to, results, slab.n(), part, parts, slab.inner(),
        teams.lanes(), teams.across());
  }

  private void choose(double sign, Slab slab, Tensor x, Tensor y) {
    Teams teams = Teams.of(slab.n(), slab.inner());
    launch(teams.blocks(slab.results()), "choose", x.dtype(), Arguments.real(x.dtype(), sign), x, y, slab.results(), slab.n(), slab.inner(),
        teams.lanes(), teams.across());
  }

  /** One element after the other: along rows by a warp for each, across rows by a thread. */
  private void chain(String kernel, Slab slab, Tensor x, Tensor y) {
    if (slab.inner() == 1) {
      launch((slab.results() + WARPS - 1) / WARPS, kernel + "_along", x.dtype(), x, y, slab.results(), slab.n());
    } else {
      launcher.each(slab.results(), SOURCE, Launcher.variant(kernel + "_across", x.dtype()), x, y, slab.results(), slab.n(), slab.inner());
    }
  }

  private void softmax(int kind, Slab slab, Tensor x, Tensor y) {
    Teams teams = Teams.of(slab.n(), slab.inner());
    launch(teams.blocks(slab.results()), "softmax", x.dtype(), kind, x, y, slab.results(), slab.n(), slab.inner(), teams.lanes(),
        teams.across());
  }

  private void launch(long blocks, String kernel, DType dtype, Object... arguments) {
    launcher.rows(blocks, Launcher.THREADS, SOURCE, Launcher.variant(kernel, dtype), arguments);
  }
}
