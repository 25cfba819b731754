package org.deft4j.diffusion;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.deft4j.diffusion.text.Unicode;
import org.deft4j.diffusion.text.Vocabulary;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;

/**
 * CLIP's tokenizer, with the rules of transformers' {@code CLIPTokenizerFast}: the special tokens are cut out where they
 * stand in the text; the rest is put into normal form C and lower case, cut into words, digits and runs of signs, and each
 * of these is byte-pair encoded.
 *
 * <p>Any string has tokens: NUL and other control characters are signs like others; halves of surrogate pairs count as
 * U+FFFD. Time grows with n log n. Safe for use by several threads.
 */
public final class ClipTokenizer {
  private static final int DEFAULT_LENGTH = 77;

  private final Vocabulary vocabulary;
  private final BytePairs pairs;
  private final Map<String, Integer> special = new HashMap<>();
  private final Pattern specialPattern;
  private final int start;
  private final int end;
  private final int padding;
  private final int length;

  /** The files' paths are for errors. */
  private ClipTokenizer(Path folder, JsonObject ids, List<String> merges, JsonObject settings) {
    Path vocab = folder.resolve("vocab.json");
    vocabulary = new Vocabulary(vocab, Vocabulary.read(ids));
    start = special(vocab, token(settings, "bos_token", "<|startoftext|>"));
    String endToken = token(settings, "eos_token", "<|endoftext|>");
    end = special(vocab, endToken);
    padding = idOf(vocab, token(settings, "pad_token", endToken));
    int unknown = idOf(vocab, token(settings, "unk_token", endToken));
    length = length(settings);
    specialPattern = Pattern.compile(String.join("|", special.keySet().stream().map(Pattern::quote).toList()));
    pairs = new BytePairs(folder.resolve("merges.txt"), merges, vocabulary, unknown);
  }

  /**
   * The tokenizer in {@code folder}: {@code vocab.json}, {@code merges.txt} and, where it differs from CLIP's own,
   * {@code tokenizer_config.json} (special tokens, padding, length).
   *
   * @throws FormatException if a file is missing, or they do not belong together
   */
  public static ClipTokenizer load(Path folder) {
    Path settings = folder.resolve("tokenizer_config.json");
    return new ClipTokenizer(folder, Json.read(folder.resolve("vocab.json")), lines(folder.resolve("merges.txt")),
        Files.exists(settings) ? Json.read(settings) : Json.parse("{}", settings.toString()));
  }

  /**
   * The tokenizer of all published Stable Diffusion 1.x and XL models, for models that come without their own: CLIP's
   * vocabulary (openai/CLIP, MIT licence) with these settings, those of {@code tokenizer_config.json}.
   */
  public static ClipTokenizer published(JsonObject settings) {
    return new ClipTokenizer(Path.of("clip"), Json.parse(resource("vocab.json"), "vocab.json"),
        resource("merges.txt").lines().toList(), settings);
  }

  /** Writes the published tokenizer's files, with these settings, to {@code folder}. */
  static void writePublished(Path folder, JsonObject settings) throws IOException {
    Files.writeString(folder.resolve("vocab.json"), resource("vocab.json"));
    Files.writeString(folder.resolve("merges.txt"), resource("merges.txt"));
    Json.write(folder.resolve("tokenizer_config.json"), settings.asMap());
  }

  // ---------------------------------------------------------------------------------------------------- encoding

  /** The ids of {@code text}, without start, end and padding. */
  public int[] encode(String text) {
    IntStream.Builder ids = IntStream.builder();
    String clean = Unicode.wellFormed(text);
    Matcher matcher = specialPattern.matcher(clean);
    int from = 0;
    while (matcher.find()) {
      encodePlain(clean.substring(from, matcher.start()), ids);
      ids.add(special.get(matcher.group()));
      from = matcher.end();
    }
    encodePlain(clean.substring(from), ids);
    return ids.build().toArray();
  }

  private void encodePlain(String text, IntStream.Builder ids) {
    ClipText.forEachPiece(text, piece -> pairs.encode(piece, ids));
  }

