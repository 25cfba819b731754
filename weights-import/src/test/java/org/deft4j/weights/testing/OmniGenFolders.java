package org.deft4j.weights.testing;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.deft4j.weights.OmniGenFolder;

/** Small OmniGen models in the layout that the model is released in. */
public final class OmniGenFolders {
  private static final List<String> VAE = List.of("config.json", "diffusion_pytorch_model.safetensors");

  private OmniGenFolders() {}

  /** The first fixture's, without its golden data, in {@code target}, which is made. */
  public static Path make(Path target) {
    return make(Fixtures.folders("omnigen").getFirst(), target);
  }

  /**
   * A fixture's model, without its golden data, in {@code target}, which is made. Where the fixture has no autoencoder, OmniGen's
   * being SDXL's, that of a small SDXL is taken.
   */
  public static Path make(Path fixture, Path target) {
    Path own = fixture.resolve(OmniGenFolder.VAE);
    Path vae = Files.isDirectory(own) ? own : Fixtures.folders("sdxl").getFirst().resolve(OmniGenFolder.VAE);
    copy(fixture, target, OmniGenFolder.FILES);
    copy(fixture, target, List.of("model.safetensors"));
    copy(vae, target.resolve(OmniGenFolder.VAE), VAE);
    return target;
  }

  /** Those of the files that there are. */
  private static void copy(Path from, Path to, List<String> names) {
    try {
      Files.createDirectories(to);
      for (String name : names) {
        if (Files.exists(from.resolve(name))) {
          // Not Files.copy, which would keep what may be read-only.
          Files.write(to.resolve(name), Files.readAllBytes(from.resolve(name)));
        }
      }
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
