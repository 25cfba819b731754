package org.deft4j.tensor.internal.cuda;

import java.util.Map;
import java.util.TreeMap;

/** Ranges of addresses, those that meet joined. */
final class Ranges {
  /** Ends by starts; none meets another. */
  private final TreeMap<Long, Long> ends = new TreeMap<>();

  /** Whether one has an address from {@code start} on and before {@code end}. */
  boolean meets(long start, long end) {
    Map.Entry<Long, Long> last = ends.lowerEntry(end);
    return last != null && last.getValue() > start;
  }

  /** Adds the addresses from {@code start} on and before {@code end}. */
  void add(long start, long end) {
    long from = start;
    long to = end;
    for (Map.Entry<Long, Long> last = ends.lowerEntry(to); last != null && last.getValue() > from; last = ends.lowerEntry(to)) {
      from = Math.min(from, last.getKey());
      to = Math.max(to, last.getValue());
      ends.remove(last.getKey());
    }
    ends.put(from, to);
  }
}
