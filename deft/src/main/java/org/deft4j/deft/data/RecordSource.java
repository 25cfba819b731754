package org.deft4j.deft.data;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.deft4j.deft.InputException;
import org.deft4j.deft.PictureFolder;
import org.deft4j.deft.PictureFolder.Captioned;

/** Where records come from. */
public sealed interface RecordSource {
  /**
   * A file of records.
   *
   * @param imageRoot see {@link RecordFile#read}; may be null
   */
  record Lines(Path file, Path imageRoot) implements RecordSource {}

  /**
   * A folder of pictures with captions: records without input pictures, whose instruction is the caption.
   *
   * @param prompt the caption of pictures that have none of their own, or null
   */
  record Folder(Path folder, String prompt) implements RecordSource {}

  /** A folder where {@code path} is one, else a file of records. */
  static RecordSource of(Path path, Path imageRoot, String prompt) {
    return Files.isDirectory(path) ? new Folder(path, prompt) : new Lines(path, imageRoot);
  }

  /** Its records, with what is wrong added to {@code problems}. */
  private static List<TrainingRecord> read(RecordSource source, Problems problems) {
    return switch (source) {
      case Lines lines -> RecordFile.read(lines.file, lines.imageRoot, problems);
      case Folder folder -> pictures(folder, problems);
    };
  }

  private static List<TrainingRecord> pictures(Folder folder, Problems problems) {
    List<TrainingRecord> records = new ArrayList<>();
    try {
      for (Captioned picture : PictureFolder.list(folder.folder, folder.prompt)) {
        String wrong = TagCheck.problem(picture.caption(), 0);
        if (wrong != null) {
          problems.add("caption of " + picture.file() + ": " + wrong);
        }
        records.add(new TrainingRecord("", picture.caption(), List.of(), picture.file(),
            new TrainingRecord.Place(picture.file(), 0)));
      }
    } catch (InputException e) {
      problems.addAll(e.problems());
    }
    return records;
  }

  /**
   * The records of several sources, in turn.
   *
   * @throws InputException listing all that is wrong with any of them
   */
  static List<List<TrainingRecord>> readAll(List<? extends RecordSource> sources) {
    Problems problems = new Problems();
    List<List<TrainingRecord>> records = sources.stream().map(source -> read(source, problems)).toList();
    problems.throwIfAny();
    return records;
  }
}
