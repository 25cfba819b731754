package org.deft4j.deft.data;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.deft4j.deft.Nearest;
import org.deft4j.deft.data.ColmapModel.Camera;
import org.deft4j.deft.data.ColmapModel.View;

/**
 * COLMAP's text files. {@code cameras.txt} has a line for each camera, {@code CAMERA_ID MODEL WIDTH HEIGHT PARAMS...},
 * {@code images.txt} two for each picture, {@code IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME} and its points {@code X Y
 * POINT3D_ID ...}, which may be none; the quaternion begins with w. Lines that begin with # are comments.
 */
final class ColmapText {
  private static final String CAMERAS = "cameras.txt";
  private static final String IMAGES = "images.txt";

  private final Path folder;
  private final Problems problems;
  private final Map<Integer, Camera> cameras = new HashMap<>();
  private final List<View> views = new ArrayList<>();

  ColmapText(Path folder, Problems problems) {
    this.folder = folder;
    this.problems = problems;
  }

  List<View> views() {
    readCameras(lines(CAMERAS));
    readViews(lines(IMAGES));
    return views;
  }

  private List<String> lines(String name) {
    Path file = folder.resolve(name);
    try {
      if (!Files.exists(file)) {
        problems.add(file + ": there is no such file" + (Files.exists(folder.resolve(name.replace(".txt", ".bin")))
            ? "; write the model as text: colmap model_converter --output_type TXT" : ""));
        return List.of();
      }
      return Files.readAllLines(file);
    } catch (CharacterCodingException e) {
      problems.add(file + ": is not UTF-8 text");
    } catch (IOException e) {
      problems.add(file + ": cannot be read: " + e.getMessage());
    }
    return List.of();
  }

  /** A line that does not hold what it should. */
  private static final class LineException extends Exception {
    private static final long serialVersionUID = 1;

    LineException(String what) {
      super(what);
    }
  }

  private void wrong(String name, int index, String what) {
    problems.add(folder.resolve(name) + ", line " + (index + 1) + ": " + what);
  }

  private static boolean isSkipped(String line) {
    return line.isBlank() || line.startsWith("#");
  }

  private static String clean(String line) {
    return (line.startsWith("\uFEFF") ? line.substring(1) : line).strip();
  }

  // --------------------------------------------------------------------------------------------------------- cameras

  private void readCameras(List<String> lines) {
    for (int i = 0; i < lines.size(); i++) {
      String line = clean(lines.get(i));
      if (!isSkipped(line)) {
        try {
          Camera camera = camera(words(line, 4));
          if (cameras.putIfAbsent(camera.id(), camera) != null) {
            wrong(CAMERAS, i, "camera " + camera.id() + " is there twice");
          }
        } catch (LineException e) {
          wrong(CAMERAS, i, e.getMessage());
        }
      }
    }
  }

  private static Camera camera(List<String> words) throws LineException {
    if (words.size() < 4) {
      throw new LineException("CAMERA_ID MODEL WIDTH HEIGHT PARAMS... are needed, found " + words.size() + " words");
    }
    CameraModel model = model(words.get(1));
    List<Double> parameters = new ArrayList<>();
    List<String> given = words.size() < 5 ? List.of() : words(words.get(4), Integer.MAX_VALUE);
    if (given.size() != model.parameters().size()) {
      throw new LineException("model " + model + " has " + model.parameters().size() + " parameters ("
          + String.join(", ", model.parameters()) + "), found " + given.size());
    }
    for (int i = 0; i < given.size(); i++) {
      parameters.add(number(given.get(i), model.parameters().get(i)));
    }
    int width = integer(words.get(2), "WIDTH");
    int height = integer(words.get(3), "HEIGHT");
    if (width < 1 || height < 1) {
      throw new LineException("the size " + width + " x " + height + " is none");
    }
    return new Camera(integer(words.get(0), "CAMERA_ID"), model, width, height, parameters);
  }

  private static CameraModel model(String name) throws LineException {
    List<String> names = Arrays.stream(CameraModel.values()).map(CameraModel::name).toList();
    if (!names.contains(name)) {
      throw new LineException("camera model '" + name + "' is unknown: " + String.join(", ", names) + " are known"
          + Nearest.hint(name, names));
    }
    return CameraModel.valueOf(name);
  }

  // ----------------------------------------------------------------------------------------------------------- views

  private void readViews(List<String> lines) {
    Set<Integer> ids = new HashSet<>();
    Set<String> names = new HashSet<>();
    boolean pointsAreNext = false;
    for (int i = 0; i < lines.size(); i++) {
      String line = clean(lines.get(i));
      if (pointsAreNext) {
        pointsAreNext = false;
        if (!isPoints(line)) {
          wrong(IMAGES, i, "the points X Y POINT3D_ID ... of the image on the line above are needed, or an empty line");
        }
      } else if (!isSkipped(line)) {
        pointsAreNext = true;
        try {
          View view = view(words(line, 9));
          if (!ids.add(view.id()) || !names.add(view.name())) {
            wrong(IMAGES, i, "image " + view.id() + ", " + view.name() + ", is there twice");
          }
          views.add(view);
        } catch (LineException e) {
          wrong(IMAGES, i, e.getMessage());
        }
      }
    }
    if (!lines.isEmpty() && ids.isEmpty()) {
      problems.add(folder.resolve(IMAGES) + ": there is no image in it");
    }
  }

  private View view(List<String> words) throws LineException {
    if (words.size() < 10) {
      throw new LineException("IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME are needed, found " + words.size() + " words");
    }
    double[] q = new double[7];
    List<String> names = List.of("QW", "QX", "QY", "QZ", "TX", "TY", "TZ");
    for (int i = 0; i < q.length; i++) {
      q[i] = number(words.get(i + 1), names.get(i));
    }
    Camera camera = cameras.get(integer(words.get(8), "CAMERA_ID"));
    if (camera == null) {
      throw new LineException("camera " + words.get(8) + " is not in " + CAMERAS);
    }
    try {
      return new View(integer(words.get(0), "IMAGE_ID"), new CameraPose(q[1], q[2], q[3], q[0], q[4], q[5], q[6]), camera,
          words.get(9));
    } catch (IllegalArgumentException e) {
      throw new LineException(e.getMessage());
    }
  }

  /** Whether a line has three words for each point, the last of them a number. */
  private static boolean isPoints(String line) {
    List<String> words = words(line, Integer.MAX_VALUE);
    return words.isEmpty() || (words.size() % 3 == 0 && words.getLast().matches("-?\\d+"));
  }

  // ----------------------------------------------------------------------------------------------------------- words

  /** The words of a line; after {@code most} the rest, spaces and all, is one more. */
  private static List<String> words(String line, int most) {
    List<String> words = new ArrayList<>();
    int at = 0;
    while (at < line.length()) {
      int end = at;
      while (end < line.length() && (words.size() == most || !Character.isWhitespace(line.charAt(end)))) {
        end++;
      }
      words.add(line.substring(at, end));
      at = end;
      while (at < line.length() && Character.isWhitespace(line.charAt(at))) {
        at++;
      }
    }
    return words;
  }

  private static int integer(String word, String what) throws LineException {
    try {
      return Integer.parseInt(word);
    } catch (NumberFormatException e) {
      throw new LineException(what + ": a whole number is needed, found '" + word + "'");
    }
  }

  private static double number(String word, String what) throws LineException {
    try {
      double number = Double.parseDouble(word);
      if (Double.isFinite(number)) {
        return number;
      }
    } catch (NumberFormatException e) {
      // Told below, as are infinities.
    }
    throw new LineException(what + ": a number is needed, found '" + word + "'");
  }
}
