package org.deft4j.deft.data;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Nearest;
import org.deft4j.deft.data.ColmapModel.Camera;
import org.deft4j.deft.data.ColmapModel.View;
import org.deft4j.diffusion.image.PictureException;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.diffusion.omnigen.ImageTags;

/**
 * The camera task of DEFT's paper: one picture of a scene is given, and another view of it is to come out, whose camera is
 * described in the text. No token is special in it.
 *
 * @param subject what is seen, as in {@code a photo of sks church}
 * @param given the name of the picture that is given, as in the model
 * @param withCamera whether the text has the camera's numbers; without them only the wording is learnt (DEFT_INS in the paper)
 */
public record CameraTask(String subject, String given, boolean withCamera) {
  private static final int DECIMALS = 6;

  /**
   * For each view but the given one a record that asks for it.
   *
   * @param pictures the folder below which the names of the views lie
   * @throws InputException listing all that is wrong: the given picture not in the model, no other one, files that are
   *     missing or no pictures
   */
  public List<TrainingRecord> records(ColmapModel model, Path pictures) {
    Problems problems = new Problems();
    List<String> names = model.views().stream().map(View::name).toList();
    if (!names.contains(given)) {
      problems.add("picture '" + given + "' is not among the " + names.size() + " of the model" + Nearest.hint(given, names));
    } else if (names.size() == 1) {
      problems.add("the model has one view, '" + given + "'; others are needed as targets");
    }
    List<TrainingRecord> records = new ArrayList<>();
    for (View view : model.views()) {
      Path file = pictures.resolve(view.name());
      try {
        Pictures.requirePicture(file);
      } catch (PictureException e) {
        problems.add(e.getMessage());
      }
      if (!view.name().equals(given)) {
        records.add(new TrainingRecord("camera", prompt(view), List.of(pictures.resolve(given)), file,
            new TrainingRecord.Place(file, 0)));
      }
    }
    problems.throwIfAny();
    return records;
  }

  /** The instruction that asks for {@code view}; numbers are rounded to {@value #DECIMALS} decimals. */
  public String prompt(View view) {
    String wish = subject + " " + ImageTags.tag(1) + ", now transform into different view";
    return withCamera ? wish + " with camera info: " + describe(view) : wish;
  }

  private static String describe(View view) {
    Camera camera = view.camera();
    CameraPose pose = view.pose();
    return "Camera(model=" + camera.model() + ", width=" + camera.width() + ", height=" + camera.height() + ", params="
        + list(camera.parameters().stream().mapToDouble(Double::doubleValue).toArray()) + ") cam_from_world: Rigid3d(rotation_xyzw="
        + list(pose.x(), pose.y(), pose.z(), pose.w()) + ", translation=" + list(pose.tx(), pose.ty(), pose.tz())
        + "), projection center: " + list(pose.center()) + ", viewing direction: " + list(pose.direction());
  }

  /**
   * The numbers that say where a view was taken and with which camera: its parameters, the quaternion x, y, z, w, the
   * translation. These are 11 for {@link CameraModel#SIMPLE_RADIAL}.
   */
  public static double[] numbers(View view) {
    CameraPose pose = view.pose();
    return DoubleStream.concat(view.camera().parameters().stream().mapToDouble(Double::doubleValue),
        DoubleStream.of(pose.x(), pose.y(), pose.z(), pose.w(), pose.tx(), pose.ty(), pose.tz())).toArray();
  }

  private static String list(double... numbers) {
    return Arrays.stream(numbers).mapToObj(CameraTask::text).collect(Collectors.joining(", ", "[", "]"));
  }

  private static String text(double number) {
    BigDecimal rounded = BigDecimal.valueOf(number).setScale(DECIMALS, RoundingMode.HALF_EVEN).stripTrailingZeros();
    return rounded.toPlainString();
  }
}
