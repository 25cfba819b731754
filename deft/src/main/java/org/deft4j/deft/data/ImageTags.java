package org.deft4j.deft.data;

import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * The tags by which an instruction of OmniGen names its input pictures: {@code <img><|image_k|></img>}, k from 1. A tag may
 * stand in any order and more than once; what counts is {@code <|image_k|>}.
 */
public final class ImageTags {
  private static final Pattern NUMBER = Pattern.compile("<\\|image_(\\d+)\\|>", Pattern.UNICODE_CHARACTER_CLASS);

  private static final int MOST_DIGITS = 9;

  private ImageTags() {}

  /** The tag of picture k. */
  public static String tag(int k) {
    return "<img><|image_" + k + "|></img>";
  }

  /** The numbers in an instruction, each once, ascending; those of more than nine digits count as 2^31 - 1. */
  public static SortedSet<Integer> numbers(String instruction) {
    SortedSet<Integer> numbers = new TreeSet<>();
    for (Matcher matcher = NUMBER.matcher(instruction); matcher.find();) {
      String digits = matcher.group(1);
      numbers.add(digits.length() > MOST_DIGITS ? Integer.MAX_VALUE : Integer.parseInt(digits));
    }
    return numbers;
  }

  /** What is wrong with the tags of an instruction that has {@code pictures} input pictures, as a clause; or null. */
  static String problem(String instruction, int pictures) {
    SortedSet<Integer> numbers = numbers(instruction);
    if (numbers.equals(upTo(pictures))) {
      return null;
    }
    if (numbers.isEmpty()) {
      return "the instruction names none of its " + count(pictures) + "; write " + tag(1)
          + " where the first belongs, and so on";
    }
    if (!numbers.equals(upTo(numbers.size()))) {
      return "the tags of the instruction have the numbers " + listed(numbers)
          + "; they must count from 1 without gaps, the first being " + tag(1);
    }
    return "the instruction has the tags of " + count(numbers.size()) + ", but there "
        + (pictures == 1 ? "is " : "are ") + (pictures == 0 ? "none" : String.valueOf(pictures));
  }

  private static SortedSet<Integer> upTo(int count) {
    return IntStream.rangeClosed(1, count).boxed().collect(Collectors.toCollection(TreeSet::new));
  }

  private static String listed(SortedSet<Integer> numbers) {
    List<String> words = numbers.stream().limit(20).map(String::valueOf).toList();
    return String.join(", ", words) + (words.size() < numbers.size() ? ", ..." : "");
  }

  private static String count(int pictures) {
    return pictures + (pictures == 1 ? " input picture" : " input pictures");
  }
}
