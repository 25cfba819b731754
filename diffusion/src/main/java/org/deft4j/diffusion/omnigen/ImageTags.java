package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * The tags by which a text names the input pictures that go with it: {@code <img><|image_k|></img>}, k from 1. They may stand in
 * any order and more than once; what counts is {@code <|image_k|>}.
 */
public final class ImageTags {
  private static final Pattern TAG = Pattern.compile("<\\|image_(\\d+)\\|>", Pattern.UNICODE_CHARACTER_CLASS);

  private ImageTags() {}

  /**
   * What counts of a tag.
   *
   * @param number of the picture; 2^31 - 1, which no picture has, where it is at least that
   * @param start where in the text it begins
   * @param end where the text goes on
   */
  public record Place(int number, int start, int end) {}

  /** The tag of picture k. */
  public static String tag(int k) {
    return "<img><|image_" + k + "|></img>";
  }

  /** All that are in {@code text}, in its order. */
  public static List<Place> in(String text) {
    List<Place> places = new ArrayList<>();
    for (Matcher matcher = TAG.matcher(text); matcher.find();) {
      places.add(new Place(number(matcher.group(1)), matcher.start(), matcher.end()));
    }
    return places;
  }

  private static int number(String digits) {
    try {
      return Integer.parseInt(digits);
    } catch (NumberFormatException e) {
      return Integer.MAX_VALUE;
    }
  }

  /** The numbers in {@code text}, each once, ascending. */
  public static SortedSet<Integer> numbers(String text) {
    return in(text).stream().map(Place::number).collect(Collectors.toCollection(TreeSet::new));
  }
}
