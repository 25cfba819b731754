package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.Slab;
import org.deft4j.tensor.op.Norm;

/**
 * {@link Norm}: {@code norms.cu} and {@code group_norms.cu}. What a kernel leaves for the next, as statistics and gradients of weights,
 * is of the type that arithmetic on x runs in.
 */
final class CudaNorms {
  private static final String ROWS = "norms";
  private static final String GROUPS = "group_norms";
  /** Elements that a thread keeps in registers: {@code HELD} of {@code tiles.cuh}. */
  private static final long HELD = 16;
  /** Elements of a group, or of a channel, that are one team's work: no more than its registers hold. */
  private static final long PART = HELD * Launcher.THREADS;
  /** Rows of a part, for each thread of a team, where a weight's gradient is summed. */
  private static final long PART_OF_LANE = 32;
  /** Numbers that a team adds up of its group, for each {@link #PART} that it computes results of. */
  private static final long NUMBERS = 64;
  /** What is known of a part of a group: {@code group_moments}. */
  private static final int MOMENTS = 3;

  private final Launcher launcher;
  private final CudaReductions reductions;

  CudaNorms(Launcher launcher, CudaReductions reductions) {
    this.launcher = launcher;
    this.reductions = reductions;
  }

  void run(Norm op, Tensor[] in, Tensor[] out) {
    switch (op) {
      case Norm.GroupNorm(var groups, var eps) -> groupNorm(Groups.of(in[0].shape(), groups), eps, false, in, out);
      case Norm.GroupNormSilu(var groups, var eps) -> groupNorm(Groups.of(in[0].shape(), groups), eps, true, in, out);
      case Norm.GroupNormGrad(var groups) -> groupNormGrad(Groups.of(in[1].shape(), groups), in, out);
      case Norm.GroupNormSiluGrad(var groups) -> groupNormGrad(Groups.of(in[1].shape(), groups), in, out);
      case Norm.LayerNorm(var dims, var eps) ->
          layerNorm(rows(in[0], dims), eps, in[0], null, at(in, 1), at(in, 2), out[0], null, out[1], out[2]);
      case Norm.LayerNormOfSum(var eps) ->
          layerNorm(rows(in[0], 1), eps, in[0], in[1], in[2], in[3], out[0], out[1], out[2], out[3]);
      case Norm.LayerNormGrad(var dims, var ofWeights) -> {
        rowNormGrad(rows(in[1], dims), in[0], in[1], in[2], in[3], at(in, 4), out[0]);
        if (ofWeights) {
          rowNormWeights(rows(in[1], dims), in[0], in[1], in[2], in[3], out[1], out[2]);
        }
      }
      case Norm.RmsNorm(var eps) -> rmsNorm(rows(in[0], 1), eps, in[0], at(in, 1), out[0], out[1]);
      case Norm.RmsNormGrad(var ofWeight) -> {
        rowNormGrad(rows(in[1], 1), in[0], in[1], null, in[2], at(in, 3), out[0]);
        if (ofWeight) {
          rowNormWeights(rows(in[1], 1), in[0], in[1], null, in[2], out[1], null);
        }
      }
    }
  }

  /** An input that may be left out: then null, no address. */
  private static Tensor at(Tensor[] in, int index) {
    return index < in.length ? in[index] : null;
  }

  /** The last {@code dims} dimensions as rows. */
  private static Slab rows(Tensor x, int dims) {
    return Slab.of(x.shape(), x.rank() - dims, x.rank() - 1);
  }

  private void launch(long blocks, String source, String kernel, DType dtype, Object... arguments) {
    launcher.rows(blocks, Launcher.THREADS, source, Launcher.variant(kernel, dtype), arguments);
  }

  // -------------------------------------------------------------------------------------------- layer and RMS norm

  private void layerNorm(Slab rows, double eps, Tensor x, Tensor r, Tensor w, Tensor b, Tensor y, Tensor s, Tensor mean, Tensor rstd) {
    Teams teams = Teams.along(rows.n(), HELD);
    launch(teams.blocks(rows.outer()), ROWS, "layer_norm", x.dtype(), x, r, w, b, y, s, mean, rstd, rows.outer(), rows.n(),
        Arguments.real(x.dtype(), eps), teams.lanes());
  }

  private void rmsNorm(Slab rows, double eps, Tensor x, Tensor w, Tensor y, Tensor rrms) {
    Teams teams = Teams.along(rows.n(), HELD);
    launch(teams.blocks(rows.outer()), ROWS, "rms_norm", x.dtype(), x, w, y, rrms, rows.outer(), rows.n(), Arguments.real(x.dtype(), eps),
        teams.lanes());
  }

  /** Of layer norm; of RMS norm, which has no mean, where that is null. */
  private void rowNormGrad(Slab rows, Tensor dy, Tensor x, Tensor mean, Tensor rstd, Tensor w, Tensor dx) {
    Teams teams = Teams.along(rows.n(), HELD);
    launch(teams.blocks(rows.outer()), ROWS, "row_norm_grad", x.dtype(), dy, x, mean, rstd, w, dx, rows.outer(), rows.n(), teams.lanes());
  }

