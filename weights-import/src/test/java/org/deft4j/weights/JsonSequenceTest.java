package org.deft4j.weights;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Objects in a row, in every form they come in, with their lines; and everything that is wrong, at once. */
class JsonSequenceTest {
  private static JsonSequence parse(String text) {
    return JsonSequence.parse(text, "r.jsonl");
  }

  private static List<Integer> lines(JsonSequence sequence) {
    return sequence.items().stream().map(JsonSequence.Item::line).toList();
  }

  private static List<Long> numbers(JsonSequence sequence) {
    return sequence.items().stream().map(item -> item.object().requireLongInteger("n")).toList();
  }

  @Test
  void everyFormOfARow() {
    Map<String, List<Integer>> forms = new LinkedHashMap<>();
    forms.put("{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n", List.of(1, 2, 3));
    forms.put("\uFEFF{\"n\":0}\r\n\r\n{\"n\":1}\r\n  \t\r\n{\"n\":2}", List.of(1, 3, 5));
    forms.put("{\"n\":0}\r{\"n\":1}\r\r{\"n\":2}", List.of(1, 2, 4));
    forms.put("{\"n\":0}{\"n\":1} {\"n\":2}", List.of(1, 1, 1));
    forms.put("\n{\n  \"n\": 0\n}\n{\n  \"n\":\n 1\n}{\n  \"n\": 2\n}\n", List.of(2, 5, 8));
    forms.put("[{\"n\":0},\n {\"n\":1},\n\n {\"n\":2}]\n", List.of(1, 2, 4));
    forms.put("\uFEFF[\n  {\n    \"n\": 0\n  },\n  {\n    \"n\": 1\n  }, {\"n\": 2}\n]", List.of(2, 5, 7));
    forms.put("[{\"n\":0}]\n{\"n\":1}\n[]\n[{\"n\":2}]", List.of(1, 2, 4));
    forms.forEach((text, lines) -> {
      JsonSequence sequence = parse(text);
      assertEquals(List.of(), sequence.problems(), text);
      assertEquals(lines, lines(sequence), text);
      assertEquals(List.of(0L, 1L, 2L), numbers(sequence), text);
    });
    assertEquals(new JsonSequence(List.of(), List.of()), parse(" \n\n"));
  }

  @Test
  void mistakesAreListedAndTheRestIsRead() {
    JsonSequence sequence = parse("""
        {"n": 0}
        {"n": 1, "n": 2}
        {"n": 3
        {"n": 4}
        {"n": "5}
        {"n": 6}
        7
        {"n": 1e999}
        {"n": 8},
        {"n": 9}
        [1]
        {
          "n": oops,
          "m": {"n": 1}
        }
        {"n": 10}
        {
          "n": 11
        """);
    assertEquals(List.of(0L, 4L, 6L, 8L, 9L, 10L), numbers(sequence));
    assertEquals(List.of(1, 4, 6, 9, 10, 16), lines(sequence));
    List<String> starts = List.of("r.jsonl, line 2: is not valid JSON: Duplicate field 'n'",
        "r.jsonl, line 4: is not valid JSON: ", "r.jsonl, line 5: is not valid JSON: ",
        "r.jsonl, line 7: expected an object, found the number 7", "r.jsonl, line 8: n: the number is too large",
        "r.jsonl, line 9: is not valid JSON: ", "r.jsonl, line 11: expected an object, found the number 1",
        "r.jsonl, line 13: is not valid JSON: ",
        "r.jsonl, line 19: the text ends before the object that begins on line 17 does");
    assertEquals(starts.size(), sequence.problems().size(), String.join("\n", sequence.problems()));
    for (int i = 0; i < starts.size(); i++) {
      assertTrue(sequence.problems().get(i).startsWith(starts.get(i)), sequence.problems().get(i));
    }
  }

  @Test
  void aBrokenListEndsThere() {
    JsonSequence sequence = parse("[\n{\"n\": 0},\n{\"n\": x},\n{\"n\": 2}\n]");
    assertEquals(List.of(0L), numbers(sequence));
    assertEquals(1, sequence.problems().size());
    assertTrue(sequence.problems().getFirst().startsWith("r.jsonl, line 3: is not valid JSON: "));
    assertTrue(sequence.problems().getFirst().endsWith("; the rest of the list is not read"));
    assertEquals(List.of("r.jsonl, line 2: the text ends before the list does"), parse("[\n{\"n\": 0}").problems());
    assertEquals(1, parse("]").problems().size());
  }

  @Test
  void typedErrorsNameTheLine() {
    JsonObject object = parse("\n\n{\"n\": \"x\"}").items().getFirst().object();
    assertEquals("r.jsonl, line 3: n: expected an integer, found the string 'x'",
        assertThrows(FormatException.class, () -> object.requireInteger("n")).getMessage());
  }

  @Test
  void aFileOfMistakesEndsEarly() {
    assertEquals(JsonSequence.MOST_PROBLEMS, parse("{x\n".repeat(5000)).problems().size());
  }

  @Test
  void filesAreReadAsUtf8(@TempDir Path temp) throws IOException {
    Path file = Files.writeString(temp.resolve("r.jsonl"), "\uFEFF{\"n\":\"\u00e9\"}\n");
    assertEquals("\u00e9", JsonSequence.read(file).items().getFirst().object().requireString("n"));
    Path latin = Files.write(temp.resolve("latin.jsonl"), "{\"n\":\"\u00e9\"}".getBytes(StandardCharsets.ISO_8859_1));
    assertEquals(latin + ": is not UTF-8 text", assertThrows(FormatException.class, () -> JsonSequence.read(latin)).getMessage());
  }

  /** Each broken line is told with its own number, whichever lines are broken and however lines end. */
  @Property(tries = 200)
  void exactlyTheBrokenLinesAreTold(@ForAll @Size(max = 40) List<@IntRange(max = 5) Integer> kinds, @ForAll boolean windows) {
    List<String> forms = List.of("{\"n\": 1}", "{\"n\": }", "{\"n\": 1, \"n\": 1}", "{\"n\": \"1}", "", "{\"n\": 1e999}");
    String text = String.join(windows ? "\r\n" : "\n", kinds.stream().map(forms::get).toList()) + "\n";
    JsonSequence sequence = parse(text);
    List<Integer> good = new ArrayList<>();
    List<String> bad = new ArrayList<>();
    for (int i = 0; i < kinds.size(); i++) {
      if (kinds.get(i) == 0) {
        good.add(i + 1);
      } else if (kinds.get(i) != 4) {
        bad.add("r.jsonl, line " + (i + 1) + ": ");
      }
    }
    assertEquals(good, lines(sequence));
    assertEquals(bad, sequence.problems().stream().map(problem -> problem.substring(0, problem.indexOf(": ") + 2)).toList());
  }
}
