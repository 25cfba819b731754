package org.deft4j.diffusion.image;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * Reads pictures: PNG, JPEG (baseline, progressive, lossless; gray, YCbCr, RGB, CMYK, YCCK), WebP, GIF and BMP.
 *
 * <p>What comes out is what PIL's {@code ImageOps.exif_transpose(image).convert("RGB")} gives: turned as EXIF says, palettes
 * and gray expanded, transparency dropped (not blended), the first picture of an animation, no colour management; of 16 bits
 * the high byte.
 */
public final class Pictures {
  /** More pixels than this are refused before any is decoded, unless another limit is given. */
  public static final long DEFAULT_MAX_PIXELS = 100_000_000;

  /** All that tells formats apart. */
  private static final int SIGNATURE_BYTES = 32;

  private Pictures() {}

  /**
   * The picture in {@code path}, of at most {@link #DEFAULT_MAX_PIXELS}.
   *
   * @throws PictureException if there is none that can be read; its {@link PictureException#kind} says why
   */
  public static Picture read(Path path) {
    return read(path, DEFAULT_MAX_PIXELS);
  }

  /**
   * The picture in {@code path}.
   *
   * @throws PictureException if there is none that can be read, or it has more than {@code maxPixels} pixels
   */
  public static Picture read(Path path, long maxPixels) {
    PictureFile file = file(path, maxPixels);
    try {
      return switch (file.format()) {
        case JPEG -> Jpeg.read(file);
        case PNG -> Png.read(file);
        case WEBP -> Webp.read(file);
        case GIF -> Gif.read(file);
        case BMP -> Bmp.read(file);
      };
    } catch (IOException | RuntimeException e) {
      throw e instanceof PictureException known ? known : file.damaged(e);
    }
  }

  /**
   * Refuses what cannot be a picture: no file, one that may not be read, no bytes, or the first bytes of another format.
   * Nothing is decoded: a picture that is damaged further on passes.
   *
   * @throws PictureException if so; its {@link PictureException#kind} says why
   */
  public static void requirePicture(Path path) {
    new PictureFile(path, bytes(path, SIGNATURE_BYTES), DEFAULT_MAX_PIXELS).format();
  }

  static PictureFile file(Path path, long maxPixels) {
    return new PictureFile(path, bytes(path, Integer.MAX_VALUE), maxPixels);
  }

  /** The first bytes of a file, at most so many. */
  private static byte[] bytes(Path path, int most) {
    try {
      if (Files.isDirectory(path)) {
        throw new PictureException(path, PictureException.Kind.UNREADABLE, "is a folder, not a file", null);
      }
      long size = Files.size(path);
      if (size > Integer.MAX_VALUE - 8) {
        throw new PictureException(path, PictureException.Kind.TOO_LARGE, "the file has " + size
            + " bytes; files below 2 GiB are read", null);
      }
      try (InputStream in = Files.newInputStream(path)) {
        byte[] bytes = in.readNBytes((int) Math.min(size, most));
        if (bytes.length == 0) {
          throw new PictureException(path, PictureException.Kind.EMPTY, "the file is empty", null);
        }
        return bytes;
      }
    } catch (NoSuchFileException e) {
      throw new PictureException(path, PictureException.Kind.UNREADABLE, "there is no such file", e);
    } catch (AccessDeniedException e) {
      throw new PictureException(path, PictureException.Kind.UNREADABLE, "may not be read: permission denied", e);
    } catch (IOException e) {
      throw new PictureException(path, PictureException.Kind.UNREADABLE, "cannot be read: " + e.getMessage(), e);
    }
  }
}
