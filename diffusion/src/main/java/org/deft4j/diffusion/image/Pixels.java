package org.deft4j.diffusion.image;

import org.deft4j.tensor.ShapeException;
import org.deft4j.tensor.Tensor;

/** Between pictures of bytes and the tensors that models see. */
public final class Pixels {
  private Pixels() {}

  /**
   * The picture as F32 [1,3,H,W] in -1..1: {@code (v / 255 - 0.5) / 0.5} with float32 roundings, as torchvision's {@code ToTensor} and
   * {@code Normalize([0.5], [0.5])}.
   */
  public static Tensor toTensor(Picture picture) {
    byte[] rgb = picture.rgb();
    int plane = picture.width() * picture.height();
    float[] values = new float[rgb.length];
    for (int i = 0; i < plane; i++) {
      for (int c = 0; c < 3; c++) {
        values[c * plane + i] = ((rgb[3 * i + c] & 0xFF) / 255f - 0.5f) / 0.5f;
      }
    }
    return Tensor.of(values, 1, 3, picture.height(), picture.width());
  }

  /**
   * The picture of [1,3,H,W] in -1..1: {@code round(255 * clamp(x / 2 + 0.5, 0, 1))}, halves to the even number, as Stable
   * Diffusion's pipelines and numpy do.
   */
  public static Picture toPicture(Tensor pixels) {
    if (pixels.rank() != 4 || pixels.size(0) != 1 || pixels.size(1) != 3) {
      throw new ShapeException("toPicture: pixels: expected [1, 3, H, W], found " + pixels);
    }
    int height = Math.toIntExact(pixels.size(2));
    int width = Math.toIntExact(pixels.size(3));
    float[] values = pixels.toFloats();
    int plane = width * height;
    byte[] rgb = new byte[values.length];
    for (int i = 0; i < plane; i++) {
      for (int c = 0; c < 3; c++) {
        float level = Math.clamp(values[c * plane + i] / 2 + 0.5f, 0f, 1f);
        rgb[3 * i + c] = (byte) Math.rint(level * 255f);
      }
    }
    return new Picture(width, height, rgb);
  }
}
