package org.deft4j.deft;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
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

  /** {@link #require(Path, Predicate)} where all names are known. */
  public static void require(Path target, Set<String> names) {
    require(target, names::contains);
  }

  /**
   * Refuses a target that cannot be written or would overwrite something other than an earlier run; creates nothing.
   *
   * @param ours whether a file of a name is one that a run leaves in its folder
   * @throws InputException if so
   */
  public static void require(Path target, Predicate<String> ours) {
    Path absolute = target.toAbsolutePath().normalize();
    if (Files.exists(absolute)) {
      if (!Files.isDirectory(absolute)) {
        throw new InputException("output " + target + " is a file; a folder is written");
      }
      foreign(absolute, ours).ifPresent(name -> {
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
      foreign(absolute, _ -> false).ifPresent(name -> {
        throw new InputException("output " + target + " exists and holds " + name + "; give another --out, or move it away");
      });
    }
    require(target, Set.of());
  }

  private static Optional<String> foreign(Path folder, Predicate<String> ours) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).filter(ours.negate()).sorted().findFirst();
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

  /** Puts the folder in its place, on the disk when this returns. */
  public void publish() throws IOException {
    force(staging);
    Path old = old();
    boolean replaces = Files.exists(target);
    if (replaces) {
      Files.move(target, old, StandardCopyOption.ATOMIC_MOVE);
    }
    Files.move(staging, target, StandardCopyOption.ATOMIC_MOVE);
    forceName(target);
    if (replaces) {
      Unfinished.end(old);
    }
  }

  /**
   * Puts its files into the folder that is there, one after the other, in the place of all that is not {@code kept}, which is there at any
   * moment.
   */
  public void publishBeside(Predicate<String> kept) throws IOException {
    force(staging);
    Path old = Files.createDirectory(old());
    for (Path each : list(target)) {
      if (!kept.test(each.getFileName().toString())) {
        Files.move(each, old.resolve(each.getFileName()), StandardCopyOption.ATOMIC_MOVE);
      }
    }
    for (Path each : list(staging)) {
      Files.move(each, target.resolve(each.getFileName()), StandardCopyOption.ATOMIC_MOVE);
      forceName(target.resolve(each.getFileName()));
    }
    Unfinished.end(old);
  }

  private Path old() {
    return target.resolveSibling("." + target.getFileName() + "." + ProcessHandle.current().pid() + ".old");
  }

  private static List<Path> list(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.sorted().toList();
    }
  }

  /** Has the system write {@code path}, and all that is in it, to the disk. */
  private static void force(Path path) throws IOException {
    if (Files.isDirectory(path)) {
      for (Path each : list(path)) {
        force(each);
      }
    }
    forceOne(path);
  }

  /** Has it write the names of {@code path} and of the folder that it is in. */
  private static void forceName(Path path) throws IOException {
    forceOne(path.getParent());
    if (path.getParent().getParent() != null) {
      forceOne(path.getParent().getParent());
    }
  }

  /** On Windows what is opened to be read cannot be forced, nor can folders, whose names are on the disk at once. */
  private static void forceOne(Path path) throws IOException {
    boolean windows = System.getProperty("os.name").startsWith("Windows");
    if (windows ? !Files.isDirectory(path) && Files.isWritable(path) : Files.isReadable(path)) {
      try (FileChannel channel = FileChannel.open(path, windows ? StandardOpenOption.WRITE : StandardOpenOption.READ)) {
        channel.force(true);
      }
    }
  }

  /** Removes what was not published, and the folders that were made for it. */
  @Override
  public void close() throws IOException {
    Unfinished.end(staging);
    parents.close();
  }
}
