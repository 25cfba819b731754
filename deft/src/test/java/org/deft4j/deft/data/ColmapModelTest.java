package org.deft4j.deft.data;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.deft.InputException;
import org.deft4j.deft.data.ColmapModel.Camera;
import org.deft4j.deft.data.ColmapModel.View;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** COLMAP's text models, the geometry of a pose, and the text that describes a view. */
class ColmapModelTest {
  private static final String CAMERA = "1 SIMPLE_RADIAL 3840 2160 3071.5 1920 1080 -0.0125\n";

  private static ColmapModel read(Path folder, String cameras, String images) throws IOException {
    Files.writeString(folder.resolve("cameras.txt"), cameras);
    Files.writeString(folder.resolve("images.txt"), images);
    return ColmapModel.read(folder);
  }

  private static List<String> problems(Path folder, String cameras, String images) {
    return assertThrows(InputException.class, () -> read(folder, cameras, images), cameras + images).problems().stream()
        .map(problem -> problem.replace(folder.resolve("cameras.txt").toString(), "C")
            .replace(folder.resolve("images.txt").toString(), "I"))
        .toList();
  }

  @Test
  void commentsEmptyPointsAndNamesWithSpaces(@TempDir Path folder) throws IOException {
    ColmapModel model = read(folder, "\uFEFF# Camera list\r\n#   CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\r\n\r\n"
        + CAMERA.replace("\n", "\r\n")
        + "7  PINHOLE\t640 480   500 501 320 240\r\n", """
        # Image list with two lines of data per image:
        #   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME

        12 1 0 0 0 1 2 3 1 frame7.png
        10.5 20.25 -1 30 40 17
        13 0.5 0.5 0.5 0.5 0 0 0 7 left side/a b.png

        14 0 0 0 2 0 0 -4e-1 1 c.png""");
    Camera first = new Camera(1, CameraModel.SIMPLE_RADIAL, 3840, 2160, List.of(3071.5, 1920.0, 1080.0, -0.0125));
    Camera second = new Camera(7, CameraModel.PINHOLE, 640, 480, List.of(500.0, 501.0, 320.0, 240.0));
    assertEquals(List.of(new View(12, new CameraPose(0, 0, 0, 1, 1, 2, 3), first, "frame7.png"),
        new View(13, new CameraPose(0.5, 0.5, 0.5, 0.5, 0, 0, 0), second, "left side/a b.png"),
        new View(14, new CameraPose(0, 0, 1, 0, 0, 0, -0.4), first, "c.png")), model.views());
  }

  @Test
  void mistakesHaveTheirLine(@TempDir Path folder) {
    String image = "1 1 0 0 0 0 0 0 1 a.png\n\n";
    Map<List<String>, String> mistakes = new LinkedHashMap<>();
    mistakes.put(List.of("# c\n1 SIMPLE_RADIAL 10 10 1 2 3\n" + CAMERA, image),
        "C, line 2: model SIMPLE_RADIAL has 4 parameters (f, cx, cy, k), found 3");
    mistakes.put(List.of(CAMERA + "2 PINHOL 10 10 1 2 3\n", image), "C, line 2: camera model 'PINHOL' is unknown: ");
    mistakes.put(List.of(CAMERA + "2 PINHOLE 10\n", image), "C, line 2: CAMERA_ID MODEL WIDTH HEIGHT PARAMS... are needed, found 3 words");
    mistakes.put(List.of(CAMERA + "2 SIMPLE_PINHOLE 10 0 1 2 3\n", image), "C, line 2: the size 10 x 0 is none");
    mistakes.put(List.of(CAMERA + "2 SIMPLE_PINHOLE 10 8 1 x 3\n", image), "C, line 2: cx: a number is needed, found 'x'");
    mistakes.put(List.of(CAMERA + "2 SIMPLE_PINHOLE 10 8 1 NaN 3\n", image), "C, line 2: cx: a number is needed, found 'NaN'");
    mistakes.put(List.of(CAMERA + "2 SIMPLE_PINHOLE 1.5 8 1 2 3\n", image), "C, line 2: WIDTH: a whole number is needed, found '1.5'");
    mistakes.put(List.of(CAMERA + CAMERA, image), "C, line 2: camera 1 is there twice");
    mistakes.put(List.of(CAMERA, "#\n1 1 0 0 0 0 0 0 1\n\n" + image),
        "I, line 2: IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME are needed, found 9 words");
    mistakes.put(List.of(CAMERA, image + "2 1 0 0 q 0 0 0 1 b.png\n\n"), "I, line 3: QZ: a number is needed, found 'q'");
    mistakes.put(List.of(CAMERA, image + "2 1 0 0 0 0 0 0 3 b.png\n\n"), "I, line 3: camera 3 is not in cameras.txt");
    mistakes.put(List.of(CAMERA, image + "2 0 0 0 0 0 0 0 1 b.png\n\n"), "I, line 3: the quaternion (w 0.0, x 0.0, y 0.0, z 0.0)");
    mistakes.put(List.of(CAMERA, image + "1 1 0 0 0 0 0 0 1 b.png\n\n"), "I, line 3: image 1, b.png, is there twice");
    mistakes.put(List.of(CAMERA, image + "2 1 0 0 0 0 0 0 1 a.png\n\n"), "I, line 3: image 2, a.png, is there twice");
    mistakes.put(List.of(CAMERA, image + "2 1 0 0 0 0 0 0 1 b.png\n3 1 0 0 0 0 0 0 1 c.png\n"),
        "I, line 4: the points X Y POINT3D_ID ... of the image on the line above are needed, or an empty line");
    mistakes.put(List.of(CAMERA, image + "2 1 0 0 0 0 0 0 1 b.png\n1 2 3 4\n"), "I, line 4: the points X Y POINT3D_ID");
    mistakes.put(List.of(CAMERA, "# nothing\n"), "I: there is no image in it");
    mistakes.forEach((texts, expected) -> {
      List<String> found = problems(folder, texts.get(0), texts.get(1));
      assertEquals(1, found.size(), String.join("\n", found));
      assertTrue(found.getFirst().startsWith(expected), found.getFirst());
    });
    assertTrue(problems(folder, CAMERA + "2 PINHOL 10 10 1 2 3\n", image).getFirst().endsWith("; did you mean 'PINHOLE'?"));
  }

