package org.deft4j.deft.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.deft4j.deft.InputException;
import org.deft4j.deft.PictureFolder;
import org.deft4j.diffusion.omnigen.ImageTags;
import org.deft4j.tensor.RandomSource;

/**
 * Records of an in-context task in the manner of VisualCloze (arXiv 2504.07960): some rows of pictures show what is to be
 * done, and the last row lacks its last picture, which is the output. VisualCloze puts the rows into one grid; here, as in
 * DEFT's data for OmniGen, each picture is an input picture of its own, named by a tag.
 *
 * <p>An instruction is a sentence on the layout, the rows with their tags, a sentence on the task and, where the target has
 * a caption ({@code .txt} beside it), one on the content; of each the wording is drawn.
 */
public final class InContextBuilder {
  /** Of ten records so many have 1, 2 and 3 rows; the last row is the one to be completed. */
  private static final int[] ROWS_OF_TEN = {3, 4, 3};

  private final RolePictures pictures;
  private final InContextTask task;
  private final List<String> samples;
  /** Rows before the last one; null: drawn. */
  private final Integer examples;

  /**
   * For the samples that have a picture in each role of the task.
   *
   * @throws InputException if there is none, or no pictures in one of the roles
   */
  public InContextBuilder(RolePictures pictures, InContextTask task) {
    this.pictures = pictures;
    this.task = task;
    SortedSet<String> complete = pictures.samples(task.columns());
    if (complete.isEmpty()) {
      throw new InputException("no sample has a picture in each of the roles " + String.join(", ", task.columns())
          + "; those of one sample have the same name, as in canny/0_canny.png and target/0_target.png");
    }
    this.samples = List.copyOf(complete);
    this.examples = null;
  }

  private InContextBuilder(InContextBuilder other, int examples) {
    this.pictures = other.pictures;
    this.task = other.task;
    this.samples = other.samples;
    this.examples = examples;
  }

  /**
   * The same with a number of rows before the last one that is not drawn; 0 makes plain records, without examples.
   *
   * @throws IllegalArgumentException if it is negative
   */
  public InContextBuilder withExamples(int count) {
    if (count < 0) {
      throw new IllegalArgumentException("examples: " + count + ": at least 0 is needed");
    }
    return new InContextBuilder(this, count);
  }

  /** The samples there will be records of. */
  public List<String> samples() {
    return samples;
  }

  /**
   * For each sample {@code count} records that ask for its target. The other rows show other samples, drawn without
   * repetition; where there are too few, there are fewer rows.
   *
   * @throws InputException if a caption cannot be read or has a tag in it
   */
  public List<TrainingRecord> build(int count, RandomSource random) {
    Problems problems = new Problems();
    Map<String, String> captions = new LinkedHashMap<>();
    for (String sample : samples) {
      captions.put(sample, caption(sample, problems));
    }
    problems.throwIfAny();
    List<TrainingRecord> records = new ArrayList<>();
    for (String sample : samples) {
      for (int i = 0; i < count; i++) {
        List<String> rows = rows(sample, random);
        records.add(new TrainingRecord(task.taskType(), instruction(rows.size(), captions.get(sample), random), inputs(rows),
            pictures.file(task.target(), sample), new TrainingRecord.Place(pictures.file(task.target(), sample), 0)));
      }
    }
    return records;
  }

  private String caption(String sample, Problems problems) {
    Path target = pictures.file(task.target(), sample);
    try {
      String caption = PictureFolder.caption(target);
      if (caption != null && !ImageTags.numbers(caption).isEmpty()) {
        problems.add("caption of " + target + " has tags of input pictures in it, which stand for others here");
      }
      return caption == null ? "" : caption;
    } catch (InputException e) {
      problems.addAll(e.problems());
      return "";
    }
  }

  /** The samples of the rows, the one asked for at the end. */
  private List<String> rows(String sample, RandomSource random) {
    int wanted = examples == null ? drawnRows(random) : examples + 1;
    List<String> others = new ArrayList<>(samples);
    others.remove(sample);
    List<String> rows = new ArrayList<>();
    while (rows.size() < wanted - 1 && !others.isEmpty()) {
      rows.add(others.remove((int) random.between(0, others.size())));
    }
    rows.add(sample);
    return rows;
  }

  private static int drawnRows(RandomSource random) {
    int rows = 1;
    for (long draw = random.between(0, 10); draw >= ROWS_OF_TEN[rows - 1]; rows++) {
      draw -= ROWS_OF_TEN[rows - 1];
    }
    return rows;
  }

  private List<Path> inputs(List<String> rows) {
    List<Path> inputs = new ArrayList<>();
    for (String sample : rows.subList(0, rows.size() - 1)) {
      task.columns().forEach(role -> inputs.add(pictures.file(role, sample)));
    }
    task.conditions().forEach(role -> inputs.add(pictures.file(role, rows.getLast())));
    return inputs;
  }

  // ------------------------------------------------------------------------------------------------------------ text

  private String instruction(int rows, String caption, RandomSource random) {
    int columns = task.columns().size();
    StringBuilder text = new StringBuilder(Phrasings.LAYOUT.draw(random, Map.of("rows", rows == 1 ? "1 row" : rows + " rows",
        "columns", columns + " pictures")));
    for (int row = 0; row < rows; row++) {
      int first = row * columns + 1;
      text.append(" Row ").append(row + 1).append(": ").append(tags(first, row < rows - 1 ? columns : columns - 1))
          .append(row < rows - 1 ? "." : ", then the picture to be made.");
    }
    text.append(' ').append(Phrasings.TASK.draw(random, Map.of("target", task.description(task.target()), "conditions",
        listed(task.conditions().stream().map(task::description).toList()))));
    if (!caption.isEmpty()) {
      text.append(' ').append(Phrasings.CONTENT.draw(random, Map.of("content", caption)));
    }
    return text.toString();
  }

  private static String tags(int first, int count) {
    return IntStream.range(first, first + count).mapToObj(ImageTags::tag).collect(Collectors.joining(", "));
  }

  /** {@code a, b and c}. */
  private static String listed(List<String> words) {
    return words.size() < 2 ? words.getFirst()
        : String.join(", ", words.subList(0, words.size() - 1)) + " and " + words.getLast();
  }
}
