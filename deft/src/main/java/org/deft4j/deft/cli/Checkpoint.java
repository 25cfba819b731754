package org.deft4j.deft.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.deft4j.deft.InputException;
import org.deft4j.deft.OutputFolder;
import org.deft4j.deft.TrainingState;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.Unfinished;

/**
 * A training's state on disk, {@code OUT/checkpoint-STEP}: what was learned so far in the layout of the final folder, and beside it
 * {@link #STATE} and {@link #ABOUT}. It is written beside its place, forced to disk and renamed, and the one before goes only then, so that
 * at any moment one is whole.
 *
 * @param folder where it is
 * @param step after which it was written
 * @param settings of the run, as {@link TrainingSettings} has them
 */
record Checkpoint(Path folder, long step, JsonObject settings) {
  /** What training goes on with. */
  static final String STATE = "training_state.safetensors";
  /** Which run it is of. */
  static final String ABOUT = "checkpoint.json";

  private static final String PREFIX = "checkpoint-";
  private static final Pattern NAME = Pattern.compile(PREFIX + "\\d{1,18}");
  /** What a process that was killed while it wrote or removed one has left. */
  private static final Pattern REST = Pattern.compile("\\." + PREFIX + "\\d{1,18}\\.\\d+\\.(part|old)");
  private static final int VERSION = 1;

  /** Puts what was learned so far into a folder. */
  @FunctionalInterface
  interface Content {
    /** Writes it. */
    void write(Path folder) throws IOException;
  }

  /** Whether a run may have left a file of this name for a checkpoint. */
  static boolean isOurs(String name) {
    return NAME.matcher(name).matches() || REST.matcher(name).matches();
  }

  /** The one in the folder {@code out} that has come furthest. */
  static Optional<Path> newest(Path out) {
    return list(out).stream().filter(path -> NAME.matcher(name(path)).matches() && Files.isDirectory(path))
        .max(Comparator.comparingLong(Checkpoint::step));
  }

  private static long step(Path folder) {
    return Long.parseLong(name(folder).substring(PREFIX.length()));
  }

  private static String name(Path path) {
    return path.getFileName().toString();
  }

  private static List<Path> list(Path out) {
    if (!Files.isDirectory(out)) {
      return List.of();
    }
    try (Stream<Path> files = Files.list(out)) {
      return files.filter(path -> isOurs(name(path))).toList();
    } catch (IOException e) {
      throw new InputException("output " + out + " cannot be read: " + e.getMessage(), e);
    }
  }

  /**
   * Reads what is said about it.
   *
   * @throws FormatException if it is damaged
   */
  static Checkpoint read(Path folder) {
    JsonObject about = Json.read(folder.resolve(ABOUT));
    if (about.requireInteger("version") != VERSION) {
      throw new FormatException(about.source() + ": is of version " + about.requireInteger("version") + "; this program reads version " + VERSION);
    }
    if (about.requireLongInteger("step") != step(folder)) {
      throw new FormatException(about.source() + ": is of step " + about.requireLongInteger("step") + ", and its folder is called " + name(folder));
    }
    return new Checkpoint(folder, step(folder), about.requireObject("settings"));
  }

  /**
   * Opens what training goes on with, all of which is checked; to be closed.
   *
   * @throws FormatException naming the file, if it is damaged
   */
  TrainingState open() {
    TrainingState state = TrainingState.read(folder.resolve(STATE));
    if (state.step() != step) {
      state.close();
      throw new FormatException(folder.resolve(STATE) + ": is of step " + state.step() + ", expected " + step);
    }
    return state;
  }

  /** Writes one, and removes those before it; returns its folder. */
  static Path write(Path out, TrainingState state, Map<String, Object> settings, Content learned) throws IOException {
    Path target = out.resolve(PREFIX + state.step());
    try (OutputFolder folder = OutputFolder.open(target)) {
      learned.write(folder.path());
      state.write(folder.path().resolve(STATE));
      Map<String, Object> about = new LinkedHashMap<>();
      about.put("version", VERSION);
      about.put("step", state.step());
      about.put("settings", settings);
      Json.write(folder.path().resolve(ABOUT), about);
      folder.publish();
    } catch (UncheckedIOException e) {
      throw e.getCause();
    }
    try {
      remove(out, target);
    } catch (IOException e) {
      System.getLogger(Checkpoint.class.getName()).log(System.Logger.Level.DEBUG, "the checkpoint before is left beside " + target, e);
    }
    return target;
  }

  /** Removes all of a run that is finished. */
  static void removeAll(Path out) throws IOException {
    remove(out, null);
  }

  /** Each loses its name at once, so that none is taken for whole that is not. */
  private static void remove(Path out, Path kept) throws IOException {
    for (Path path : list(out)) {
      if (kept == null || !name(path).equals(name(kept))) {
        Path going = path;
        if (NAME.matcher(name(path)).matches()) {
          going = path.resolveSibling("." + name(path) + "." + ProcessHandle.current().pid() + ".old");
          Files.move(path, going, StandardCopyOption.ATOMIC_MOVE);
        }
        Unfinished.end(going);
      }
    }
  }
}
