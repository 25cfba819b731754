package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * From a prompt and its input pictures to tokens, as OmniGen's own {@code OmniGenProcessor}. Where the prompt has the tag of a
 * picture ({@link ImageTags}), its places come; the text between two tags is tokenized by itself.
 */
public final class OmniGenProcessor {
  /** The prompt of guidance's unconditional branch, which takes no picture. */
  public static final String NEGATIVE_PROMPT = "low quality, jpeg artifacts, ugly, duplicate, morbid, mutilated, extra fingers, "
      + "mutated hands, poorly drawn hands, poorly drawn face, mutation, deformed, blurry, dehydrated, bad anatomy, bad "
      + "proportions, extra limbs, cloned face, disfigured, gross proportions, malformed limbs, missing arms, missing legs, "
      + "extra arms, extra legs, fused fingers, too many fingers.";
  /** The prompt that training puts in the place of one that it drops, with its pictures. */
  public static final String DROPPED_PROMPT = "<cfg>";
  /** As many tokens as a condition may have where nothing else is said: all of the released model's positions. */
  public static final int DEFAULT_LIMIT = 131_072;

  /** As many numbers of pictures as an error lists. */
  private static final int SHOWN = 10;

  private static final String BEFORE = "<|user|>\nGenerate an image according to the following instructions\n";
  private static final String AFTER = "<|end|>\n<|assistant|>\n<|diffusion|>";

  private final LlamaTokenizer tokenizer;
  private final int limit;

  /** With {@link #DEFAULT_LIMIT}. */
  public OmniGenProcessor(LlamaTokenizer tokenizer) {
    this(tokenizer, DEFAULT_LIMIT);
  }

  /**
   * A processor.
   *
   * @param limit as many tokens as a condition may have, those of pictures included
   */
  public OmniGenProcessor(LlamaTokenizer tokenizer, int limit) {
    this.tokenizer = tokenizer;
    this.limit = limit;
  }

  /** The prompt of guidance's branch with the pictures alone: {@code <img><|image_1|></img> <img><|image_2|></img> ...}. */
  public static String imageOnlyPrompt(int pictures) {
    return IntStream.rangeClosed(1, pictures).mapToObj(ImageTags::tag).collect(Collectors.joining(" "));
  }

  /**
   * The tokens of a prompt within the template that every prompt of sampling has, the negative one included.
   *
   * @throws ConditionException if tags and pictures do not match, a side of a picture is no multiple of 16, or there are more
   *     tokens than the limit
   */
  public OmniGenTokens encode(String prompt, List<PixelSize> pictures) {
    return encodeRaw(BEFORE + prompt + AFTER, pictures);
  }

  /** The tokens of guidance's unconditional branch. */
  public OmniGenTokens unconditional() {
    return encode(NEGATIVE_PROMPT, List.of());
  }

  /** The tokens of guidance's branch with the pictures alone; without pictures the unconditional ones. */
  public OmniGenTokens picturesOnly(List<PixelSize> pictures) {
    return pictures.isEmpty() ? unconditional() : encode(imageOnlyPrompt(pictures.size()), pictures);
  }

  /**
   * The tokens of a text without the template around it, as in the training of OmniGen and of DEFT's authors; otherwise as {@link #encode}.
   *
   * @throws ConditionException as {@link #encode}
   */
  public OmniGenTokens encodeRaw(String text, List<PixelSize> pictures) {
    List<ImageTags.Place> tags = ImageTags.in(text);
    List<Integer> named = tags.stream().map(ImageTags.Place::number).toList();
    List<int[]> chunks = new ArrayList<>();
    int from = 0;
    for (ImageTags.Place tag : tags) {
      chunks.add(tokenizer.encode(text.substring(from, tag.start())));
      from = tag.end();
    }
    chunks.add(tokenizer.encode(text.substring(from)));
    requireNames(named, pictures.size());
    return row(chunks, named, pictures);
  }

  private static void requireNames(List<Integer> named, int pictures) {
    List<Integer> distinct = named.stream().distinct().sorted().toList();
    if (pictures == 0 && !named.isEmpty()) {
      throw new ConditionException("the prompt names <|image_" + distinct.getFirst()
          + "|>, and there is no input picture; give the picture, or leave the tag out");
    }
    if (!distinct.equals(IntStream.rangeClosed(1, pictures).boxed().toList())) {
      throw new ConditionException("the prompt names " + list(distinct) + ", and " + pictures
          + (pictures == 1 ? " is given" : " are given")
          + "; each must be named, picture 1 as <img><|image_1|></img> and so on, and no other");
    }
  }

  private static String list(List<Integer> named) {
    return switch (named.size()) {
      case 0 -> "no input picture";
      case 1 -> "input picture " + named.getFirst();
      default -> "input pictures " + named.stream().limit(SHOWN).map(String::valueOf).collect(Collectors.joining(", "))
          + (named.size() > SHOWN ? ", ..." : "");
    };
  }

  private OmniGenTokens row(List<int[]> chunks, List<Integer> named, List<PixelSize> pictures) {
    long[] sizes = IntStream.range(0, pictures.size())
        .mapToLong(k -> pictures.get(k).tokens("input picture " + (k + 1))).toArray();
    // Each chunk begins with the token of the beginning, which only the row as a whole has.
    long words = chunks.stream().mapToLong(chunk -> chunk.length).sum() - chunks.size() + 1;
    long places = named.stream().mapToLong(number -> sizes[number - 1]).reduce(0, Math::addExact);
    if (words + places > limit) {
      throw new ConditionException("the prompt takes " + (words + places) + " tokens"
          + (places == 0 ? "" : ", " + places + " of them for its pictures") + ", and the limit is " + limit);
    }
    List<Integer> ids = new ArrayList<>();
    List<ImageSpan> spans = new ArrayList<>();
    ids.add(tokenizer.bos());
    for (int i = 0; i < chunks.size(); i++) {
      Arrays.stream(chunks.get(i)).skip(1).forEach(ids::add);
      if (i < named.size()) {
        int picture = named.get(i) - 1;
        spans.add(new ImageSpan(picture, ids.size(), ids.size() + (int) sizes[picture]));
        ids.addAll(Collections.nCopies((int) sizes[picture], 0));
      }
    }
    return new OmniGenTokens(ids, spans);
  }
}
