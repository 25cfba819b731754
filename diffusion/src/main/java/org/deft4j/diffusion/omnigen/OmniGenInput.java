package org.deft4j.diffusion.omnigen;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * Conditions of a batch, padded on the left to the same length. A sequence is
 * {@code [padding][condition][time token][noise tokens]}, as in OmniGen's collator: S = L + 1 + N places, with L those of the
 * longest condition and N the noise tokens of the largest output picture, H W / 256 for H x W pixels.
 *
 * <p>Letters: B conditions, L, N, S as above.
 */
public final class OmniGenInput {
  private static final byte LOOKS = 1;

  private final List<OmniGenTokens> conditions;
  private final int length;
  private final int padId;

  private OmniGenInput(List<OmniGenTokens> conditions, int padId) {
    this.conditions = List.copyOf(conditions);
    this.length = conditions.stream().mapToInt(OmniGenTokens::length).max().orElseThrow();
    this.padId = padId;
  }

  /**
   * A batch of these conditions.
   *
   * @param padId the id in the padding; no result depends on it
   * @throws IllegalArgumentException if there is no condition, or the id is negative
   */
  public static OmniGenInput of(List<OmniGenTokens> rows, int padId) {
    if (rows.isEmpty() || padId < 0) {
      throw new IllegalArgumentException("OmniGen input: " + rows.size() + " conditions, padded with id " + padId
          + ": at least one condition is needed, and an id of at least 0");
    }
    return new OmniGenInput(rows, padId);
  }

  /** B. */
  public long rows() {
    return conditions.size();
  }

  /** L, the places of the longest condition. */
  public long length() {
    return length;
  }

  /** How many places of padding stand before a row's condition. */
  public long padding(int row) {
    return before(row);
  }

  private int before(int row) {
    return length - conditions.get(row).length();
  }

  /** Where each row's input pictures stand in the padded row. */
  public List<List<ImageSpan>> images() {
    return conditions.stream()
        .map(row -> row.images().stream().map(span -> span.after(length - row.length())).toList()).toList();
  }

  /** The ids, I64 [B, L]; 0 where a picture's token comes. */
  public Tensor ids() {
    long[] ids = new long[Math.multiplyExact(conditions.size(), length)];
    Arrays.fill(ids, padId);
    for (int row = 0; row < conditions.size(); row++) {
      int at = row * length + before(row);
      for (int id : conditions.get(row).ids()) {
        ids[at++] = id;
      }
    }
    return Tensor.of(ids, rows(), length);
  }

  /**
   * The positions of all places, I64 [B, L + 1 + noise]: 0 in the padding, then 0, 1, 2, ... over condition, time token and
   * noise tokens.
   *
   * @param noise N
   */
  public Tensor positions(long noise) {
    int places = Math.toIntExact(Math.addExact(length + 1L, noise));
    long[] positions = new long[Math.multiplyExact(conditions.size(), places)];
    for (int row = 0; row < conditions.size(); row++) {
      int padding = before(row);
      for (int i = padding; i < places; i++) {
        positions[row * places + i] = (long) i - padding;
      }
    }
    return Tensor.of(positions, rows(), places);
  }

  /**
   * Which place may look at which, BOOL [B, S, S], 1 = the place of the row may look at that of the column.
   *
   * <ul>
   *   <li>A token of the condition, and the time token, looks at those before it and at itself; a picture's token also at all
   *       others of the same span.
   *   <li>A noise token looks at everything.
   *   <li>Nobody looks at padding, except padding itself, which looks everywhere so that its softmax is finite.
   *   <li>Nobody looks at noise tokens beyond those of the row's own output picture.
   * </ul>
   *
   * @param outputTokens the noise tokens of each row's output picture, or one number for all; N is the largest
   * @throws IllegalArgumentException if there are neither B numbers nor one, or one is below 1
   */
  public Tensor mask(long... outputTokens) {
    if ((outputTokens.length != 1 && outputTokens.length != rows()) || Arrays.stream(outputTokens).anyMatch(n -> n < 1)) {
      throw new IllegalArgumentException("OmniGen input: " + Arrays.toString(outputTokens) + " output tokens for " + rows()
          + " rows: one number for each row is needed, or one for all, each at least 1");
    }
    long places = Math.addExact(length + 1L, Arrays.stream(outputTokens).max().orElseThrow());
    Tensor mask = Tensor.empty(DType.BOOL, Shape.of(rows(), places, places));
    mask.write(bytes -> {
      bytes.fill((byte) 0);
      for (int row = 0; row < conditions.size(); row++) {
        long end = length + 1L + outputTokens[outputTokens.length == 1 ? 0 : row];
        fill(bytes.asSlice(row * places * places, places * places), places, row, end);
      }
    });
    return mask;
  }

  /** The mask of one row, [S, S], which is 0 so far; its own output ends at {@code end}. */
  private void fill(MemorySegment mask, long places, int row, long end) {
    long padding = before(row);
    for (long i = 0; i < places; i++) {
      boolean condition = i >= padding && i <= length;
      look(mask, places, i, i < padding ? 0 : padding, condition ? i + 1 : end);
    }
    for (ImageSpan span : conditions.get(row).images()) {
      for (long i = span.start(); i < span.end(); i++) {
        look(mask, places, padding + i, padding + span.start(), padding + span.end());
      }
    }
  }

  private static void look(MemorySegment mask, long places, long at, long from, long to) {
    mask.asSlice(at * places + from, to - from).fill(LOOKS);
  }
}