  @Test
  void binaryModelsAreToldApart(@TempDir Path folder) throws IOException {
    Files.writeString(folder.resolve("cameras.bin"), "x");
    List<String> found = assertThrows(InputException.class, () -> ColmapModel.read(folder)).problems();
    assertEquals(2, found.size());
    assertTrue(found.getFirst().endsWith("cameras.txt: there is no such file; "
        + "write the model as text: colmap model_converter --output_type TXT"));
    assertTrue(found.getLast().endsWith("images.txt: there is no such file"));
  }

  /** R is a rotation; the centre is what is mapped to 0, and a step along the direction moves straight ahead. */
  @Property(tries = 500)
  void geometry(@ForAll @DoubleRange(min = -1, max = 1) double x, @ForAll @DoubleRange(min = -1, max = 1) double y,
      @ForAll @DoubleRange(min = -1, max = 1) double z, @ForAll @DoubleRange(min = 0.01, max = 1) double w,
      @ForAll @DoubleRange(min = -50, max = 50) double tx, @ForAll @DoubleRange(min = -50, max = 50) double ty) {
    CameraPose pose = new CameraPose(x, y, z, w, tx, ty, 3);
    double[][] r = pose.rotation();
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 3; j++) {
        assertEquals(i == j ? 1 : 0, r[i][0] * r[j][0] + r[i][1] * r[j][1] + r[i][2] * r[j][2], 1e-14);
      }
      double[] next = r[(i + 1) % 3];
      double[] last = r[(i + 2) % 3];
      assertArrayEquals(r[i], new double[] {next[1] * last[2] - next[2] * last[1], next[2] * last[0] - next[0] * last[2],
          next[0] * last[1] - next[1] * last[0]}, 1e-14);
    }
    assertArrayEquals(new double[3], toCamera(pose, pose.center(), 0, pose.direction()), 1e-12);
    assertArrayEquals(new double[] {0, 0, 2.5}, toCamera(pose, pose.center(), 2.5, pose.direction()), 1e-12);
    // The axis of the quaternion stays where it is.
    double length = Math.sqrt(x * x + y * y + z * z);
    double[] axis = {x / Math.max(length, 1e-300), y / Math.max(length, 1e-300), z / Math.max(length, 1e-300)};
    CameraPose turn = new CameraPose(x, y, z, w, 0, 0, 0);
    assertArrayEquals(axis, toCamera(turn, axis, 0, axis), 1e-13);
    assertEquals(1 + 2 * Math.cos(2 * Math.atan2(length, w)), r[0][0] + r[1][1] + r[2][2], 1e-12);
  }

  /** {@code R (point + step direction) + t}. */
  private static double[] toCamera(CameraPose pose, double[] point, double step, double[] direction) {
    double[] t = {pose.tx(), pose.ty(), pose.tz()};
    double[] result = new double[3];
    for (int i = 0; i < 3; i++) {
      result[i] = t[i];
      for (int j = 0; j < 3; j++) {
        result[i] += pose.rotation()[i][j] * (point[j] + step * direction[j]);
      }
    }
    return result;
  }

  /** A quarter turn to the left around the axis that points down: what was to the left is ahead. */
  @Test
  void theSenseOfTheRotation() {
    CameraPose pose = new CameraPose(0, Math.sin(Math.PI / 4), 0, Math.cos(Math.PI / 4), 0, 0, 0);
    assertArrayEquals(new double[] {-1, 0, 0}, pose.direction(), 1e-15);
    assertArrayEquals(new double[] {0, 0, 1}, toCamera(pose, new double[] {-1, 0, 0}, 0, new double[3]), 1e-15);
  }

  /** Whatever is written in COLMAP's form reads back. */
  @Property(tries = 60)
  void roundTrip(@ForAll @IntRange(max = 99_999) int seed) throws IOException {
    Random random = new Random(seed);
    StringBuilder cameras = new StringBuilder("# cameras\n");
    List<Camera> known = new ArrayList<>();
    for (int id = 1; id <= 3; id++) {
      List<CameraModel> models = List.of(CameraModel.values());
      CameraModel model = models.get(random.nextInt(models.size()));
      List<Double> parameters = model.parameters().stream().map(name -> random.nextGaussian()).toList();
      known.add(new Camera(id, model, 1 + random.nextInt(9000), 1 + random.nextInt(9000), parameters));
      cameras.append(id).append(' ').append(model).append(' ').append(known.getLast().width()).append(' ')
          .append(known.getLast().height());
      parameters.forEach(value -> cameras.append(' ').append(value));
      cameras.append('\n');
    }
    StringBuilder images = new StringBuilder("# images\n");
    List<View> views = new ArrayList<>();
    for (int id = 1; id <= 5; id++) {
      double[] q = random.doubles(7, -2, 2).toArray();
      Camera camera = known.get(random.nextInt(3));
      views.add(new View(id, new CameraPose(q[1], q[2], q[3], q[0], q[4], q[5], q[6]), camera, "frame " + id + ".png"));
      images.append(id);
      for (double value : q) {
        images.append(' ').append(value);
      }
      images.append(' ').append(camera.id()).append(" frame ").append(id).append(".png\n")
          .append(random.nextBoolean() ? "1.5 2 -1\n" : "\n");
    }
    Path folder = Files.createTempDirectory("colmap");
    try {
      assertEquals(new ColmapModel(views), read(folder, cameras.toString(), images.toString()));
    } finally {
      Files.delete(folder.resolve("cameras.txt"));
      Files.delete(folder.resolve("images.txt"));
      Files.delete(folder);
    }
  }

  @Test
  void theTextOfAView(@TempDir Path folder) throws IOException {
    ColmapModel model = read(folder, CAMERA, """
        1 1 0 0 0 1 -2 0.1234567 1 frame7.png

        2 0.70710678118654757 0 0.70710678118654757 0 3 0 -1e-9 1 frame8.png

        """);
    CameraTask task = new CameraTask("a photo of sks church", "frame7.png", true);
    assertEquals("a photo of sks church <img><|image_1|></img>, now transform into different view with camera info: "
        + "Camera(model=SIMPLE_RADIAL, width=3840, height=2160, params=[3071.5, 1920, 1080, -0.0125]) "
        + "cam_from_world: Rigid3d(rotation_xyzw=[0, 0.707107, 0, 0.707107], translation=[3, 0, 0]), "
        + "projection center: [0, 0, -3], viewing direction: [-1, 0, 0]", task.prompt(model.views().get(1)));
    assertTrue(task.prompt(model.views().getFirst()).endsWith("rotation_xyzw=[0, 0, 0, 1], translation=[1, -2, 0.123457]), "
        + "projection center: [-1, 2, -0.123457], viewing direction: [0, 0, 1]"));
    assertEquals(11, CameraTask.numbers(model.views().getFirst()).length);
    assertArrayEquals(new double[] {3071.5, 1920, 1080, -0.0125, 0, 0, 0, 1, 1, -2, 0.1234567},
        CameraTask.numbers(model.views().getFirst()));
    assertEquals("a photo of sks church <img><|image_1|></img>, now transform into different view",
        new CameraTask("a photo of sks church", "frame7.png", false).prompt(model.views().get(1)));
  }

  @Test
  void everyOtherViewIsATarget(@TempDir Path folder) throws IOException {
    ColmapModel model = read(folder, CAMERA, """
        1 1 0 0 0 0 0 0 1 frame7.png

        2 1 0 0 0 0 0 1 1 b/frame8.png

        3 1 0 0 0 0 0 2 1 frame9.png

        """);
    Path pictures = folder.resolve("pictures");
    for (View view : model.views()) {
      Drawn.write(pictures.resolve(view.name()));
    }
    CameraTask task = new CameraTask("a photo of sks church", "frame7.png", true);
    List<TrainingRecord> records = task.records(model, pictures);
    assertEquals(List.of(pictures.resolve("b/frame8.png"), pictures.resolve("frame9.png")),
        records.stream().map(TrainingRecord::outputImage).toList());
    records.forEach(record -> assertEquals(List.of(pictures.resolve("frame7.png")), record.inputImages()));
    Path file = folder.resolve("camera.jsonl");
    RecordFile.write(file, records);
    assertEquals(records.stream().map(TrainingRecord::instruction).toList(),
        RecordFile.read(file, null).stream().map(TrainingRecord::instruction).toList());

    Files.delete(pictures.resolve("frame9.png"));
    List<String> found = assertThrows(InputException.class,
        () -> new CameraTask("x", "frame6.png", true).records(model, pictures)).problems();
    assertEquals(List.of("picture 'frame6.png' is not among the 3 of the model; did you mean 'frame7.png'?",
        "picture " + pictures.resolve("frame9.png") + ": there is no such file"), found);
    ColmapModel alone = new ColmapModel(model.views().subList(0, 1));
    assertTrue(assertThrows(InputException.class, () -> task.records(alone, pictures)).getMessage()
        .startsWith("the model has one view"));
  }
}
