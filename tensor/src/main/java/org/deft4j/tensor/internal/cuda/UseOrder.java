package org.deft4j.tensor.internal.cuda;

import java.util.Arrays;

/**
 * What will be used next, from what was used before. Passes through a model are alike, forward, and backward with the recomputations of
 * checkpoints: so the uses are taken down, and the place among them is followed where the same ones came before. Where something else comes
 * than came there, the place is looked for whose past is most like the present one.
 *
 * <pre>
 *   uses    ... a b c d d c b a | a b c d d c b a | a b
 *                                     ^ next            now
 * </pre>
 */
final class UseOrder {
  static final int NONE = -1;
  /** Farther than anything that is foreseen. */
  static final int NEVER = Integer.MAX_VALUE;
  /** Uses that are remembered at most; a step of SDXL has some thousands. */
  static final int MOST = 1 << 16;
  /** Uses that are compared with the latest ones. */
  private static final int ALIKE = 64;

  private Kept[] uses = new Kept[1024];
  /** For each use, the one before and the one after it of the same. */
  private int[] before = new int[1024];
  private int[] after = new int[1024];
  private int count;
  /** The use that the next one is expected to be like. */
  private int next = NONE;

  /** Takes a use down. */
  void used(Kept kept) {
    if (count == MOST) {
      forgetHalf();
    }
    boolean expected = next != NONE && uses[next] == kept;
    int at = append(kept);
    next = expected ? next + 1 : mostAlike(at);
  }

  private int append(Kept kept) {
    if (count == uses.length) {
      uses = Arrays.copyOf(uses, 2 * count);
      before = Arrays.copyOf(before, 2 * count);
      after = Arrays.copyOf(after, 2 * count);
    }
    uses[count] = kept;
    before[count] = kept.last;
    after[count] = NONE;
    if (kept.last == NONE) {
      kept.seen = count;
    } else {
      after[kept.last] = count;
    }
    kept.last = count;
    return count++;
  }

  /** What followed the use most like use {@code at}, the later one of two; or NONE. */
  private int mostAlike(int at) {
    int best = 0;
    int found = NONE;
    for (int i = before[at]; i != NONE && best < ALIKE; i = before[i]) {
      int alike = 1;
      while (alike < ALIKE && i - alike >= 0 && uses[i - alike] == uses[at - alike]) {
        alike++;
      }
      if (alike > best) {
        best = alike;
        found = i + 1;
      }
    }
    return found;
  }

  /** What will be used after {@code k} uses from now, or null. */
  Kept ahead(int k) {
    return next == NONE || next + k >= count ? null : uses[next + k];
  }

  /** After how many uses from now it will be used, or NEVER. */
  int until(Kept kept) {
    if (next == NONE || kept.seen == NONE) {
      return NEVER;
    }
    int at = kept.seen;
    while (at < next && after[at] != NONE) {
      at = after[at];
    }
    while (before[at] >= next) {
      at = before[at];
    }
    kept.seen = at;
    return at >= next ? at - next : NEVER;
  }

  private void forgetHalf() {
    Kept[] later = Arrays.copyOfRange(uses, MOST / 2, MOST);
    for (Kept kept : uses) {
      kept.last = NONE;
      kept.seen = NONE;
    }
    count = 0;
    for (Kept kept : later) {
      append(kept);
    }
    next = next >= MOST / 2 ? next - MOST / 2 : NONE;
  }
}
