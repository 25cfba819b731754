package org.deft4j.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.Objects;

/** Which file a name stands for, and when it was last written to. */
record FileState(Object key, long size, FileTime modified) {
  static FileState of(Path path) throws IOException {
    BasicFileAttributes attributes = Files.readAttributes(path, BasicFileAttributes.class);
    return new FileState(attributes.fileKey(), attributes.size(), attributes.lastModifiedTime());
  }

  /** Whether the same file has another size or time now. One that was deleted or replaced by another is not written to. */
  boolean wasWrittenTo(Path path) throws IOException {
    try {
      FileState now = of(path);
      return Objects.equals(now.key, key) && !now.equals(this);
    } catch (NoSuchFileException _) {
      return false;
    }
  }
}
