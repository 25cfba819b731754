package org.deft4j.deft.data;

import java.nio.file.Path;
import java.util.List;
import org.deft4j.deft.InputException;

/**
 * What COLMAP found out about a set of pictures: cameras and where each picture was taken. Points are not read.
 *
 * @param views in the order of the file
 */
public record ColmapModel(List<View> views) {
  /**
   * A camera.
   *
   * @param width of its pictures, in pixels
   * @param parameters as many as its model has
   */
  public record Camera(int id, CameraModel model, int width, int height, List<Double> parameters) {
    /** Keeps a copy of the list. */
    public Camera {
      parameters = List.copyOf(parameters);
    }
  }

  /**
   * A registered picture.
   *
   * @param name its path below the folder of pictures
   */
  public record View(int id, CameraPose pose, Camera camera, String name) {}

  /** Keeps a copy of the list. */
  public ColmapModel {
    views = List.copyOf(views);
  }

  /**
   * The model in a folder of {@code cameras.txt} and {@code images.txt}.
   *
   * @throws InputException listing all that is wrong, with file and line
   */
  public static ColmapModel read(Path folder) {
    Problems problems = new Problems();
    List<View> views = new ColmapText(folder, problems).views();
    problems.throwIfAny();
    return new ColmapModel(views);
  }
}
