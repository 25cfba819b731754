package org.deft4j.deft.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.deft4j.deft.InputException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Files of records and folders of pictures together, and how often each counts. */
class RecordSetTest {
  private static RecordSource.Folder dogs(Path folder) throws IOException {
    Drawn.write(folder.resolve("dogs/1.png"));
    Drawn.write(folder.resolve("dogs/2.png"));
    Files.writeString(folder.resolve("dogs/2.txt"), "\uFEFFa photo of sks dog, asleep\r\n");
    return new RecordSource.Folder(folder.resolve("dogs"), "a photo of sks dog");
  }

  @Test
  void severalConceptsInOneSet(@TempDir Path folder) throws IOException {
    RecordSource.Folder dogs = dogs(folder);
    Drawn.write(folder.resolve("cat.png"));
    Path file = Files.writeString(folder.resolve("cats.jsonl"), "{\"instruction\":\"a cat\",\"output_image\":\"cat.png\"}\n");
    assertEquals(dogs, RecordSource.of(dogs.folder(), null, "a photo of sks dog"));
    RecordSource cats = RecordSource.of(file, null, "ignored");
    RecordSet set = RecordSet.read(List.of(dogs, cats));
    Path one = folder.resolve("dogs/1.png");
    Path two = folder.resolve("dogs/2.png");
    assertEquals(List.of(
        new TrainingRecord("", "a photo of sks dog", List.of(), one, new TrainingRecord.Place(one, 0)),
        new TrainingRecord("", "a photo of sks dog, asleep", List.of(), two, new TrainingRecord.Place(two, 0)),
        new TrainingRecord("", "a cat", List.of(), folder.resolve("cat.png"), new TrainingRecord.Place(file, 1))),
        set.records());
    assertEquals(List.of("a photo of sks dog", "a photo of sks dog, asleep", "a cat", "a cat", "a cat"),
        set.withRepeats(1, 3).records().stream().map(TrainingRecord::instruction).toList());
    assertEquals(List.of(1, 2), set.withShares(1, 1).parts().stream().map(RecordSet.Part::repeats).toList());
    assertThrows(IllegalArgumentException.class, () -> set.withRepeats(1));
    assertThrows(IllegalArgumentException.class, () -> set.withRepeats(1, 0));
    assertThrows(IllegalArgumentException.class, () -> set.withShares(1, Double.NaN));
  }

  @Test
  void mistakesOfAllSourcesComeTogether(@TempDir Path folder) throws IOException {
    RecordSource.Folder dogs = dogs(folder);
    Files.writeString(folder.resolve("dogs/1.txt"), "like <img><|image_1|></img>");
    Files.writeString(folder.resolve("dogs/3.png"), "no picture");
    RecordSource absent = new RecordSource.Lines(folder.resolve("absent.jsonl"), null);
    RecordSource empty = new RecordSource.Folder(folder.resolve("nowhere"), null);
    List<String> problems = assertThrows(InputException.class, () -> RecordSet.read(List.of(dogs, absent, empty))).problems();
    assertEquals(3, problems.size(), String.join("\n", problems));
    assertTrue(problems.get(0).contains("3.png: is not a picture"), problems.get(0));
    assertTrue(problems.get(1).contains("absent.jsonl: there is no such file"), problems.get(1));
    assertTrue(problems.get(2).contains("nowhere does not exist"), problems.get(2));
    Files.delete(folder.resolve("dogs/3.png"));
    assertTrue(assertThrows(InputException.class, () -> RecordSet.read(List.of(dogs))).getMessage()
        .endsWith("1.png: the instruction has the tags of 1 input picture, but there are none"));
    assertThrows(InputException.class, () -> RecordSet.read(List.of()));
  }

  /** One source counts once, none less, and no proportion is off by more than the rounding of one repeat. */
  @Property(tries = 300)
  void sharesAreMet(@ForAll @Size(min = 1, max = 6) List<@IntRange(min = 1, max = 30) Integer> sizes,
      @ForAll @DoubleRange(min = 0.1, max = 10) double first) {
    List<RecordSet.Part> parts = new ArrayList<>();
    double[] shares = new double[sizes.size()];
    for (int i = 0; i < sizes.size(); i++) {
      TrainingRecord record = new TrainingRecord("", "x", List.of(), Path.of("x.png"), new TrainingRecord.Place(Path.of("x"), 1));
      parts.add(new RecordSet.Part(new RecordSource.Folder(Path.of("x"), null), Collections.nCopies(sizes.get(i), record), 1));
      shares[i] = i == 0 ? first : 1;
    }
    List<RecordSet.Part> result = new RecordSet(parts).withShares(shares).parts();
    assertEquals(1, result.stream().mapToInt(RecordSet.Part::repeats).min().orElseThrow());
    double unit = IntStream.range(0, shares.length).mapToDouble(i -> shares[i] / sizes.get(i)).min().orElseThrow();
    for (int i = 0; i < shares.length; i++) {
      assertEquals(shares[i] / unit, result.get(i).repeats() * (double) sizes.get(i), 0.5 * sizes.get(i) + 1e-9);
    }
  }
}
