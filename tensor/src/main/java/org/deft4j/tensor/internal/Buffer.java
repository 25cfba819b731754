package org.deft4j.tensor.internal;

/** An array for packed panels on loan. There are few (some for each thread at work on a product) of at most 32 MiB. */
final class Buffer implements AutoCloseable {
  /**
   * Where packed panels start in their array. With {@code -XX:ObjectAlignmentInBytes=64} an array's elements begin 16 bytes after a cache
   * line, so that this one begins a line, and no vector of a panel lies across two.
   */
  static final int START = 12;

  private static final Loan.Shelf<float[]> SHELF = new Loan.Shelf<>(float[]::new);

  /** At least as many floats as were asked for, with anything in them. */
  final float[] floats;

  private final Loan<float[]> loan;

  private Buffer(Loan<float[]> loan) {
    this.loan = loan;
    this.floats = loan.array();
  }

  /** An array of at least so many floats. */
  static Buffer of(long count) {
    return new Buffer(SHELF.take(count));
  }

  @Override
  public void close() {
    loan.close();
  }
}
