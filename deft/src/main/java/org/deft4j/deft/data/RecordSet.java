package org.deft4j.deft.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.deft4j.deft.InputException;

/**
 * Several sources as one training set: several concepts, or concepts and tasks together. In what order the records are
 * gone through is the trainer's affair.
 *
 * @param parts the sources and how often each counts
 */
public record RecordSet(List<Part> parts) {
  /**
   * A source.
   *
   * @param repeats how often each of its records comes in one pass through the set
   */
  public record Part(RecordSource source, List<TrainingRecord> records, int repeats) {
    /** Keeps a copy of the list. */
    public Part {
      records = List.copyOf(records);
      if (repeats < 1) {
        throw new IllegalArgumentException("repeats: " + repeats + ": at least 1 is needed");
      }
    }
  }

  /** Keeps a copy of the list. */
  public RecordSet {
    parts = List.copyOf(parts);
  }

  /**
   * Reads all sources, each of which counts once.
   *
   * @throws InputException listing all that is wrong with any of them, or if there is none
   */
  public static RecordSet read(List<? extends RecordSource> sources) {
    if (sources.isEmpty()) {
      throw new InputException("there is no training data: a file of records or a folder of pictures is needed");
    }
    List<List<TrainingRecord>> records = RecordSource.readAll(sources);
    List<Part> parts = new ArrayList<>();
    for (int i = 0; i < sources.size(); i++) {
      parts.add(new Part(sources.get(i), records.get(i), 1));
    }
    return new RecordSet(parts);
  }

  /**
   * The same with so many repeats for each source.
   *
   * @throws IllegalArgumentException unless there is one for each, at least 1
   */
  public RecordSet withRepeats(int... repeats) {
    requireOneForEach(repeats.length, "repeats");
    List<Part> changed = new ArrayList<>();
    for (int i = 0; i < repeats.length; i++) {
      changed.add(new Part(parts.get(i).source, parts.get(i).records, repeats[i]));
    }
    return new RecordSet(changed);
  }

  /**
   * The same with the fewest repeats by which the sources come in these proportions, as nearly as whole repeats allow: of
   * source i with n_i records and share s_i, {@code round(s_i / n_i / min_j(s_j / n_j))}.
   *
   * @throws IllegalArgumentException unless there is one share for each source, positive and finite
   */
  public RecordSet withShares(double... shares) {
    requireOneForEach(shares.length, "shares");
    double[] perRecord = new double[shares.length];
    for (int i = 0; i < shares.length; i++) {
      if (!(shares[i] > 0 && Double.isFinite(shares[i]))) {
        throw new IllegalArgumentException("shares: " + shares[i] + ": a positive number is needed");
      }
      perRecord[i] = shares[i] / parts.get(i).records.size();
    }
    double least = Arrays.stream(perRecord).min().orElseThrow();
    return withRepeats(Arrays.stream(perRecord).mapToInt(share -> Math.toIntExact(Math.round(share / least))).toArray());
  }

  private void requireOneForEach(int count, String what) {
    if (count != parts.size()) {
      throw new IllegalArgumentException(what + ": " + count + " given for " + parts.size() + " sources");
    }
  }

  /** All records, source by source, each as often as it counts. */
  public List<TrainingRecord> records() {
    List<TrainingRecord> all = new ArrayList<>();
    for (Part part : parts) {
      Collections.nCopies(part.repeats, part.records).forEach(all::addAll);
    }
    return all;
  }
}
