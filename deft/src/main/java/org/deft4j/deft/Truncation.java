package org.deft4j.deft;

/**
 * How many of the leading singular vectors of P take part in what is removed: at most {@code columns}, and no more than carry the share
 * {@code variance} of the sum of squared singular values (PaRa's adaptive rank).
 *
 * @param columns at least 1
 * @param variance above 0, at most 1
 */
public record Truncation(long columns, double variance) {
  /** All of them. */
  public static final Truncation NONE = new Truncation(Long.MAX_VALUE, 1);

  /** @throws InputException if a number is out of its range */
  public Truncation {
    if (columns < 1) {
      throw new InputException("kept columns " + columns + ": at least 1 is needed");
    }
    if (!(variance > 0 && variance <= 1)) {
      throw new InputException("kept variance " + variance + ": above 0 and at most 1 is needed");
    }
  }

  /** As many as carry {@code variance}. */
  public static Truncation variance(double variance) {
    return new Truncation(Long.MAX_VALUE, variance);
  }

  /** As many as {@code columns}. */
  public static Truncation columns(long columns) {
    return new Truncation(columns, 1);
  }

  /**
   * How many columns are kept: at least 1.
   *
   * @param shares what each carries, in descending order
   * @param beyond what is carried by no column
   */
  int kept(double[] shares, double beyond) {
    double total = beyond;
    for (double share : shares) {
      total += share;
    }
    int kept = 0;
    double sum = 0;
    while (kept < shares.length && kept < columns && (kept == 0 || variance == 1 || sum < variance * total)) {
      sum += shares[kept];
      kept++;
    }
    return kept;
  }
}
