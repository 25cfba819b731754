package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The folders above a file or folder that is to be written: those that were not there are made, and go again where nothing came
 * into them.
 */
public final class ParentFolders implements AutoCloseable {
  private final List<Path> made;

  private ParentFolders(List<Path> made) {
    this.made = List.copyOf(made);
  }

  /** Makes those that {@code target} lacks. */
  public static ParentFolders of(Path target) throws IOException {
    List<Path> missing = new ArrayList<>();
    Path parent = target.toAbsolutePath().normalize().getParent();
    for (Path folder = parent; folder != null && Files.notExists(folder); folder = folder.getParent()) {
      missing.add(folder);
    }
    if (parent != null) {
      Files.createDirectories(parent);
    }
    return new ParentFolders(missing);
  }

  /** Removes those that were made and are empty. */
  @Override
  public void close() throws IOException {
    try {
      for (Path folder : made) {
        Files.deleteIfExists(folder);
      }
    } catch (DirectoryNotEmptyException _) {
      // What was written is in it, and those above hold it.
    }
  }
}
