package org.deft4j.tensor.internal.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The CUDA C sources: files of the resources, each preceded by what all share. */
public final class Sources {
  /** The sources, by name. */
  public static final List<String> NAMES = List.of("elementwise", "layout", "indexing", "spatial", "rotary", "reductions", "norms",
      "group_norms", "updates", "global_norm", "products", "thin", "convolution", "attention", "attention_bf16", "attention_f16",
      "attention_bf16_bf16");

  /** A first line of a source that shares more with some others than with all. */
  private static final Pattern INCLUDE = Pattern.compile("#include \"(\\w+\\.cuh)\"\n");

  private Sources() {}

  /** The whole text of a source, ready to be compiled by itself. */
  public static String text(String name) {
    return shared() + included(name + ".cu");
  }

  /** A file after what its first lines include. */
  private static String included(String file) {
    StringBuilder text = new StringBuilder();
    String rest = resource(file);
    int line = 1;
    for (Matcher include = INCLUDE.matcher(rest); include.lookingAt(); include = INCLUDE.matcher(rest)) {
      text.append(included(include.group(1)));
      rest = rest.substring(include.end());
      line++;
    }
    return text + "#line " + line + " \"" + file + "\"\n" + rest;
  }

  /** What precedes each. */
  static String shared() {
    return CudaFunctions.declarations() + "#line 1 \"common.cuh\"\n" + resource("common.cuh");
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
