package org.deft4j.deft;

import java.nio.file.Path;
import org.deft4j.diffusion.image.Filter;
import org.deft4j.diffusion.image.Framed;
import org.deft4j.diffusion.image.Picture;

/**
 * A picture as it is trained on: its shorter side brought to the training size (Lanczos), the middle cut out square.
 *
 * @param file where it comes from
 * @param caption the text that goes with it
 * @param framed [size, size], and what was cut away
 */
public record TrainingPicture(Path file, String caption, Framed framed) {

  /** Resizes {@code original} and cuts a square of {@code size} pixels a side out of its middle. */
  public static TrainingPicture of(Path file, String caption, Picture original, int size) {
    return new TrainingPicture(file, caption, Framed.center(original, size, size, Filter.LANCZOS, false));
  }

  /** The same, brought to another size. */
  public TrainingPicture resized(int size) {
    return of(file, caption, framed.picture(), size);
  }

  /** SDXL's time ids: original height and width, crop top and left, target height and width. */
  public float[] timeIds() {
    return new float[] {framed.originalHeight(), framed.originalWidth(), framed.cropTop(), framed.cropLeft(),
        framed.picture().height(), framed.picture().width()};
  }
}
