package org.deft4j.diffusion.omnigen;

import java.util.Collections;
import java.util.List;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

/** Prompts and pictures that belong together, and one sentence for each kind that does not. */
class OmniGenProcessorTest {
  private static final LlamaTokenizer TOKENIZER = LlamaTokenizer.load(Fixtures.folders("omnigen").getFirst());
  private static final OmniGenProcessor PROCESSOR = new OmniGenProcessor(TOKENIZER);
  private static final PixelSize SMALL = new PixelSize(32, 16);
  private static final PixelSize LARGE = new PixelSize(48, 32);

  private static List<Integer> picturesOf(String text, PixelSize... pictures) {
    return PROCESSOR.encode(text, List.of(pictures)).images().stream().map(ImageSpan::picture).toList();
  }

  @Test
  void tagsMayBePermutedAndRepeated() {
    assertEquals(List.of(1, 0, 1), picturesOf("<|image_2|> and <|image_1|><|image_2|>", SMALL, LARGE));
    OmniGenTokens tokens = PROCESSOR.encodeRaw("<|image_2|><|image_01|>", List.of(SMALL, LARGE));
    assertEquals(List.of(new ImageSpan(1, 1, 7), new ImageSpan(0, 7, 9)), tokens.images());
    assertEquals(Collections.nCopies(8, 0), tokens.ids().subList(1, 9));
    assertEquals(TOKENIZER.bos(), tokens.ids().getFirst());
    assertEquals(9, tokens.length());
  }

  @Test
  void branchesOfGuidance() {
    assertEquals(PROCESSOR.encode(OmniGenProcessor.NEGATIVE_PROMPT, List.of()), PROCESSOR.unconditional());
    assertEquals(PROCESSOR.unconditional(), PROCESSOR.picturesOnly(List.of()));
    assertEquals(PROCESSOR.encode("<img><|image_1|></img> <img><|image_2|></img>", List.of(LARGE, SMALL)),
        PROCESSOR.picturesOnly(List.of(LARGE, SMALL)));
    assertEquals("", OmniGenProcessor.imageOnlyPrompt(0));
  }

  private static void refused(String sentence, String prompt, PixelSize... pictures) {
    String message = assertThrows(ConditionException.class, () -> PROCESSOR.encode(prompt, List.of(pictures))).getMessage();
    assertEquals(sentence, message);
    assertFalse(message.contains("\n"));
  }

  @Test
  void tagsAndPicturesThatDoNotMatchAreRefused() {
    refused("the prompt names <|image_1|>, and there is no input picture; give the picture, or leave the tag out",
        "<img><|image_1|></img> in snow");
    String rule = "; each must be named, picture 1 as <img><|image_1|></img> and so on, and no other";
    refused("the prompt names no input picture, and 1 is given" + rule, "a dog", SMALL);
    refused("the prompt names no input picture, and 2 are given" + rule, "", SMALL, SMALL);
    refused("the prompt names input picture 1, and 2 are given" + rule, "<|image_1|>", SMALL, SMALL);
    refused("the prompt names input pictures 1, 3, and 2 are given" + rule, "<|image_3|><|image_1|>", SMALL, SMALL);
    refused("the prompt names input picture 0, and 1 is given" + rule, "<|image_0|>", SMALL);
    refused("the prompt names input pictures 1, 2, and 1 is given" + rule, "<|image_1|><|image_2|>", SMALL);
    refused("the prompt names input picture 2147483647, and 1 is given" + rule, "<|image_" + "9".repeat(1000) + "|>", SMALL);
    refused("the prompt names input pictures 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ..., and 1 is given" + rule,
        OmniGenProcessor.imageOnlyPrompt(5000), SMALL);
  }

  @Test
  void sidesThatAreNoMultiplesOf16AreRefused() {
    refused("input picture 2 has 40 x 32 pixels; OmniGen takes sides in multiples of 16", "<|image_1|><|image_2|>", SMALL,
        new PixelSize(40, 32));
    assertThrows(IllegalArgumentException.class, () -> new PixelSize(0, 16));
  }

  @Test
  void theLimitCountsTextAndPictures() {
    int text = PROCESSOR.encode("a <|image_1|>", List.of(SMALL)).length() - 2;
    OmniGenProcessor limited = new OmniGenProcessor(TOKENIZER, text + 6);
    assertEquals(text + 6, limited.encode("a <|image_1|>", List.of(LARGE)).length());
    assertEquals("the prompt takes " + (text + 12) + " tokens, 12 of them for its pictures, and the limit is " + (text + 6),
        assertThrows(ConditionException.class, () -> limited.encode("a <|image_1|><|image_1|>", List.of(LARGE))).getMessage());
    assertEquals("the prompt takes 1001 tokens, and the limit is 1000", assertThrows(ConditionException.class,
        () -> new OmniGenProcessor(TOKENIZER, 1000).encodeRaw("!".repeat(999), List.of())).getMessage());
    PixelSize huge = new PixelSize(Integer.MAX_VALUE / 16 * 16, Integer.MAX_VALUE / 16 * 16);
    assertThrows(ConditionException.class, () -> PROCESSOR.encode("<|image_1|>", List.of(huge)));
  }
}
