package org.deft4j.diffusion.image;

import com.twelvemonkeys.imageio.plugins.jpeg.JPEGImageReaderSpi;
import java.io.IOException;
import java.util.Iterator;
import java.util.Locale;
import java.util.stream.Stream;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.event.IIOReadWarningListener;
import javax.imageio.spi.IIORegistry;
import javax.imageio.spi.ImageReaderSpi;

/** The ImageIO readers used here, chosen by name: whatever else an application installs plays no part. */
final class Decoders {
  private Decoders() {}

  /** The reader that java.desktop itself brings for {@code format}, whatever else is installed. */
  static ImageReader jdk(String format) {
    for (Iterator<ImageReader> readers = ImageIO.getImageReadersByFormatName(format); readers.hasNext();) {
      ImageReader reader = readers.next();
      if ("java.desktop".equals(reader.getClass().getModule().getName())) {
        return reader;
      }
      reader.dispose();
    }
    throw new IllegalStateException("this Java runtime has no reader for " + format + " in java.desktop");
  }

  /**
   * TwelveMonkeys' JPEG reader, which mends or skips the broken segments that cameras and editors write before the JDK's
   * decoder sees them. It works only when it is registered; where ImageIO's own scan did not find it, that is done here.
   */
  static ImageReader jpeg() throws IOException {
    IIORegistry registry = IIORegistry.getDefaultInstance();
    JPEGImageReaderSpi spi = registry.getServiceProviderByClass(JPEGImageReaderSpi.class);
    if (spi == null) {
      spi = new JPEGImageReaderSpi();
      registry.registerServiceProvider(spi, ImageReaderSpi.class);
    }
    return spi.createReaderInstance(null);
  }

  /** Remembers the first warning that tells of missing or broken data, which ImageIO would fill with gray. */
  static final class DamageListener implements IIOReadWarningListener {
    private String damage;

    @Override
    public void warningOccurred(ImageReader source, String warning) {
      String text = warning == null ? "" : warning.toLowerCase(Locale.ROOT);
      if (damage == null && Stream.of("premature", "truncated", "missing eoi", "huffman").anyMatch(text::contains)) {
        damage = warning;
      }
    }

    /** The warning, or null. */
    String damage() {
      return damage;
    }
  }
}
