package org.deft4j.deft.cli;

import java.util.List;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** {@code deft bench} on a few rows: that it measures, and what it prints. */
class BenchCommandTest {
  private static final String[] ROWS = {"product/a b 512", "convolution/1x1 2x1280x8x8", "attention/grad 2x8x256x256x160",
      "norm/layer norm 2x4096x320"};

  @Test
  void measuresAgainstTheLimit() {
    Terminal terminal = Terminal.run("bench", "--quick", "--json", "--rows", String.join(",", ROWS));
    assertEquals(0, terminal.status(), terminal.err());
    JsonObject document = Json.parse(terminal.out(), "bench");
    assertTrue(document.requireInteger("threads") >= 1);
    JsonObject all = document.requireObject("peak").requireObject("all_threads");
    for (String key : List.of("multiply_add_gflops", "read_gb_per_s", "copy_gb_per_s")) {
      assertTrue(all.number(key, 0) > 0.01, key);
    }
    List<JsonObject> rows = document.requireObjects("rows");
    assertEquals(List.of(ROWS), rows.stream().map(row -> row.requireString("group") + "/" + row.requireString("name")).toList());
    for (JsonObject row : rows) {
      double rate = row.number("work", 0) / row.number("seconds", 0) / 1e9;
      assertEquals(rate, row.number("rate", 0), 1e-9 * rate, row::toString);
      assertTrue(row.number("share", 0) > 0, row::toString);
      assertTrue(row.number("limit_low", 0) <= row.number("limit", 0), row::toString);
      assertTrue(row.number("share", 0) <= row.number("best_share", 0), row::toString);
      assertTrue(row.requireInteger("rounds") >= 2, row::toString);
      assertTrue(row.number("peak_bytes", 0) > 0, row::toString);
    }
    assertEquals(2.0 * 512 * 512 * 512, rows.getFirst().number("work", 0));
    assertEquals(4.0 * (8192 * 320 * 2 + 2 * 320 + 2 * 8192), rows.getLast().number("work", 0));
  }

  @Test
  void theTableHasALineForEachRow() {
    Terminal terminal = Terminal.run("bench", "--quick", "--threads", "1", "--rows", "linear 77x2048x640 BF16,update/adam 262144");
    assertEquals(0, terminal.status(), terminal.err());
    List<String> lines = terminal.out().lines().filter(line -> line.contains(" %")).toList();
    assertEquals(2, lines.size(), terminal.out());
    assertTrue(lines.getFirst().startsWith("  linear 77x2048x640 BF16 "), terminal.out());
    assertTrue(terminal.out().contains("GFLOP/s") && terminal.out().contains("GB/s"), terminal.out());
  }

  @Test
  void namesAreListedAndMistakesTold() {
    Terminal list = Terminal.run("bench", "--list");
    assertEquals(0, list.status(), list.err());
    List<String> names = list.out().lines().toList();
    assertTrue(names.size() > 100);
    assertEquals(names.stream().distinct().toList(), names);
    for (String row : ROWS) {
      assertTrue(names.contains(row), row);
    }
    Terminal wrong = Terminal.run("bench", "--rows", "produkt,norm");
    assertEquals(2, wrong.status());
    assertTrue(wrong.err().contains("--rows: 'produkt' is in no row's name; did you mean 'product'?"), wrong.err());
  }
}
