package org.deft4j.diffusion.image;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.deft4j.diffusion.image.PictureException.Kind;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Files that are no pictures, or not whole, or too large. */
class HostilePictureTest {
  @TempDir
  private Path folder;

  private Path file(byte[] bytes) throws IOException {
    return Files.write(folder.resolve("picture"), bytes);
  }

  private void assertKind(Kind kind, byte[] bytes) throws IOException {
    Path path = file(bytes);
    PictureException e = assertThrows(PictureException.class, () -> Pictures.read(path));
    assertEquals(kind, e.kind(), e.getMessage());
    assertEquals(path, e.path());
    assertTrue(e.getMessage().contains(path.toString()), e.getMessage());
  }

  private static byte[] latin1(String text) {
    return text.getBytes(StandardCharsets.ISO_8859_1);
  }

  private static List<Path> goldenFiles() {
    Path images = Fixtures.folder("images");
    return Json.read(images.resolve("cases.json")).requireObjects("files").stream()
        .map((JsonObject entry) -> images.resolve(entry.requireString("file"))).toList();
  }

  @Test
  void eachKindHasItsOwnError() throws IOException {
    assertEquals(Kind.UNREADABLE,
        assertThrows(PictureException.class, () -> Pictures.read(folder.resolve("missing.png"))).kind());
    assertEquals(Kind.UNREADABLE, assertThrows(PictureException.class, () -> Pictures.read(folder)).kind());
    assertKind(Kind.EMPTY, new byte[0]);
    assertKind(Kind.NOT_A_PICTURE, latin1("BMW builds cars, and this is a text"));
    assertKind(Kind.NOT_A_PICTURE, latin1("#!/bin/sh\n"));
    assertKind(Kind.NOT_A_PICTURE, new byte[] {(byte) 0xff});
    assertKind(Kind.UNSUPPORTED, latin1("II*\0 and so on"));
    assertKind(Kind.UNSUPPORTED, latin1("\0\0\0\34ftypheic and so on"));
    assertKind(Kind.DAMAGED, latin1("\u00ff\u00d8\u00ff"));
    assertKind(Kind.DAMAGED, latin1("GIF89a"));
  }

  /** Whatever is cut off, either the picture is complete without it, or that is said. */
  @Test
  void truncatedFilesAreRefused() throws IOException {
    for (Path golden : goldenFiles()) {
      byte[] bytes = Files.readAllBytes(golden);
      Picture whole = Pictures.read(golden);
      for (int length = 20; length < bytes.length; length += Math.max(1, bytes.length / 25)) {
        Path path = file(Arrays.copyOf(bytes, length));
        try {
          assertEquals(whole, Pictures.read(path), golden + " cut to " + length + " bytes");
        } catch (PictureException e) {
          assertEquals(Kind.DAMAGED, e.kind(), e.getMessage());
        }
      }
      byte[] half = Arrays.copyOf(bytes, bytes.length / 2);
      assertKind(Kind.DAMAGED, half);
    }
  }

  @Test
  void damagedFilesEndInAPictureOrAPictureException() {
    Random random = new Random(7);
    assertTimeout(Duration.ofMinutes(2), () -> {
      for (Path golden : goldenFiles()) {
        byte[] bytes = Files.readAllBytes(golden);
        for (int n = 0; n < 30; n++) {
          byte[] damaged = bytes.clone();
          for (int k = 0; k <= n % 5; k++) {
            damaged[random.nextInt(k % 2 == 0 ? damaged.length : 64)] = (byte) random.nextInt();
          }
          Path path = file(damaged);
          try {
            Pictures.read(path, 1_000_000);
          } catch (PictureException e) {
            assertEquals(path, e.path());
          }
        }
      }
    });
  }

  @Test
  void sizesAreCheckedBeforeAnythingIsDecoded() throws IOException {
    Picture small = Picture.black(40, 30);
    Path path = file(PngWriter.encode(small, Map.of()));
    assertEquals(Kind.TOO_LARGE, assertThrows(PictureException.class, () -> Pictures.read(path, 1199)).kind());
    assertEquals(small, Pictures.read(path, 1200));
    for (Path golden : goldenFiles()) {
      assertEquals(Kind.TOO_LARGE, assertThrows(PictureException.class, () -> Pictures.read(golden, 100)).kind(),
          golden.toString());
    }
    // A BMP header that promises 20,000 x 20,000 pixels in 54 bytes.
    byte[] bmp = new byte[54];
    System.arraycopy(latin1("BM"), 0, bmp, 0, 2);
    bmp[10] = 54;
    bmp[14] = 40;
    bmp[18] = 0x20;
    bmp[19] = 0x4e;
    bmp[22] = 0x20;
    bmp[23] = 0x4e;
    bmp[26] = 1;
    bmp[28] = 24;
    assertKind(Kind.TOO_LARGE, bmp);
  }

  /** The first bytes tell as much as all of them, but for damage further on. */
  @Test
  void theFirstBytesAreLookedAt() throws IOException {
    byte[] whole = PngWriter.encode(new Picture(40, 30, new byte[3600]), Map.of());
    Pictures.requirePicture(file(whole));
    Path cut = file(Arrays.copyOf(whole, 40));
    Pictures.requirePicture(cut);
    assertThrows(PictureException.class, () -> Pictures.read(cut));
    Map<Kind, byte[]> refused = Map.of(Kind.EMPTY, new byte[0], Kind.NOT_A_PICTURE, "a text".getBytes(StandardCharsets.US_ASCII),
        Kind.UNSUPPORTED, "8BPS....".getBytes(StandardCharsets.US_ASCII));
    for (Map.Entry<Kind, byte[]> entry : refused.entrySet()) {
      Path path = file(entry.getValue());
      assertEquals(entry.getKey(), assertThrows(PictureException.class, () -> Pictures.requirePicture(path)).kind());
    }
    for (Path path : List.of(folder, folder.resolve("absent"))) {
      assertEquals(Kind.UNREADABLE, assertThrows(PictureException.class, () -> Pictures.requirePicture(path)).kind());
    }
  }
}
