package org.deft4j.deft.bench;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/**
 * What came out for a row.
 *
 * @param kind of the limit
 * @param seconds of one run, the median over the rounds
 * @param work of one run, in operations or bytes
 * @param limit work a second that the machine could do, measured in turn
 * @param share of the limit that was reached, the median over the rounds of their ratio
 * @param bestShare the largest of a round
 * @param peakBytes the most memory of the device that tensors held in a run, its inputs among them
 * @param against what it was compared with
 */
record Measurement(Row row, Limit kind, double seconds, double work, Spread limit, double share, double bestShare,
    long peakBytes, Optional<Comparison> against) {
  /** The smallest, the median and the largest of several rounds. */
  record Spread(double low, double median, double high, int rounds) {}

  /** A reference's time, and the row's time in its: the median over the rounds of their ratio. */
  record Comparison(String name, double seconds, double ratio) {}

  /** Work a second. */
  double rate() {
    return work / seconds;
  }

  /** For JSON. */
  Map<String, Object> document() {
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("group", row.group());
    map.put("name", row.name());
    map.put("seconds", seconds);
    map.put("work", work);
    map.put("rate", rate() / 1e9);
    map.put("unit", kind.unit());
    map.put("limit", limit.median() / 1e9);
    map.put("limit_low", limit.low() / 1e9);
    map.put("limit_high", limit.high() / 1e9);
    map.put("share", share);
    map.put("best_share", bestShare);
    map.put("peak_bytes", peakBytes);
    map.put("rounds", limit.rounds());
    against.ifPresent(other -> {
      map.put("reference", other.name());
      map.put("reference_seconds", other.seconds());
      map.put("ratio", other.ratio());
    });
    return map;
  }
}
