package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import org.deft4j.deft.InputException;
import org.deft4j.deft.LossLog;
import org.deft4j.deft.OutputFolder;
import org.deft4j.deft.Trainer;
import org.deft4j.deft.TrainingState;

/** The checkpoints of one run: the one that it goes on from, and those that it writes. */
final class RunCheckpoints implements AutoCloseable {
  /** Null: none are kept. */
  private final Path out;
  private final long every;
  /** Null: the run begins anew. */
  private final Checkpoint from;
  private TrainingSettings settings;
  private TrainingState state;
  private boolean begun;
  private Path newest;
  private long newestStep;

  /**
   * In the folder {@code out}.
   *
   * @param every after so many steps each; 0: only when the run is interrupted
   * @param from what the run goes on from; null: it begins anew
   */
  RunCheckpoints(Path out, long every, Checkpoint from) {
    this.out = out;
    this.every = every;
    this.from = from;
  }

  /** No checkpoints. */
  static RunCheckpoints none() {
    return new RunCheckpoints(null, 0, null);
  }

  /**
   * The run has these settings.
   *
   * @throws InputException naming all that is not as in the run that it is to go on with
   */
  void begin(TrainingSettings chosen) {
    settings = chosen;
    if (from != null) {
      settings.require(from);
    }
  }

  /**
   * Opens what the run goes on from.
   *
   * @throws org.deft4j.weights.FormatException if it is damaged
   */
  void open(Console console) {
    if (from != null) {
      state = from.open();
      console.message("going on from step " + from.step() + " (" + from.folder() + ")");
      if (settings.movesFrom(from)) {
        console.message("the run was begun on another device: from here on its numbers are rounded otherwise");
      }
    }
  }

  /** Has {@code trainer} go on from where the run is, and save with {@code saver}; {@code log} gets the steps that were done. */
  void attach(Trainer trainer, LossLog log, Trainer.Saver saver) {
    if (!areKept()) {
      return;
    }
    begun = true;
    trainer.saving(every, saver);
    if (state != null) {
      newest = from.folder();
      newestStep = from.step();
      state.steps().forEach(log::done);
      trainer.resume(state);
    }
  }

  /** Whether there are any. */
  boolean areKept() {
    return out != null;
  }

  /** How many steps were done when the run began. */
  long before() {
    return from == null ? 0 : from.step();
  }

  /**
   * Writes one. Where that cannot be done, the run goes on, and says so: what was learned is more than what would be lost if it ended now.
   */
  void write(Console console, TrainingState now, Checkpoint.Content learned) {
    close();
    try {
      newest = Checkpoint.write(out, now, settings.document(), learned);
      newestStep = now.step();
    } catch (IOException e) {
      console.message("the checkpoint of step " + now.step() + " cannot be written: " + ExitStatus.reason(e) + "; the run goes on, and "
          + (newest == null ? "there is none" : "the last one is " + newest));
    }
  }

  /** Puts the final folder in its place, beside the checkpoints. */
  void publish(OutputFolder folder) throws IOException {
    if (areKept() && Checkpoint.newest(out).isPresent()) {
      folder.publishBeside(Checkpoint::isOurs);
    } else {
      folder.publish();
    }
  }

  /** The final folder is in its place; unless the run was {@code interrupted}, nobody will go on from a checkpoint. */
  void ends(boolean interrupted) throws IOException {
    if (areKept() && !interrupted) {
      Checkpoint.removeAll(out);
      newest = null;
    }
  }

  /** Whether training has begun, so that there may be something to go on from. */
  boolean hasBegun() {
    return begun;
  }

  /** The last that was written or gone on from. */
  Optional<Path> newest() {
    return Optional.ofNullable(newest);
  }

  /** Tells how to go on with a run that ended early. */
  void advise(Console console, boolean early) {
    if (early && newest != null) {
      console.message("continue with --resume: the same command with it goes on from step " + newestStep + " (" + newest + ")");
    } else if (early && areKept()) {
      console.message("the run has left no checkpoint to continue from" + (every == 0 ? "; --save-every N keeps one" : ""));
    }
  }

  /** Lets go of what the run went on from, which must not be open when another takes its place. */
  @Override
  public void close() {
    if (state != null) {
      state.close();
      state = null;
    }
  }
}
