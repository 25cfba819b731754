package org.deft4j.diffusion.omnigen;

import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;

/** Tags of input pictures, as the processor and the check of records find them. */
class ImageTagsTest {
  @Test
  void placesInTheOrderOfTheText() {
    String text = "a <img><|image_2|></img> and <|image_1|><|image_2|>";
    List<ImageTags.Place> places = ImageTags.in(text);
    assertEquals(List.of(2, 1, 2), places.stream().map(ImageTags.Place::number).toList());
    assertEquals(List.of("<|image_2|>", "<|image_1|>", "<|image_2|>"),
        places.stream().map(place -> text.substring(place.start(), place.end())).toList());
    assertEquals(Set.of(1, 2), ImageTags.numbers(text));
    assertEquals(1, ImageTags.numbers(text).getFirst());
    assertEquals(Set.of(3), ImageTags.numbers(ImageTags.tag(3)));
  }

  @Test
  void numbersOfAnyLengthAndScript() {
    assertEquals(Set.of(1), ImageTags.numbers("<|image_000000000001|>"));
    assertEquals(Set.of(12), ImageTags.numbers("<|image_\u0661\u0662|>"));
    assertEquals(Set.of(Integer.MAX_VALUE), ImageTags.numbers("<|image_2147483648|><|image_" + "9".repeat(1000) + "|>"));
  }

  @Test
  void whatIsNoTag() {
    assertEquals(List.of(), ImageTags.in("<|image_|> <|image_-1|> <|image_1| > <image_1> <|IMAGE_1|> <|image_1a|>"));
  }
}
