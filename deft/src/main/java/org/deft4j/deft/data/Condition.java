package org.deft4j.deft.data;

import java.util.List;
import java.util.stream.Stream;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Nearest;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.tensor.RandomSource;

/** Makes of a picture another one of the same size that a task starts from: its edges, or the picture damaged. */
public interface Condition {
  /** The role that its pictures play, which is also the name of their folder. */
  String role();

  /** The condition of {@code picture}, which stays as it is; the same state of {@code random} gives the same bytes. */
  Picture of(Picture picture, RandomSource random);

  /** One of each kind, with settings that suit photographs. */
  static List<Condition> known() {
    return Stream.concat(Stream.of(new Canny()), Degradation.known().stream()).toList();
  }

  /**
   * The one of {@link #known} that makes pictures of {@code role}.
   *
   * @throws InputException if there is none, with the nearest name
   */
  static Condition of(String role) {
    return known().stream().filter(condition -> condition.role().equals(role)).findFirst().orElseThrow(() -> {
      List<String> roles = known().stream().map(Condition::role).toList();
      return new InputException("condition '" + role + "' cannot be computed here: " + String.join(", ", roles) + " can"
          + Nearest.hint(role, roles));
    });
  }
}
