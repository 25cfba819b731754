package org.deft4j.tensor.internal;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;

/**
 * {@code A = Q R}, A [M, N], in float64 with the signs of LAPACK: that of {@link Householder}, or where A is long, of chunks of its rows, one
 * thread to each (Demmel, Grigori, Hoemmen and Langou, "Communication-optimal parallel and sequential QR and LU factorizations", 2012):
 *
 * <pre>
 *   A_i = Q_i R_i        [R_1; R_2; ...] = [B_1; B_2; ...] R        Q = [Q_1 B_1; Q_2 B_2; ...]
 * </pre>
 *
 * B and R in the same way. So each chunk stays in the cache of its thread while it is reduced.
 *
 * <p>Reflections of the whole of A would have come to {@code Q D} and {@code D R}, D a diagonal of signs, and reflect the columns of {@code Q D} to those of
 * the identity. So {@code H_(j-1) ... H_1 q_j} has the pivot that decides about {@code d_j}, and it is that of an LU decomposition of the first rows of
 * {@code Q - D} (Ballard, Demmel, Grigori, Jacquelin, Knight and Nguyen, "Reconstructing Householder vectors from tall-skinny QR", 2015).
 */
final class ThinQr implements AutoCloseable {
  /** Numbers of a chunk: half of a second-level cache. */
  private static final long CHUNK = 1 << 16;
  /** A chunk has so many rows for each column at least, so that the R_i are few beside A. */
  private static final int LONG = 4;
  /** A pivot below this is nothing but rounding, and counts as zero. */
  private static final double ROUNDING = 0x1p-44;

  private final PanelLoops loops;
  private final int rows;
  private final int columns;
  /** K = min(M, N). */
  private final int thin;
  private final List<Householder> chunks = new ArrayList<>();
  /** What each thread puts a chunk of Q together with. */
  private final List<Room> rooms = new ArrayList<>();
  /** Decomposes the R_i, which are the rows of {@link #stack}, to the B_i, the rows of {@link #turns}, and R; null where there is one chunk. */
  private final ThinQr top;
  private final Tensor stack;
  private final Tensor turns;

  private record Room(PanelRows b, PanelRows q) {}

  private ThinQr(int rows, int columns, int threads, PanelLoops loops) {
    this.loops = loops;
    this.rows = rows;
    this.columns = columns;
    this.thin = Math.min(rows, columns);
    int count = chunks(rows, columns);
    for (int i = 0; i < count; i++) {
      chunks.add(new Householder(from(i + 1, count) - from(i, count), columns, loops));
    }
    for (int i = 0; i < Math.min(threads, count); i++) {
      rooms.add(new Room(new PanelRows(thin, thin), new PanelRows(Math.ceilDiv(rows, count), thin)));
    }
    this.top = count == 1 ? null : new ThinQr(count * columns, columns, threads, loops);
    this.stack = count == 1 ? null : Tensor.empty(Device.CPU, DType.F64, Shape.of((long) count * columns, columns));
    this.turns = count == 1 ? null : Tensor.empty(Device.CPU, DType.F64, stack.shape());
  }

  /** An even number, for there mostly are as many threads, or one; or fewer, where chunks would be too short for their columns. */
  private static int chunks(long rows, long columns) {
    if (rows * columns <= CHUNK || rows < 2 * LONG * columns) {
      return 1;
    }
    return (int) Math.min(Math.ceilDiv(rows * columns, 2 * CHUNK) * 2, rows / (LONG * columns));
  }

  @Override
  public void close() {
    chunks.forEach(Householder::close);
    for (Room room : rooms) {
      room.b.close();
      room.q.close();
    }
    if (top != null) {
      top.close();
    }
  }

  /**
   * Decomposes each matrix of a contiguous batch, F32 or F64.
   *
   * @param out Q and R in the type of x, and where that is F32 both in F64 too
   * @throws org.deft4j.tensor.NumericException if x holds a number that is not finite
   */
  static void run(Tensor x, Tensor[] out, PanelLoops loops) {
    int rows = Math.toIntExact(x.size(-2));
    int columns = Math.toIntExact(x.size(-1));
    if (x.elementCount() == 0) {
      return;
    }
    long count = x.elementCount() / ((long) rows * columns);
    List<ThinQr> each = new ArrayList<>();
    try (Scope _ = Scope.open()) {
      for (int i = 0; i < Math.min(count, Threads.count()); i++) {
        each.add(new ThinQr(rows, columns, count == 1 ? Threads.count() : 1, loops));
      }
      Parallel.forEach(count, each, (qr, i) -> qr.run(x, i, out));
    } finally {
      each.forEach(ThinQr::close);
    }
  }

