package org.deft4j.tensor.internal;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;
import org.deft4j.tensor.internal.PanelRows.Block;

import static org.deft4j.tensor.internal.PanelRows.SQUARE;
import static org.deft4j.tensor.internal.PanelRows.WIDTH;

/**
 * The gradient of {@code X = Q R}, X [M, N] with M at least N, in float64 (Walter and Lehmann, "Algorithmic differentiation of linear
 * algebra functions", 2010):
 *
 * <pre>
 *   dX = (dQ + Q sym(R dR^T - dQ^T Q)) R^-T = dQ Y + Q (sym(...) Y)      Y = R^-T
 * </pre>
 *
 * where sym takes the lower triangle and mirrors it. Two products over the rows, a chunk of them at a time, and N x N matrices between them.
 */
final class QrGradient implements AutoCloseable {
  /** Numbers of a chunk: those of Q, dQ and dX together are half of a second-level cache. */
  private static final int CHUNK = 1 << 14;
  /** A chunk has so many rows for each column at least, so that the products of all are few beside Q. */
  private static final int LONG = 4;

  private final PanelLoops loops;
  private final int m;
  private final int n;
  private final int chunks;
  private final List<Worker> workers = new ArrayList<>();
  /** Of each chunk: {@code dQ^T Q} in squares of panels, those of panel p of dQ from number p panels on. */
  private final double[][] products;

  /** Y, and sym(...) Y. */
  private final PanelRows y;
  private final PanelRows symY;

  /** What a thread works on a chunk with. */
  private final class Worker implements AutoCloseable {
    final PanelRows q = new PanelRows(Math.ceilDiv(m, chunks), n);
    final PanelRows dq = new PanelRows(Math.ceilDiv(m, chunks), n);
    final PanelRows dx = new PanelRows(Math.ceilDiv(m, chunks), n);

    @Override
    public void close() {
      q.close();
      dq.close();
      dx.close();
    }
  }

  private QrGradient(int m, int n, int threads, PanelLoops loops) {
    this.loops = loops;
    this.m = m;
    this.n = n;
    this.chunks = Math.ceilDiv(m, Math.max(LONG * n, CHUNK / n));
    for (int i = 0; i < Math.min(threads, chunks); i++) {
      workers.add(new Worker());
    }
    this.y = new PanelRows(n, n);
    this.symY = new PanelRows(n, n);
    int panels = y.panels();
    this.products = new double[chunks][panels * panels * SQUARE];
  }

  @Override
  public void close() {
    workers.forEach(Worker::close);
    y.close();
    symY.close();
  }

  /** Computes dX of each matrix of a batch; {@code in} are Q and R in F64, dQ, and dR unless that is zero; all contiguous. */
  static void run(Tensor[] in, Tensor out, PanelLoops loops) {
    if (out.elementCount() == 0) {
      return;
    }
    int m = Math.toIntExact(out.size(-2));
    int n = Math.toIntExact(out.size(-1));
    long count = out.elementCount() / ((long) m * n);
    List<QrGradient> each = new ArrayList<>();
    try {
      for (int i = 0; i < Math.min(count, Threads.count()); i++) {
        each.add(new QrGradient(m, n, count == 1 ? Threads.count() : 1, loops));
      }
      Parallel.forEach(count, each, (gradient, i) -> gradient.run(in, i, out));
    } finally {
      each.forEach(QrGradient::close);
    }
  }

