package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.deft4j.weights.Unfinished;

/**
 * A folder that appears whole or not at all: files are written to a hidden one beside it, which takes its name at the
 * end. An earlier run's folder of that name is replaced then, and anything else is refused at the start.
 */
public final class OutputFolder implements AutoCloseable {
  private final ParentFolders parents;
  private final Path target;
  private final Path staging;

  private OutputFolder(ParentFolders parents, Path target, Path staging) {
    this.parents = parents;
    this.target = target;
    this.staging = staging;
  }

  /**
   * Refuses a target that cannot be written or would overwrite something other than an earlier run; creates nothing.
   *
   * @param names of the files that a run leaves in its folder
   * @throws InputException if so
   */
  public static void require(Path target, Set<String> names) {
    Path absolute = target.toAbsolutePath().normalize();
    if (Files.exists(absolute)) {
      if (!Files.isDirectory(absolute)) {
        throw new InputException("output " + target + " is a file; a folder is written");
      }
      foreign(absolute, names).ifPresent(name -> {
        throw new InputException("output " + target + " exists and holds " + name
            + ", which is not from an earlier run; give another --out, or move it away");
      });
    }
    Path existing = absolute;
    while (existing != null && !Files.exists(existing)) {
      existing = existing.getParent();
    }
    if (existing == null || !Files.isDirectory(existing) || !Files.isWritable(existing)) {
      throw new InputException("output " + target + " cannot be made: " + existing + " is not a folder one may write to");
    }
  }

  /**
   * Refuses a target that cannot be written, or holds anything at all: for what an earlier run left may have been added to
   * since; creates nothing.
   *
   * @throws InputException if so
   */
  public static void requireNew(Path target) {
    Path absolute = target.toAbsolutePath().normalize();
    if (Files.isDirectory(absolute)) {
      foreign(absolute, Set.of()).ifPresent(name -> {
        throw new InputException("output " + target + " exists and holds " + name + "; give another --out, or move it away");
      });
    }
    require(target, Set.of());
  }

  private static Optional<String> foreign(Path folder, Set<String> names) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).filter(name -> !names.contains(name)).sorted().findFirst();
    } catch (IOException e) {
      throw new InputException("output " + folder + " cannot be read: " + e.getMessage(), e);
    }
  }

  /** Starts writing. */
  public static OutputFolder open(Path target) throws IOException {
    Path absolute = target.toAbsolutePath().normalize();
    ParentFolders parents = ParentFolders.of(absolute);
    Path staging = absolute.resolveSibling("." + absolute.getFileName() + "." + ProcessHandle.current().pid() + ".part");
    Unfinished.end(staging);
    Unfinished.begin(staging);
    return new OutputFolder(parents, absolute, Files.createDirectory(staging));
  }

  /** Where to write the files. */
  public Path path() {
    return staging;
  }

  /** Puts the folder in its place. */
  public void publish() throws IOException {
    Path old = target.resolveSibling("." + target.getFileName() + "." + ProcessHandle.current().pid() + ".old");
    boolean replaces = Files.exists(target);
    if (replaces) {
      Files.move(target, old, StandardCopyOption.ATOMIC_MOVE);
    }
    Files.move(staging, target, StandardCopyOption.ATOMIC_MOVE);
    if (replaces) {
      Unfinished.end(old);
    }
  }

  /** Removes what was not published, and the folders that were made for it. */
  @Override
  public void close() throws IOException {
    Unfinished.end(staging);
    parents.close();
  }
}
