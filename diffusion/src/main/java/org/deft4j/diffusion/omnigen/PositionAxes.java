package org.deft4j.diffusion.omnigen;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * What OmniGen's table of positions is made of: the first half of an entry, sines and cosines of x, is that of its column, the second that
 * of its row. For a table of M x M entries this is an M-th of its size. Owned by nobody's scope.
 *
 * <p>Letters: M side of the table, D width of an entry.
 *
 * @param columns [M, D/2]
 * @param rows [M, D/2]
 */
record PositionAxes(Tensor columns, Tensor rows) implements AutoCloseable {
  /** Those of {@code table} [1, M M, D]; empty if there is more to it. A rehearsal takes for granted that there is not. */
  static Optional<PositionAxes> of(Tensor table, int side) {
    long width = table.size(2);
    try (Scope _ = Scope.open()) {
      if (table.device() != Device.META && !isMadeOfAxes(table, side)) {
        return Optional.empty();
      }
      Tensor square = table.reshape(side, side, width);
      Tensor columns = square.slice(0, 0, 1).slice(2, 0, width / 2).reshape(side, width / 2).copy();
      Tensor rows = square.slice(1, 0, 1).slice(2, width / 2, width).reshape(side, width / 2).copy();
      return Optional.of(new PositionAxes(Scope.release(columns), Scope.release(rows)));
    }
  }

  private static boolean isMadeOfAxes(Tensor table, int side) {
    MemorySegment bytes = table.to(Device.CPU).bytes();
    long entry = table.size(2) * table.dtype().bytes();
    long half = table.size(2) / 2 * table.dtype().bytes();
    for (long at = 0; at < (long) side * side; at++) {
      long column = at % side * entry;
      long row = at / side * side * entry;
      if (!same(bytes, at * entry, column, half) || !same(bytes, at * entry + half, row + half, entry - half)) {
        return false;
      }
    }
    return true;
  }

  private static boolean same(MemorySegment bytes, long a, long b, long count) {
    return MemorySegment.mismatch(bytes, a, a + count, bytes, b, b + count) < 0;
  }

  /** The entries of the rows from {@code top} on and of the columns from {@code left} on, [1, height width, D]. */
  Tensor part(long top, long height, long left, long width) {
    long half = columns.size(1);
    Tensor x = columns.slice(0, left, left + width).reshape(1, width, half).expand(height, width, half);
    Tensor y = rows.slice(0, top, top + height).reshape(height, 1, half).expand(height, width, half);
    return Tensor.concat(2, x, y).reshape(1, height * width, 2 * half);
  }

  @Override
  public void close() {
    columns.close();
    rows.close();
  }
}