  private void run(Tensor[] in, long index, Tensor out) {
    double[] r = square(in[1], index);
    double[] dr = in.length == 4 ? square(in[3], index) : null;
    Parallel.forEach(chunks, workers, (worker, chunk) -> {
      load(worker, in, index, chunk);
      multiply(worker, rows(chunk), products[(int) chunk]);
    });
    double[] inverse = inverseTransposed(r);
    double[] sym = symmetric(r, dr);
    double[] product = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int k = 0; k < n; k++) {
        addRow(sym[i * n + k], inverse, k * n, k + 1, product, i * n);
      }
    }
    y.set(inverse);
    symY.set(product);
    Parallel.forEach(chunks, workers, (worker, chunk) -> {
      if (chunks > 1) {
        load(worker, in, index, chunk);
      }
      combine(worker, rows(chunk));
      worker.dx.store(out, out.offset() + (index * m + from(chunk)) * n, rows(chunk), loops);
    });
  }

  private int from(long chunk) {
    return (int) (m * chunk / chunks);
  }

  private int rows(long chunk) {
    return from(chunk + 1) - from(chunk);
  }

  private void load(Worker worker, Tensor[] in, long index, long chunk) {
    long at = (index * m + from(chunk)) * n;
    worker.q.load(in[0], in[0].offset() + at, rows(chunk), loops);
    worker.dq.load(in[2], in[2].offset() + at, rows(chunk), loops);
  }

  private double[] square(Tensor x, long index) {
    Access from = Access.of(x);
    double[] square = new double[n * n];
    for (int i = 0; i < square.length; i++) {
      square[i] = from.get(index * square.length + i);
    }
    return square;
  }

  /** {@code dQ^T Q} on and below the diagonal. */
  private void multiply(Worker worker, int count, double[] to) {
    int panels = y.panels();
    for (int p = 0; p < panels; p++) {
      for (int s = 0; s <= p; s++) {
        loops.project(worker.dq.panel(p, 0), worker.q.panel(s, 0), count, to, (p * panels + s) * SQUARE);
      }
    }
  }

  /** {@code dX = dQ Y + Q (sym Y)}, Y lower triangular. */
  private void combine(Worker worker, int count) {
    int panels = y.panels();
    for (int panel = 0; panel < panels; panel++) {
      Block to = worker.dx.panel(panel, 0);
      to.clear(count);
      for (int s = 0; s < panels; s++) {
        if (s >= panel) {
          add(worker.dq.panel(s, 0), y.square(s, panel), to, count);
        }
        add(worker.q.panel(s, 0), symY.square(s, panel), to, count);
      }
    }
  }

  private void add(Block rows, Block square, Block to, int count) {
    loops.add(rows, square.numbers(), square.at(), to, count);
  }

  /** {@code to += factor from} on {@code count} numbers of a row. */
  private static void addRow(double factor, double[] from, int at, int count, double[] to, int start) {
    for (int c = 0; c < count; c++) {
      to[start + c] = Math.fma(factor, from[at + c], to[start + c]);
    }
  }

  /** R^-T, lower triangular: row i of {@code R^T Y = 1} gives {@code R_ii Y_i = e_i - sum_k<i R_ki Y_k}. */
  private double[] inverseTransposed(double[] r) {
    double[] y = new double[n * n];
    for (int i = 0; i < n; i++) {
      y[i * n + i] = 1;
      for (int k = 0; k < i; k++) {
        addRow(-r[k * n + i], y, k * n, k + 1, y, i * n);
      }
      for (int c = 0; c <= i; c++) {
        y[i * n + c] /= r[i * n + i];
      }
    }
    return y;
  }

  /** {@code sym(R dR^T - dQ^T Q)}, the chunks' products added in order. */
  private double[] symmetric(double[] r, double[] dr) {
    double[] total = products[0];
    for (int chunk = 1; chunk < chunks; chunk++) {
      double[] more = products[chunk];
      for (int i = 0; i < total.length; i++) {
        total[i] += more[i];
      }
    }
    int panels = y.panels();
    double[] sym = new double[n * n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        double value = -total[(i / WIDTH * panels + j / WIDTH) * SQUARE + i % WIDTH * WIDTH + j % WIDTH];
        if (dr != null) {
          for (int k = i; k < n; k++) {
            value = Math.fma(r[i * n + k], dr[j * n + k], value);
          }
        }
        sym[i * n + j] = value;
        sym[j * n + i] = value;
      }
    }
    return sym;
  }
}
