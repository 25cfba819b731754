package org.deft4j.weights;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AtomicMoveNotSupportedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFileAttributeView;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Writes a file so that at any moment either the old one is there or the whole new one: a file beside the target is
 * written, forced to disk and renamed, and the folder is forced too. A file made anew has the rights that the process's
 * mask gives it; one that is replaced keeps its own. Where writing fails nothing is left behind.
 */
public final class AtomicFile {
  private AtomicFile() {}

  /** Puts the content into a channel. */
  @FunctionalInterface
  public interface Content {
    /** Writes everything. */
    void writeTo(FileChannel channel) throws IOException;
  }

  /** Makes or replaces {@code target}; a symbolic link is followed, and stays. */
  public static void write(Path target, Content content) throws IOException {
    Path file = Files.isSymbolicLink(target) ? target.toRealPath() : target.toAbsolutePath();
    if (Files.isDirectory(file)) {
      throw new IOException(target + ": is a folder; a file cannot take its place");
    }
    Path beside = file.resolveSibling("." + file.getFileName() + "."
        + Long.toHexString(ThreadLocalRandom.current().nextLong()) + ".tmp");
    Unfinished.begin(beside);
    try {
      try (FileChannel channel = FileChannel.open(beside, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
        content.writeTo(channel);
        copyRights(file, beside);
        channel.force(true);
      }
      Files.move(beside, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (AtomicMoveNotSupportedException e) {
      throw new IOException(target + ": this file system cannot rename in one step; write to another", e);
    } finally {
      Unfinished.end(beside);
    }
    forceFolder(file.getParent());
  }

  /** Makes or replaces {@code target} with these bytes. */
  public static void write(Path target, byte[] bytes) throws IOException {
    write(target, channel -> {
      ByteBuffer buffer = ByteBuffer.wrap(bytes);
      while (buffer.hasRemaining()) {
        channel.write(buffer);
      }
    });
  }

  private static void copyRights(Path from, Path to) throws IOException {
    PosixFileAttributeView target = Files.getFileAttributeView(to, PosixFileAttributeView.class);
    if (target != null && Files.exists(from)) {
      target.setPermissions(Set.copyOf(Files.getPosixFilePermissions(from)));
    }
  }

  /** Makes the renaming durable, where folders can be opened (not on Windows, whose rename is durable by itself). */
  private static void forceFolder(Path folder) throws IOException {
    if (!System.getProperty("os.name").startsWith("Windows")) {
      try (FileChannel channel = FileChannel.open(folder, StandardOpenOption.READ)) {
        channel.force(true);
      }
    }
  }
}
