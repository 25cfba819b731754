package org.deft4j.deft.data;

import java.nio.file.Path;
import java.util.List;

/**
 * One example: the text and the pictures that are given, and the picture that is to come out.
 *
 * @param taskType free text that training does not look at; empty where none is given
 * @param instruction with one tag for each input picture, see {@link org.deft4j.diffusion.omnigen.ImageTags}
 * @param inputImages picture k of the tags is element k - 1
 * @param outputImage the target
 * @param place where it was read, for errors
 */
public record TrainingRecord(String taskType, String instruction, List<Path> inputImages, Path outputImage, Place place) {
  /** Keeps a copy of the list. */
  public TrainingRecord {
    inputImages = List.copyOf(inputImages);
  }

  /**
   * A place in a file.
   *
   * @param line from 1; 0 stands for the file as a whole
   */
  public record Place(Path file, int line) {
    @Override
    public String toString() {
      return line == 0 ? file.toString() : file + ", line " + line;
    }
  }
}