  private void run(Tensor x, long index, Tensor[] out) {
    Tensor[] q = new Tensor[out.length / 2];
    for (int o = 0; o < q.length; o++) {
      q[o] = out[2 * o];
    }
    double[] r = decompose(x, x.offset() + index * rows * columns, index * rows * thin, q);
    if (r == null) {
      Decompositions.requireFinite("qr", x, index);
    }
    for (int o = 0; o < q.length; o++) {
      Access to = Access.of(out[2 * o + 1]);
      for (int i = 0; i < r.length; i++) {
        to.set(index * r.length + i, r[i]);
      }
    }
  }

  private int from(long chunk, int count) {
    return (int) (rows * chunk / count);
  }

  private int from(long chunk) {
    return from(chunk, chunks.size());
  }

  /**
   * Decomposes the matrix from element {@code at} of x on; Q goes to several tensors, from their element {@code to} on.
   *
   * @return R [K, N]; null if x holds a number that is not finite
   */
  private double[] decompose(Tensor x, long at, long to, Tensor... q) {
    boolean[] finite = new boolean[chunks.size()];
    Parallel.forEach(finite.length, rooms, (_, i) -> finite[(int) i] = chunks.get((int) i).decompose(x, at + (long) from(i) * columns));
    for (boolean each : finite) {
      if (!each) {
        return null;
      }
    }
    if (top == null) {
      Room room = rooms.getFirst();
      room.b.setIdentity();
      store(0, room, true, to, q);
      return chunks.getFirst().r();
    }
    Doubles rows = Doubles.of(stack);
    for (int i = 0; i < finite.length; i++) {
      rows.set((long) i * columns * columns, chunks.get(i).r());
    }
    double[] r = top.decompose(stack, stack.offset(), 0, turns);
    double[] signs = signs();
    Parallel.forEach(finite.length, rooms, (room, i) -> {
      loadTurn(i, room);
      room.b.scaleColumns(signs, columns);
      store(i, room, false, to, q);
    });
    for (int i = 0; i < r.length; i++) {
      r[i] *= signs[i / columns];
    }
    return r;
  }

  /** A chunk of Q. */
  private void store(long chunk, Room room, boolean upper, long to, Tensor... q) {
    int count = from(chunk + 1) - from(chunk);
    chunks.get((int) chunk).multiply(room.b, upper, room.q, count);
    for (Tensor each : q) {
      room.q.store(each, each.offset() + to + (long) from(chunk) * thin, count, loops);
    }
  }

  private void loadTurn(long chunk, Room room) {
    room.b.load(turns, turns.offset() + chunk * columns * columns, columns, loops);
  }

  /** D, before which Q is {@code Q_1 B_1} in its first rows. */
  private double[] signs() {
    int n = columns;
    Room room = rooms.getFirst();
    loadTurn(0, room);
    chunks.getFirst().multiply(room.b, false, room.q, n);
    double[] a = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int c = 0; c < n; c++) {
        a[i * n + c] = room.q.get(i, c);
      }
    }
    double[] signs = new double[n];
    for (int j = 0; j < n; j++) {
      double pivot = a[j * n + j];
      boolean left = !chunks.getFirst().reflects(j) && isUnit(j);
      signs[j] = left || pivot < -ROUNDING ? 1 : -1;
      for (int i = j + 1; !left && i < n; i++) {
        double factor = a[i * n + j] / (pivot - signs[j]);
        for (int c = j + 1; c < n; c++) {
          a[i * n + c] = Math.fma(-factor, a[j * n + c], a[i * n + c]);
        }
      }
    }
    return signs;
  }

  /** Whether column j of B is that of the identity: then there was nothing below R_jj of the first chunk. */
  private boolean isUnit(int j) {
    Doubles b = Doubles.of(turns);
    for (int i = 0; i < stack.size(0); i++) {
      if (b.get((long) i * columns + j) != (i == j ? 1 : 0)) {
        return false;
      }
    }
    return true;
  }
}
