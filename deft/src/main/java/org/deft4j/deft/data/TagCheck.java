package org.deft4j.deft.data;

import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.deft4j.diffusion.omnigen.ImageTags;

/** Whether the tags of an instruction are those of its input pictures. */
final class TagCheck {
  /** As many numbers as an error lists. */
  private static final int SHOWN = 20;

  private TagCheck() {}

  /** What is wrong with the tags of an instruction that has {@code pictures} input pictures, as a clause; or null. */
  static String problem(String instruction, int pictures) {
    SortedSet<Integer> numbers = ImageTags.numbers(instruction);
    if (numbers.equals(upTo(pictures))) {
      return null;
    }
    if (numbers.isEmpty()) {
      return "the instruction names none of its " + count(pictures) + "; write " + ImageTags.tag(1)
          + " where the first belongs, and so on";
    }
    if (!numbers.equals(upTo(numbers.size()))) {
      return "the tags of the instruction have the numbers " + listed(numbers)
          + "; they must count from 1 without gaps, the first being " + ImageTags.tag(1);
    }
    return "the instruction has the tags of " + count(numbers.size()) + ", but there "
        + (pictures == 1 ? "is " : "are ") + (pictures == 0 ? "none" : String.valueOf(pictures));
  }

  private static SortedSet<Integer> upTo(int count) {
    return IntStream.rangeClosed(1, count).boxed().collect(Collectors.toCollection(TreeSet::new));
  }

  private static String listed(SortedSet<Integer> numbers) {
    List<String> words = numbers.stream().limit(SHOWN).map(String::valueOf).toList();
    return String.join(", ", words) + (words.size() < numbers.size() ? ", ..." : "");
  }

  private static String count(int pictures) {
    return pictures + (pictures == 1 ? " input picture" : " input pictures");
  }
}
