package org.deft4j.diffusion.image;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;

/** Between pictures of bytes and the tensors that models see. Letters: N pictures, H rows, W columns. */
public final class PictureTensors {
  private static final Rounding ROUNDED = value -> (byte) Math.rint(value);

  private PictureTensors() {}

  /** How a value of 0 .. 255 becomes a byte. */
  private interface Rounding {
    byte of(float value);
  }

  /**
   * F32 [1, 3, H, W] from -1 to 1: {@code (v / 255 - 0.5) / 0.5}, rounded after each operation as torchvision's ToTensor and
   * Normalize do.
   */
  public static Tensor toTensor(Picture picture) {
    float[] scaled = new float[256];
    for (int v = 0; v < 256; v++) {
      scaled[v] = (v / 255f - 0.5f) / 0.5f;
    }
    int pixels = picture.width() * picture.height();
    byte[] rgb = picture.rgb();
    float[] values = new float[3 * pixels];
    for (int i = 0; i < pixels; i++) {
      for (int channel = 0; channel < 3; channel++) {
        values[channel * pixels + i] = scaled[rgb[3 * i + channel] & 0xff];
      }
    }
    return Tensor.of(values, 1, 3, picture.height(), picture.width());
  }

  /**
   * The picture in [1, 3, H, W]: {@code (x / 2 + 0.5)}, limited to 0 .. 1, times 255, rounded half to even, as the Stable
   * Diffusion pipelines do.
   *
   * @throws NumericException if a value is not a number
   */
  public static Picture toPicture(Tensor tensor) {
    return one("toPicture", tensor, ROUNDED);
  }

  /** The same cut down to whole numbers instead of rounded, as OmniGen's pipeline does. */
  public static Picture toPictureCut(Tensor tensor) {
    return one("toPictureCut", tensor, value -> (byte) value);
  }

  private static Picture one(String name, Tensor tensor, Rounding rounding) {
    List<Picture> pictures = toPictures(tensor, rounding);
    if (pictures.size() != 1) {
      throw new ShapeException(name + ": " + tensor + " holds " + pictures.size() + " pictures; one is needed");
    }
    return pictures.getFirst();
  }

  /** The pictures in [N, 3, H, W]; see {@link #toPicture}. */
  public static List<Picture> toPictures(Tensor tensor) {
    return toPictures(tensor, ROUNDED);
  }

  private static List<Picture> toPictures(Tensor tensor, Rounding rounding) {
    if (tensor.rank() != 4 || tensor.size(1) != 3) {
      throw new ShapeException("toPictures: [N, 3, H, W] is needed, found " + tensor);
    }
    List<Picture> pictures = new ArrayList<>();
    for (long n = 0; n < tensor.size(0); n++) {
      try (Scope _ = Scope.open()) {
        Tensor one = tensor.slice(0, n, n + 1);
        pictures.add(ofPlanes(one.toFloats(), rounding, Math.toIntExact(tensor.size(3)), Math.toIntExact(tensor.size(2))));
      }
    }
    return pictures;
  }

  private static Picture ofPlanes(float[] values, Rounding rounding, int width, int height) {
    Picture picture = Picture.black(width, height);
    int pixels = width * height;
    for (int i = 0; i < pixels; i++) {
      for (int channel = 0; channel < 3; channel++) {
        float value = values[channel * pixels + i];
        if (Float.isNaN(value)) {
          throw new NumericException("toPicture: the picture holds values that are not numbers (NaN), the first at x "
              + i % width + ", y " + i / width + "; the model overflowed or its weights are damaged");
        }
        picture.rgb()[3 * i + channel] = rounding.of(Math.clamp(value / 2 + 0.5f, 0f, 1f) * 255f);
      }
    }
    return picture;
  }
}
