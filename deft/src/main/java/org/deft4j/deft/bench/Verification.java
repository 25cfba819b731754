package org.deft4j.deft.bench;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Runs rows on the CPU and on the device in use, from the same numbers, and compares what comes out: whether a card computes what it should,
 * on a machine that has nothing but this program. The difference of a row is the norm of the difference of its results, by the norm of the
 * CPU's.
 */
final class Verification {
  /** The largest difference: of float32 added up in another order, and of factors rounded to 10, 7 and 10 bits after the point. */
  private static final Map<Precision, Double> BOUNDS = Map.of(Precision.FULL, 2e-5, Precision.TF32, 5e-3, Precision.BF16, 3e-2,
      Precision.F16, 5e-3);

  private Verification() {}

  /**
   * Compares each row.
   *
   * @param line is told a line for each
   * @return the rows, their differences, null where it is infinite, and whether all are within the bound
   */
  static Map<String, Object> run(List<Row> rows, Consumer<String> line) {
    Device device = Device.current();
    double bound = BOUNDS.get(Precision.current());
    List<Map<String, Object>> results = new ArrayList<>();
    boolean right = true;
    for (Row row : rows) {
      List<double[]> expected = results(row, Device.CPU);
      List<double[]> actual = results(row, device);
      double difference = difference(expected, actual);
      boolean within = difference <= bound;
      right &= within;
      line.accept(String.format(Locale.ROOT, "  %-48s %9.2e  %s", row.fullName(), difference, within ? "" : "beyond " + bound));
      Map<String, Object> result = new LinkedHashMap<>();
      result.put("row", row.fullName());
      result.put("difference", Double.isFinite(difference) ? difference : null);
      result.put("within", within);
      results.add(result);
    }
    Map<String, Object> map = new LinkedHashMap<>();
    map.put("bound", bound);
    map.put("right", right);
    map.put("rows", results);
    return map;
  }

  private static List<double[]> results(Row row, Device device) {
    Device before = Device.current();
    Device.use(device);
    try (Scope _ = Scope.open(); Inputs inputs = new Inputs()) {
      return numbers(row.setUp().apply(inputs).body().run());
    } finally {
      MemoryPool.current().trim();
      Device.use(before);
    }
  }

  /** The elements of what a row yields: tensors, or a number. */
  private static List<double[]> numbers(Object result) {
    return switch (result) {
      case Tensor tensor -> List.of(tensor.toDoubles());
      case Tensor[] tensors -> Arrays.stream(tensors).map(Tensor::toDoubles).toList();
      case Number number -> List.of(new double[] {number.doubleValue()});
      default -> throw new IllegalStateException("a row yields a " + result.getClass());
    };
  }

  private static double difference(List<double[]> expected, List<double[]> actual) {
    double worst = 0;
    for (int i = 0; i < expected.size(); i++) {
      double[] e = expected.get(i);
      double[] a = actual.get(i);
      double off = 0;
      double size = 0;
      for (int j = 0; j < e.length; j++) {
        off += (a[j] - e[j]) * (a[j] - e[j]);
        size += e[j] * e[j];
      }
      // Not a number counts as infinitely far.
      double difference = size == 0 ? Math.sqrt(off) : Math.sqrt(off / size);
      worst = Math.max(worst, Double.isNaN(difference) ? Double.POSITIVE_INFINITY : difference);
    }
    return worst;
  }
}