  /** The ids of {@code text} between start and end token, cut or padded to {@link #length}. */
  public ClipTokens tokens(String text) {
    int[] prompt = encode(text);
    int kept = Math.min(prompt.length, length - 2);
    int[] ids = new int[length];
    Arrays.fill(ids, padding);
    ids[0] = start;
    System.arraycopy(prompt, 0, ids, 1, kept);
    ids[kept + 1] = end;
    int[] cut = Arrays.copyOfRange(prompt, kept, prompt.length);
    return new ClipTokens(ids, kept, cut, decode(cut));
  }

  /** The text that {@code ids} stand for: words separated by spaces, bytes that are no UTF-8 as U+FFFD. */
  public String decode(int... ids) {
    ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(Arrays.stream(ids).mapToLong(this::decodedBytes).sum()));
    for (int id : ids) {
      String token = token(id);
      if (special.containsKey(token)) {
        bytes.put(token.getBytes(StandardCharsets.UTF_8)).put((byte) ' ');
        continue;
      }
      boolean last = token.endsWith(BytePairs.WORD_END);
      for (char symbol : (last ? token.substring(0, token.length() - BytePairs.WORD_END.length()) : token).toCharArray()) {
        int value = ByteSymbols.byteOf(symbol);
        bytes.put((byte) (value < 0 ? '?' : value));
      }
      if (last) {
        bytes.put((byte) ' ');
      }
    }
    return new String(bytes.array(), 0, bytes.position(), StandardCharsets.UTF_8).stripTrailing();
  }

  /** No more than these. */
  private long decodedBytes(int id) {
    return token(id).getBytes(StandardCharsets.UTF_8).length + 1L;
  }

  /** The token of an id, as in the vocabulary. */
  public String token(int id) {
    return vocabulary.token(id);
  }

  /** The start token's id. */
  public int start() {
    return start;
  }

  /** The end token's id. */
  public int end() {
    return end;
  }

  /** The padding token's id. */
  public int padding() {
    return padding;
  }

  /** How many ids {@link #tokens} gives. */
  public int length() {
    return length;
  }

  /** One more than the largest id. */
  public int vocabularySize() {
    return vocabulary.size();
  }

  // ----------------------------------------------------------------------------------------------------- loading

  private static String resource(String name) {
    try (InputStream in = ClipTokenizer.class.getResourceAsStream("clip/" + name)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(name, e);
    }
  }

  private int special(Path file, String token) {
    int id = idOf(file, token);
    special.put(token, id);
    return id;
  }

  private int idOf(Path file, String token) {
    Integer id = vocabulary.id(token);
    if (id == null) {
      throw new FormatException(file + ": the token '" + token + "', which tokenizer_config.json or CLIP's rules name, is "
          + "missing");
    }
    return id;
  }

  /** A token is given as a string, or as an object with the string in {@code content}. */
  private static String token(JsonObject settings, String key, String otherwise) {
    return settings.isObject(key) ? settings.requireObject(key).requireString("content") : settings.string(key, otherwise);
  }

  /** Transformers writes 1e30 where there is no limit; CLIP's text encoders have 77 positions. */
  private static int length(JsonObject settings) {
    double length = settings.number("model_max_length", DEFAULT_LENGTH);
    if (length < 3 || length != Math.rint(length)) {
      throw new FormatException(settings.source() + ": model_max_length: expected an integer of at least 3, found " + length);
    }
    return length > 1 << 20 ? DEFAULT_LENGTH : (int) length;
  }

  private static List<String> lines(Path file) {
    try {
      return Files.readString(file).lines().toList();
    } catch (NoSuchFileException e) {
      throw new FormatException(file + ": there is no such file", e);
    } catch (CharacterCodingException e) {
      throw new FormatException(file + ": is not UTF-8 text", e);
    } catch (IOException e) {
      throw new FormatException(file + ": cannot be read: " + e.getMessage(), e);
    }
  }
}
