package org.deft4j.tensor.internal.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** The CUDA C sources: files of the resources, each preceded by what all share. */
public final class Sources {
  /** The sources, by name. */
  public static final List<String> NAMES = List.of("elementwise", "layout", "indexing", "spatial", "rotary", "reductions", "norms",
      "updates", "products", "convolution");

  /** Those of rows and columns, which work in teams. */
  private static final List<String> OF_TEAMS = List.of("reductions", "norms");

  private Sources() {}

  /** The whole text of a source, ready to be compiled by itself. */
  public static String text(String name) {
    return shared() + (OF_TEAMS.contains(name) ? included("teams.cuh") : "") + included(name + ".cu");
  }

  /** What precedes each. */
  static String shared() {
    return CudaFunctions.declarations() + included("common.cuh");
  }

  private static String included(String file) {
    return "#line 1 \"" + file + "\"\n" + resource(file);
  }

  private static String resource(String file) {
    String path = "/org/deft4j/tensor/cuda/" + file;
    try (InputStream in = Sources.class.getResourceAsStream(path)) {
      if (in == null) {
        throw new IllegalStateException("the program lacks its resource " + path);
      }
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
