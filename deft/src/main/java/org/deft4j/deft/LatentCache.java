package org.deft4j.deft;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Map;
import org.deft4j.diffusion.AutoencoderKL;
import org.deft4j.diffusion.LatentDistribution;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;

/**
 * Encoded pictures on disk, so that a second training need not encode them again. A picture is found by what it is: the name of
 * its file is the SHA-256 of its pixels, of the autoencoder's weights and of its configuration, so nothing is ever out of date.
 */
public final class LatentCache {
  private static final String MEAN = "mean";
  private static final String DEVIATION = "deviation";

  private final Path folder;
  private final AutoencoderKL vae;
  private final byte[] identity;

  private LatentCache(Path folder, AutoencoderKL vae, byte[] identity) {
    this.folder = folder;
    this.vae = vae;
    this.identity = identity;
  }

  /** A cache in {@code folder}, which exists, for {@code vae}, whose weights are loaded. */
  public static LatentCache of(Path folder, AutoencoderKL vae) {
    MessageDigest digest = sha256();
    digest.update(vae.config().toString().getBytes(StandardCharsets.UTF_8));
    vae.parameters().forEach((name, parameter) -> {
      digest.update(name.getBytes(StandardCharsets.UTF_8));
      digest.update(parameter.value().dtype().name().getBytes(StandardCharsets.UTF_8));
      try (Scope _ = Scope.open()) {
        digest.update(parameter.value().to(Device.CPU).bytes().asByteBuffer());
      }
    });
    return new LatentCache(folder, vae, digest.digest());
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /** What the cache has of {@code picture}; else it is encoded, and kept. Belongs to no scope. */
  public LatentDistribution get(Picture picture) {
    Path file = folder.resolve(key(picture) + ".safetensors");
    if (Files.exists(file)) {
      try {
        return read(file, picture);
      } catch (FormatException e) {
        // A damaged file is as good as none: it is written anew.
      }
    }
    LatentDistribution encoded = LatentDistribution.encode(vae, picture);
    SafetensorsWriter.write(file, Map.of(MEAN, encoded.mean(), DEVIATION, encoded.deviation()), Map.of());
    return encoded;
  }

  private String key(Picture picture) {
    MessageDigest digest = sha256();
    digest.update(identity);
    digest.update(ByteBuffer.allocate(2 * Integer.BYTES).putInt(picture.width()).putInt(picture.height()).flip());
    digest.update(picture.rgb());
    return HexFormat.of().formatHex(digest.digest());
  }

  private LatentDistribution read(Path file, Picture picture) {
    int scale = vae.config().downscale();
    long[] shape = {1, vae.config().latentChannels(), picture.height() / scale, picture.width() / scale};
    try (Scope _ = Scope.open(); SafetensorsFile source = SafetensorsFile.open(file)) {
      Tensor mean = tensor(source, MEAN, shape);
      Tensor deviation = tensor(source, DEVIATION, shape);
      return new LatentDistribution(Scope.release(mean), Scope.release(deviation));
    }
  }

  private static Tensor tensor(SafetensorsFile source, String name, long[] shape) {
    if (!source.names().contains(name) || source.dtype(name) != DType.F32
        || !Arrays.equals(source.shape(name).toArray(), shape)) {
      throw new FormatException(source.source() + ": is no cached latent of this picture");
    }
    return source.load(name);
  }
}
