package org.deft4j.deft.bench;

import java.util.List;
import java.util.Locale;
import org.deft4j.tensor.Machine;
import org.deft4j.tensor.MemoryPool;

/** The result as aligned lines. */
final class Table {
  private static final String LINE = "%-40s %10s %9s %9s %7s %7s %10s%s";

  private Table() {}

  static List<String> peak(Peak peak) {
    String arrays = " of " + MemoryPool.describe(peak.arrayBytes());
    return List.of(
        "Java " + System.getProperty("java.vm.version") + ", " + System.getProperty("os.arch") + ", " + Machine.kernels(),
        String.format(Locale.ROOT, "%-40s %9d %9d", "the machine's limits; threads", 1, peak.threads()),
        row("  " + Machine.arithmetic(), peak.one().multiplyAdd(), peak.all().multiplyAdd(), Limit.ARITHMETIC),
        row("  reading" + arrays, peak.one().read(), peak.all().read(), Limit.MEMORY),
        row("  copying, read and written," + arrays, peak.one().copy(), peak.all().copy(), Limit.MEMORY));
  }

  private static String row(String what, double one, double all, Limit kind) {
    return String.format(Locale.ROOT, "%-40s %9.1f %9.1f %s", what, one / 1e9, all / 1e9, kind.unit());
  }

  static List<String> head(Measurement first) {
    return List.of("", String.format(Locale.ROOT, LINE, first.row().group(), "time", first.kind().unit(), "limit", "share",
        "best", "memory", ""));
  }

  static String line(Measurement m) {
    return String.format(Locale.ROOT, LINE, "  " + m.row().name(), time(m.seconds()), number(m.rate() / 1e9),
        number(m.limit().median() / 1e9), percent(m.share()), percent(m.bestShare()),
        MemoryPool.describe(m.peakBytes()), m.against().map(Table::comparison).orElse("") + doubt(m));
  }

  /** What a share beyond all there is means. */
  private static String doubt(Measurement m) {
    return m.share() <= 1 ? "" : m.kind() == Limit.ARITHMETIC ? "  the limit was measured too low"
        : "  faster than a copy: caches hold more of it, or the limit was measured too low";
  }

  private static String comparison(Measurement.Comparison other) {
    return String.format(Locale.ROOT, "  %.3f x %s's %s", other.ratio(), other.name(), time(other.seconds()));
  }

  /** How the limit went up and down while a group was measured. */
  static String spread(List<Measurement> group) {
    double low = group.stream().mapToDouble(each -> each.limit().low()).min().orElseThrow();
    double high = group.stream().mapToDouble(each -> each.limit().high()).max().orElseThrow();
    double median = Meter.median(group.stream().map(each -> each.limit().median()).toList());
    return String.format(Locale.ROOT, "  the limit, measured in turn: %s to %s, mostly %s %s", number(low / 1e9),
        number(high / 1e9), number(median / 1e9), group.getFirst().kind().unit());
  }

  private static String number(double value) {
    return String.format(Locale.ROOT, "%.1f", value);
  }

  private static String percent(double share) {
    return String.format(Locale.ROOT, "%.0f %%", 100 * share);
  }

  static String time(double seconds) {
    return seconds < 1e-3 ? String.format(Locale.ROOT, "%.0f us", seconds * 1e6)
        : seconds < 1 ? String.format(Locale.ROOT, "%.2f ms", seconds * 1e3) : String.format(Locale.ROOT, "%.2f s", seconds);
  }
}
