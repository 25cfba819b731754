package org.deft4j.deft;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.stream.Stream;
import org.deft4j.diffusion.image.PictureException;
import org.deft4j.diffusion.image.Pictures;

/**
 * A folder of pictures to train on, in the order of their names. The caption of {@code 01.jpg} is the text of
 * {@code 01.txt} beside it, or else the prompt that goes for all.
 */
public final class PictureFolder {
  private static final Set<String> EXTENSIONS = Set.of("jpg", "jpeg", "png", "webp", "gif", "bmp");

  private PictureFolder() {}

  /** A picture file and the text that goes with it. */
  public record Captioned(Path file, String caption) {}

  /**
   * Reads, resizes and cuts every picture of {@code folder}; other files and hidden ones are passed over.
   *
   * @param prompt the caption of pictures that have none of their own, or null
   * @param size the side of the cut in pixels
   * @throws InputException listing everything that is wrong: no folder, no picture, pictures that cannot be read or
   *     have no caption
   */
  public static List<TrainingPicture> read(Path folder, String prompt, int size) {
    List<String> problems = new ArrayList<>();
    List<TrainingPicture> pictures = new ArrayList<>();
    for (Path file : files(folder)) {
      String caption = caption(file, prompt, problems);
      try {
        pictures.add(TrainingPicture.of(file, caption, Pictures.read(file), size));
      } catch (PictureException e) {
        problems.add(e.getMessage());
      }
    }
    return all(pictures, problems);
  }

  /**
   * The pictures of {@code folder} and their captions; of the pictures only the first bytes are looked at.
   *
   * @param prompt the caption of pictures that have none of their own, or null
   * @throws InputException listing everything that is wrong: no folder, no picture, files that are none or have no caption
   */
  public static List<Captioned> list(Path folder, String prompt) {
    List<String> problems = new ArrayList<>();
    List<Captioned> pictures = new ArrayList<>();
    for (Path file : files(folder)) {
      pictures.add(new Captioned(file, caption(file, prompt, problems)));
      try {
        Pictures.requirePicture(file);
      } catch (PictureException e) {
        problems.add(e.getMessage());
      }
    }
    return all(pictures, problems);
  }

  /**
   * What is written beside a picture, without spaces around it.
   *
   * @return null where there is no such file
   * @throws InputException if it cannot be read, or is not UTF-8
   */
  public static String caption(Path picture) {
    Path text = textFile(picture);
    try {
      if (!Files.exists(text)) {
        return null;
      }
      String caption = Files.readString(text);
      return (caption.startsWith("\uFEFF") ? caption.substring(1) : caption).strip();
    } catch (CharacterCodingException e) {
      throw new InputException("caption " + text + " is not UTF-8 text", e);
    } catch (IOException e) {
      throw new InputException("caption " + text + " cannot be read: " + e.getMessage(), e);
    }
  }

  /** The caption of its own or else the prompt; or null, which is a problem. */
  private static String caption(Path file, String prompt, List<String> problems) {
    try {
      String own = caption(file);
      if (own == null && prompt == null) {
        problems.add("picture " + file + " has no caption: write one to " + textFile(file).getFileName()
            + " beside it, or give --prompt for all");
      }
      return own == null ? prompt : own;
    } catch (InputException e) {
      problems.addAll(e.problems());
      return null;
    }
  }

  private static <T> List<T> all(List<T> pictures, List<String> problems) {
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    return pictures;
  }

  /**
   * The picture files directly in {@code folder}, by the ends of their names, in the order of their names.
   *
   * @throws InputException if it is no folder, or has none
   */
  public static List<Path> files(Path folder) {
    if (!Files.isDirectory(folder)) {
      throw new InputException("data folder " + folder + (Files.exists(folder) ? " is not a folder" : " does not exist"));
    }
    List<Path> files;
    try (Stream<Path> all = Files.list(folder)) {
      files = all.filter(PictureFolder::isPicture).sorted().toList();
    } catch (IOException e) {
      throw new InputException("data folder " + folder + " cannot be read: " + e.getMessage(), e);
    }
    if (files.isEmpty()) {
      throw new InputException("data folder " + folder + " has no picture in it (" + String.join(", ",
          EXTENSIONS.stream().sorted().toList()) + ")");
    }
    return files;
  }

  private static boolean isPicture(Path file) {
    String name = file.getFileName().toString();
    int dot = name.lastIndexOf('.');
    return dot > 0 && EXTENSIONS.contains(name.substring(dot + 1).toLowerCase(Locale.ROOT)) && Files.isRegularFile(file);
  }

  private static Path textFile(Path file) {
    String name = file.getFileName().toString();
    return file.resolveSibling(name.substring(0, name.lastIndexOf('.')) + ".txt");
  }
}
