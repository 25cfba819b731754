package org.deft4j.deft.cli;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** What a kind of model does not take is refused, all of it at once. */
class ChecksTest {
  @Test
  void optionsOfAnotherKindAreRefusedWhereTheyAreGiven() {
    List<String> problems = new ArrayList<>();
    Checks.takesNo(problems, "a Stable Diffusion model", "--image", List.of("a.jpg"));
    Checks.takesNo(problems, "an OmniGen model", "--negative", "");
    Checks.takesNo(problems, "an OmniGen model", "--scheduler", null);
    Checks.takesNo(problems, "a Stable Diffusion model", "--image", List.of());
    assertEquals(List.of("a Stable Diffusion model takes no --image", "an OmniGen model takes no --negative"), problems);
  }
}
