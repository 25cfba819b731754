package org.deft4j.diffusion.omnigen;

import java.util.List;
import java.util.Map;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PictureTensors;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** Input pictures against PIL's results. */
final class GoldenPictures {
  /** The release's own limit for input pictures. */
  private static final int MAX_INPUT = 1024;

  private GoldenPictures() {}

  static void check(OmniGenFixture fixture, JsonObject entry) {
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> golden = Fixtures.golden(fixture.folder().resolve("preprocess.safetensors"));
      int index = entry.requireInteger("index");
      Picture in = picture(golden.get("in." + index));
      compare(golden.get("crop_arr." + index), entry.requireInts("crop_arr_hw"),
          InputPictures.fit(in, entry.requireInteger("crop_arr_max")));
      compare(golden.get("center_crop." + index), entry.requireInts("center_crop_hw"),
          InputPictures.centerCrop(in, entry.requireInteger("center_crop_size")));
    }
  }

  private static void compare(Tensor golden, List<Integer> heightAndWidth, Picture actual) {
    assertEquals(heightAndWidth, List.of(actual.height(), actual.width()));
    assertArrayEquals(picture(golden).rgb(), actual.rgb());
  }

  /** U8 [H, W, 3]. */
  private static Picture picture(Tensor golden) {
    long[] values = golden.toLongs();
    byte[] rgb = new byte[values.length];
    for (int i = 0; i < rgb.length; i++) {
      rgb[i] = (byte) values[i];
    }
    return new Picture((int) golden.size(1), (int) golden.size(0), rgb);
  }

  static void checkPixels(OmniGenFixture fixture, String name, Picture picture) {
    try (Scope _ = Scope.open()) {
      Tensor golden = Fixtures.golden(fixture.folder().resolve("parts.safetensors")).get("pixels." + name);
      Picture fitted = InputPictures.fit(picture, MAX_INPUT);
      assertEquals(fixture.cases().requireObject("image_pixels").requireInts(name), List.of(fitted.height(), fitted.width()));
      Fixtures.equal(name, PictureTensors.toTensor(fitted).reshape(3, fitted.height(), fitted.width()), golden);
    }
  }
}
