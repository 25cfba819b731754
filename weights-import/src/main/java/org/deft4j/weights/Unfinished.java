package org.deft4j.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/**
 * Files and folders that are being written under a name for the time being. Those that are there when the process ends, as
 * an interrupt ends it, are deleted then.
 */
public final class Unfinished {
  private static final Set<Path> PATHS = ConcurrentHashMap.newKeySet();

  static {
    Runtime.getRuntime().addShutdownHook(new Thread(Unfinished::deleteAll, "deft4j-unfinished"));
  }

  private Unfinished() {}

  /** {@code path} is about to be made. */
  public static void begin(Path path) {
    PATHS.add(path);
  }

  /** {@code path} has its own name now, or is to go: what is still there is deleted. */
  public static void end(Path path) throws IOException {
    PATHS.remove(path);
    delete(path);
  }

  private static void deleteAll() {
    for (Path path : PATHS) {
      try {
        delete(path);
      } catch (IOException e) {
        System.getLogger(Unfinished.class.getName()).log(System.Logger.Level.DEBUG, path + " is left behind", e);
      }
    }
  }

  /** Deletes a file, or a folder with all that is in it, where there is one. */
  private static void delete(Path path) throws IOException {
    if (Files.notExists(path)) {
      return;
    }
    List<Path> all;
    try (Stream<Path> walk = Files.walk(path)) {
      all = walk.sorted(Comparator.reverseOrder()).toList();
    }
    for (Path each : all) {
      Files.deleteIfExists(each);
    }
  }
}
