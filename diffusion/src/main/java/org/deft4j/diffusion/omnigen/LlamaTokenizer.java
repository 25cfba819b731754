package org.deft4j.diffusion.omnigen;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.function.IntConsumer;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.deft4j.diffusion.text.Merges;
import org.deft4j.diffusion.text.Unicode;
import org.deft4j.diffusion.text.Vocabulary;
import org.deft4j.weights.FormatException;

/**
 * Llama's tokenizer, which OmniGen has from Phi-3, with the results of the tokenizers library: added tokens are cut out where
 * they stand in the text; the rest gets a {@code ▁} in front and for each space, and its code points, or where the vocabulary
 * lacks one its UTF-8 bytes as {@code <0xNN>}, are merged over its whole length.
 *
 * <p>Any string has tokens; halves of surrogate pairs count as U+FFFD. Time grows with n log n. Safe for use by several
 * threads.
 */
public final class LlamaTokenizer {
  static final String SPACE = "\u2581";

  /** No such id. */
  static final int NONE = -1;

  private static final int BYTES = 256;
  private static final Pattern BYTE_PIECE = Pattern.compile("<0x\\p{XDigit}{2}>");

  private final Vocabulary vocabulary;
  private final Merges merges;
  private final AddedTokens raw;
  private final AddedTokens normalized;
  private final boolean normalizing;
  private final boolean fusesUnknowns;
  private final int bos;
  private final int unknown;
  /** The pieces of one code point. */
  private final Map<Integer, Integer> codePoints = new HashMap<>();
  private final int[] byteIds;

  LlamaTokenizer(LlamaTokenizerFile file) {
    vocabulary = file.vocabulary();
    merges = file.merges();
    raw = new AddedTokens(file.added().stream().filter(token -> !token.normalized()).toList());
    normalized = new AddedTokens(file.added().stream().filter(AddedToken::normalized).toList());
    normalizing = file.normalizing();
    fusesUnknowns = file.fusesUnknowns();
    bos = file.bos();
    unknown = file.unknown();
    file.pieces().forEach((piece, id) -> {
      if (!piece.isEmpty() && piece.codePointCount(0, piece.length()) == 1) {
        codePoints.put(piece.codePointAt(0), id);
      }
    });
    byteIds = IntStream.range(0, BYTES).map(value -> file.pieces().getOrDefault(bytePiece(value), NONE)).toArray();
  }

  /**
   * The tokenizer in {@code folder/tokenizer.json}.
   *
   * @throws FormatException if there is none, it is damaged, or it is one of another family
   */
  public static LlamaTokenizer load(Path folder) {
    return new LlamaTokenizer(LlamaTokenizerFile.read(folder.resolve("tokenizer.json")));
  }

  private static String bytePiece(int value) {
    return String.format("<0x%02X>", value);
  }

  // ---------------------------------------------------------------------------------------------------- encoding

  /** The ids of {@code text}; the first is {@link #bos}. */
  public int[] encode(String text) {
    IntStream.Builder ids = IntStream.builder();
    ids.add(bos);
    String clean = Unicode.wellFormed(text);
    raw.split(clean, (from, to) -> encodeSegment(clean.substring(from, to), from == 0, ids), ids);
    return ids.build().toArray();
  }

  /** What lies between the added tokens of the raw text; tokens of the normalized text may be in it. */
  private void encodeSegment(String segment, boolean first, IntConsumer ids) {
    String text = normalizing ? normalize(segment) : segment;
    normalized.split(text, (from, to) -> {
      String pieces = marked(text.substring(from, to));
      boolean prefixed = !normalizing && first && from == 0 && !pieces.startsWith(SPACE);
      encodePieces(prefixed ? SPACE + pieces : pieces, ids);
    }, ids);
  }

  /** What the file's normalizers make of a text. */
  static String normalize(String text) {
    return SPACE + marked(text);
  }

  private static String marked(String text) {
    return text.replace(" ", SPACE);
  }

  private void encodePieces(String text, IntConsumer ids) {
    IntStream.Builder symbols = IntStream.builder();
    boolean pending = false; // Whether there was an unknown code point; its symbol comes with the next piece.
    for (int i = 0; i < text.length(); i += Character.charCount(text.codePointAt(i))) {
      Integer id = codePoints.get(text.codePointAt(i));
      if (id == null && addBytes(text.codePointAt(i), symbols)) {
        continue; // Overtaking a pending symbol, as in the library.
      }
      if (pending && (id != null || !fusesUnknowns)) {
        symbols.add(unknown);
      }
      pending = id == null && unknown != NONE;
      if (id != null) {
        symbols.add(id);
      }
    }
    if (pending) {
      symbols.add(unknown);
    }
    for (int id : merges.join(symbols.build().toArray())) {
      ids.accept(id);
    }
  }

  /** The code point as the pieces of its bytes; false if one of them has none. */
  private boolean addBytes(int codePoint, IntConsumer symbols) {
    byte[] bytes = Character.toString(codePoint).getBytes(StandardCharsets.UTF_8);
    for (byte b : bytes) {
      if (byteIds[b & 0xff] == NONE) {
        return false;
      }
    }
    for (byte b : bytes) {
      symbols.accept(byteIds[b & 0xff]);
    }
    return true;
  }

  // ---------------------------------------------------------------------------------------------------- decoding

  /**
   * The text that {@code ids} stand for, without the space that the first piece begins with. Added tokens have lost the
   * whitespace that they took along; of a run of bytes that is no UTF-8 each is a U+FFFD.
   *
   * @throws IllegalArgumentException if an id is not in the vocabulary
   */
  public String decode(int... ids) {
    StringBuilder text = new StringBuilder();
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    for (int id : ids) {
      String token = vocabulary.token(id);
      if (BYTE_PIECE.matcher(token).matches()) {
        bytes.write(HexFormat.fromHexDigits(token, 3, 5));
      } else {
        append(bytes, text);
        text.append(token.replace(SPACE, " "));
      }
    }
    append(bytes, text);
    return text.toString().startsWith(" ") ? text.substring(1) : text.toString();
  }

  /** Moves the bytes to the text. */
  private static void append(ByteArrayOutputStream bytes, StringBuilder text) {
    try {
      text.append(StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes.toByteArray())));
    } catch (CharacterCodingException e) {
      text.repeat("\ufffd", bytes.size());
    }
    bytes.reset();
  }

  /**
   * The token of an id, as in the file.
   *
   * @throws IllegalArgumentException if there is none
   */
  public String token(int id) {
    return vocabulary.token(id);
  }

  /** The id that every text begins with. */
  public int bos() {
    return bos;
  }

  /** One more than the largest id. */
  public int vocabularySize() {
    return vocabulary.size();
  }
}
