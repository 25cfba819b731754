package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Spatial;

/** Additions, reductions, changes of layout and type, and the optimizer's update, at the sizes of the models. */
final class SumsAndMoves {
  private static final Shape PICTURE = Shape.of(2, 320, 64, 64);
  private static final Shape SMALL_PICTURE = Shape.of(2, 1280, 16, 16);
  private static final Shape TOKENS = Shape.of(2, 4096, 320);
  private static final Shape SMALL_TOKENS = Shape.of(2, 256, 1280);

  private SumsAndMoves() {}

  static List<Row> rows() {
    List<Row> rows = new ArrayList<>(sums().rows());
    rows.addAll(layouts().rows());
    rows.addAll(updates().rows());
    return rows;
  }

  private static MemoryRows sums() {
    MemoryRows rows = new MemoryRows("sum");
    for (Shape shape : List.of(PICTURE, SMALL_PICTURE, Shape.of(8 << 20))) {
      rows.op("a + b", shape, new Binary.Add(), in -> new Tensor[] {in.held(shape.toArray()), in.held(shape.toArray())});
    }
    rows.op("x + a channel's number", PICTURE, new Binary.Add(),
        in -> new Tensor[] {in.held(PICTURE.toArray()), in.held(2, 320, 1, 1)});
    rows.op("x + bias", TOKENS, new Binary.Add(), in -> new Tensor[] {in.held(TOKENS.toArray()), in.held(320)});
    sum(rows, "over rows", TOKENS, 0, 1);
    sum(rows, "over rows", SMALL_TOKENS, 0, 1);
    sum(rows, "over pixels and batch", PICTURE, 0, 2, 3);
    return rows;
  }

  private static void sum(MemoryRows rows, String name, Shape shape, int... dims) {
    rows.row(name, shape, in -> {
      Tensor x = in.held(shape.toArray());
      return Job.memory(0, () -> x.sum(dims), x);
    });
  }

  private static MemoryRows layouts() {
    MemoryRows rows = new MemoryRows("layout");
    for (Shape shape : List.of(PICTURE, SMALL_PICTURE, Shape.of(1, 512, 64, 64))) {
      rows.map("picture to tokens", shape, x -> x.flatten(2, 3).transpose(1, 2).contiguous());
    }
    for (Shape shape : List.of(TOKENS, SMALL_TOKENS)) {
      rows.map("tokens to picture", shape, x -> x.transpose(1, 2).contiguous());
    }
    for (Shape shape : List.of(Shape.of(2, 4096, 8, 40), Shape.of(2, 256, 20, 64))) {
      rows.map("split heads", shape, x -> x.transpose(1, 2).contiguous());
    }
    rows.map("join heads", Shape.of(2, 8, 4096, 40), x -> x.transpose(1, 2).contiguous());
    rows.map("transpose", Shape.of(1280, 1280), x -> x.t().contiguous());
    rows.op("concat channels", PICTURE, new Layout.Concat(1),
        in -> new Tensor[] {in.held(PICTURE.toArray()), in.held(PICTURE.toArray())});
    rows.map("roll columns", PICTURE, x -> x.roll(3, 1));
    Shape coarse = Shape.of(2, 640, 32, 32);
    rows.op("upsample nearest", coarse, new Spatial.UpsampleNearest(64, 64), in -> new Tensor[] {in.held(coarse.toArray())});
    rows.op("upsample nearest grad", PICTURE, new Spatial.UpsampleNearestGrad(32, 32),
        in -> new Tensor[] {in.held(PICTURE.toArray())});
    Shape heads = Shape.of(1, 32, 4200, 96);
    rows.op("rotary", heads, new Fused.Rotary(false), in -> {
      // Queries as they lie in a projection to queries, keys and values.
      Tensor queries = in.held(1, 4200, 3, 32, 96).select(2, 0).transpose(1, 2);
      return new Tensor[] {queries, in.draw(1, 1, 4200, 48), in.draw(1, 1, 4200, 48)};
    });
    rows.op("rotary grad", heads, new Fused.Rotary(true),
        in -> new Tensor[] {in.held(heads.toArray()), in.draw(1, 1, 4200, 48), in.draw(1, 1, 4200, 48)});
    for (DType type : List.of(DType.BF16, DType.F16)) {
      rows.op("cast to " + type, TOKENS, new Layout.Cast(type), in -> new Tensor[] {in.draw(TOKENS.toArray())});
      rows.op("cast from " + type, TOKENS, new Layout.Cast(DType.F32), in -> new Tensor[] {in.draw(type, TOKENS.toArray())});
    }
    return rows;
  }

  private static MemoryRows updates() {
    MemoryRows rows = new MemoryRows("update");
    InPlace adam = new InPlace.AdamUpdate(1e-3, 0.9, 0.999, 1e-8, 0.01, true, 3);
    for (long n : new long[] {1 << 18, 1 << 22}) {
      rows.op("adam", Shape.of(n), adam, in -> new Tensor[] {in.draw(n), in.draw(n), in.draw(n), in.draw(n).square()});
    }
    rows.op("add scaled into", Shape.of(1 << 22), new InPlace.AddScaledInto(1e-6),
        in -> new Tensor[] {in.held(1 << 22), in.held(1 << 22)});
    return rows;
  }
}
