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
      try {
        String caption = caption(file, prompt);
        if (caption == null) {
          problems.add("picture " + file + " has no caption: write one to " + textFile(file).getFileName()
              + " beside it, or give --prompt for all");
        }
        pictures.add(TrainingPicture.of(file, caption, Pictures.read(file), size));
      } catch (PictureException e) {
        problems.add(e.getMessage());
      } catch (CharacterCodingException e) {
        problems.add("caption " + textFile(file) + " is not UTF-8 text");
      } catch (IOException e) {
        problems.add("caption " + textFile(file) + " cannot be read: " + e.getMessage());
      }
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    return pictures;
  }

  private static List<Path> files(Path folder) {
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

  private static String caption(Path file, String prompt) throws IOException {
    Path text = textFile(file);
    if (!Files.exists(text)) {
      return prompt;
    }
    String caption = Files.readString(text);
    return (caption.startsWith("\uFEFF") ? caption.substring(1) : caption).strip();
  }

  private static Path textFile(Path file) {
    String name = file.getFileName().toString();
    return file.resolveSibling(name.substring(0, name.lastIndexOf('.')) + ".txt");
  }
}
