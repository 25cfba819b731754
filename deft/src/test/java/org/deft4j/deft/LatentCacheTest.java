package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.deft4j.diffusion.AutoencoderKL;
import org.deft4j.diffusion.LatentDistribution;
import org.deft4j.diffusion.StableDiffusion;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

/** Encoded pictures on disk: found by what they are, and never believed where they are damaged. */
class LatentCacheTest {
  @TempDir
  Path folder;

  private static Picture picture(int value) {
    byte[] rgb = new byte[3 * 32 * 48];
    for (int i = 0; i < rgb.length; i++) {
      rgb[i] = (byte) (value + 31 * i);
    }
    return new Picture(48, 32, rgb);
  }

  private List<Path> files() throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  private static float[] mean(LatentDistribution latent) {
    try (latent) {
      return latent.mean().toFloats();
    }
  }

  @Test
  void keepsByContent() throws IOException {
    try (StableDiffusion model = StableDiffusion.load(Fixtures.models().getFirst().toString())) {
      AutoencoderKL vae = model.vae();
      LatentCache cache = LatentCache.of(folder, vae);
      float[] direct = mean(LatentDistribution.encode(vae, picture(1)));
      assertArrayEquals(direct, mean(cache.get(picture(1))));
      assertEquals(1, files().size());
      assertArrayEquals(direct, mean(LatentCache.of(folder, vae).get(picture(1))));
      assertEquals(1, files().size(), "the same picture is the same file");
      cache.get(picture(2)).close();
      assertEquals(2, files().size());
      // Another autoencoder has other latents.
      vae.parameters().get("encoder.conv_in.bias").value().memory().set(java.lang.foreign.ValueLayout.JAVA_FLOAT, 0, 9f);
      LatentCache.of(folder, vae).get(picture(1)).close();
      assertEquals(3, files().size());
    }
  }

  @Test
  void whatIsDamagedIsWrittenAnew() throws IOException {
    try (StableDiffusion model = StableDiffusion.load(Fixtures.models().getFirst().toString()); Scope _ = Scope.open()) {
      LatentCache cache = LatentCache.of(folder, model.vae());
      float[] right = mean(cache.get(picture(1)));
      Path file = files().getFirst();
      byte[] stored = Files.readAllBytes(file);
      Files.write(file, java.util.Arrays.copyOf(stored, stored.length - 5));
      assertArrayEquals(right, mean(cache.get(picture(1))));
      assertArrayEquals(stored, Files.readAllBytes(file));
      Tensor other = Tensor.zeros(DType.F32, 1, 4, 2, 2);
      SafetensorsWriter.write(file, Map.of("mean", other, "deviation", other), Map.of());
      assertArrayEquals(right, mean(cache.get(picture(1))));
      assertArrayEquals(stored, Files.readAllBytes(file));
    }
  }
}
