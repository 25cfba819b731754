package org.deft4j.deft;

import java.nio.file.Path;
import org.deft4j.diffusion.image.Filter;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.Resize;
import org.deft4j.tensor.Tensor;

/**
 * A picture as it is trained on: its shorter side brought to the training size (Lanczos), the middle cut out square.
 *
 * @param file where it comes from
 * @param caption the text that goes with it
 * @param picture [size, size]
 * @param originalHeight of the file's picture, turned upright
 * @param originalWidth likewise
 * @param cropTop rows above the cut, in the resized picture
 * @param cropLeft columns left of it
 */
public record TrainingPicture(Path file, String caption, Picture picture, int originalHeight, int originalWidth,
    int cropTop, int cropLeft) {

  /** Resizes and cuts. */
  static TrainingPicture of(Path file, String caption, Picture original, int size) {
    int width = original.width();
    int height = original.height();
    int shorter = Math.min(width, height);
    int newWidth = width == shorter ? size : (int) ((long) size * width / shorter);
    int newHeight = height == shorter ? size : (int) ((long) size * height / shorter);
    int left = (newWidth - size) / 2;
    int top = (newHeight - size) / 2;
    Picture cut = Resize.resize(original, newWidth, newHeight, Filter.LANCZOS).crop(left, top, size, size);
    return new TrainingPicture(file, caption, cut, height, width, top, left);
  }

  /** The pixels as [1, 3, size, size], 0..255 mapped to -1..1. */
  Tensor pixels() {
    byte[] rgb = picture.rgb();
    float[] values = new float[rgb.length];
    int plane = picture.width() * picture.height();
    for (int i = 0; i < plane; i++) {
      for (int c = 0; c < 3; c++) {
        values[c * plane + i] = (rgb[3 * i + c] & 0xFF) / 127.5f - 1;
      }
    }
    return Tensor.of(values, 1, 3, picture.height(), picture.width());
  }

  /** SDXL's time ids: original height and width, crop top and left, target height and width. */
  float[] timeIds() {
    return new float[] {originalHeight, originalWidth, cropTop, cropLeft, picture.height(), picture.width()};
  }
}
