package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.deft4j.deft.InputException;
import org.deft4j.weights.FormatException;
import picocli.CommandLine.Option;

/** The options of a training that is to survive what ends it. */
final class CheckpointOptions {
  /** The way on from a checkpoint, as messages name it. */
  static final String RESUME = "--resume";

  @Option(names = "--save-every", paramLabel = "N",
      description = "After every N-th step keep a checkpoint, OUT/checkpoint-STEP: what is learned so far, to be used at once, and all that --resume "
          + "needs. The newest replaces the one before; a finished run leaves none. 0: none but when interrupted. Default ${DEFAULT-VALUE}.")
  long every = 500;

  @Option(names = RESUME,
      description = "Go on from the checkpoint in --out, with the same options: what comes out has the bytes of a run that was never stopped. "
          + "--seed may be left out, and where --schedule is constant --steps may be another.")
  boolean resume;

  /** Adds a sentence for each mistake. */
  void check(List<String> problems, Path out) {
    Checks.atLeast(problems, "--save-every", every, 0);
    if (out == null) {
      return;
    }
    Optional<Path> newest = Checkpoint.newest(out);
    if (resume && newest.isEmpty()) {
      problems.add(RESUME + ": there is no checkpoint in " + out + " to go on from; leave it out to begin a new run");
    }
    if (!resume && newest.isPresent()) {
      problems.add("output " + out + " holds " + newest.get().getFileName() + " of a run that did not finish; give " + RESUME
          + " to go on from it, or another --out, or delete it to begin anew");
    }
  }

  /**
   * What is to be gone on from; null: nothing.
   *
   * @throws InputException if it has gone since
   * @throws FormatException if it is damaged
   */
  Checkpoint from(Path out) {
    return resume ? Checkpoint.read(Checkpoint.newest(out).orElseThrow(() -> new InputException(RESUME + ": the checkpoint in " + out
        + " has gone"))) : null;
  }
}