  /** The sums over rows in two steps, over parts of them first; without db of RMS norm. */
  private void rowNormWeights(Slab rows, Tensor dy, Tensor x, Tensor mean, Tensor rstd, Tensor dw, Tensor db) {
    Teams teams = Teams.of(rows.outer(), rows.n());
    long part = PART_OF_LANE * teams.lanes();
    long parts = (rows.outer() + part - 1) / part;
    Slab partial = new Slab(1, parts, rows.n());
    Shape shape = Shape.of(parts, rows.n());
    try (Tensor dws = Tensor.empty(x.device(), x.dtype().wide(), shape);
        Tensor dbs = db == null ? null : Tensor.empty(x.device(), x.dtype().wide(), shape)) {
      launch(teams.blocks(parts * rows.n()), ROWS, "row_norm_weights", x.dtype(), dy, x, mean, rstd, dws, dbs, rows.outer(), rows.n(), part,
          parts, teams.lanes());
      reductions.sum(partial, dws, dw);
      if (db != null) {
        reductions.sum(partial, dbs, db);
      }
    }
  }

  // ---------------------------------------------------------------------------------------------------- group norm

  /** x [batch, groups, perGroup, positions]; a row is a group's elements: {@code struct Channels} of the source. */
  private record Groups(long batch, long groups, long perGroup, long positions) implements Struct {
    static Groups of(Shape shape, int groups) {
      return new Groups(shape.size(0), groups, shape.size(1) / groups, shape.sub(2, shape.rank()).elementCount());
    }

    long rows() {
      return batch * groups;
    }

    long count() {
      return perGroup * positions;
    }

    @Override
    public int bytes() {
      return 4 * Long.BYTES;
    }

    @Override
    public void put(ByteBuffer bytes) {
      bytes.putLong(rows()).putLong(groups).putLong(perGroup).putLong(positions);
    }
  }

  private static long parts(long elements, long part) {
    return Math.max(1, (elements + part - 1) / part);
  }

  /** Elements of a group that a team computes results of: the more, the more numbers it has to add up of the group first. */
  private static long piece(long numbers) {
    return PART * Math.max(1, numbers / NUMBERS);
  }

  /** Moments of the parts of groups, from which the team of each piece of a group finds the group's before it computes results. */
  private void groupNorm(Groups shape, double eps, boolean silu, Tensor[] in, Tensor[] out) {
    Tensor x = in[0];
    Teams teams = Teams.along(Math.min(shape.count(), PART), HELD);
    long parts = parts(shape.count(), PART);
    long piece = piece(parts);
    long pieces = parts(shape.count(), piece);
    try (Tensor moments = Tensor.empty(x.device(), x.dtype().wide(), Shape.of(MOMENTS, shape.rows(), parts))) {
      launch(teams.blocks(shape.rows() * parts), GROUPS, "group_moments", x.dtype(), x, moments, shape.rows(), shape.count(), PART, parts,
          teams.lanes());
      launch(teams.blocks(shape.rows() * pieces), GROUPS, "group_norm", x.dtype(), x, in[1], in[2], moments, out[0], out[1], out[2], shape,
          PART, parts, piece, pieces, Arguments.real(x.dtype(), eps), silu, teams.lanes());
    }
  }

  /** Sums over the parts of channels, from which dx, dw and db follow; with b that of group norm with SiLU. */
  private void groupNormGrad(Groups shape, Tensor[] in, Tensor[] out) {
    Tensor dy = in[0];
    Tensor x = in[1];
    Tensor b = at(in, 5);
    long channels = shape.groups() * shape.perGroup();
    Teams ofChannels = Teams.along(Math.min(shape.positions(), PART), HELD);
    Teams ofGroups = Teams.along(Math.min(shape.count(), PART), HELD);
    long sumParts = parts(shape.positions(), PART);
    long piece = piece(sumParts * shape.perGroup());
    long pieces = parts(shape.count(), piece);
    try (Tensor sums = Tensor.empty(x.device(), x.dtype().wide(), Shape.of(2, shape.batch(), channels, sumParts))) {
      launch(ofChannels.blocks(shape.batch() * channels * sumParts), GROUPS, "group_norm_sums", x.dtype(), dy, x, in[2], in[3], in[4], b,
          sums, shape, PART, sumParts, ofChannels.lanes());
      launch(ofGroups.blocks(shape.rows() * pieces), GROUPS, "group_norm_grad", x.dtype(), dy, x, in[2], in[3], in[4], b, sums, out[0],
          shape, sumParts, piece, pieces, ofGroups.lanes());
      launcher.each(channels, GROUPS, Launcher.variant("group_norm_weights", sums.dtype()), sums, out[1], out[2], shape.batch(), channels,
          sumParts);
    }
  }
}
