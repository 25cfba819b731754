package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * The keys and values of the condition, layer by layer, kept from the first step of sampling. No token of the condition sees the
 * time or the noise, so they are the same in every step.
 *
 * <p>The cache of the reference implementation hands out only what it keeps already in the first step, so that there time and noise see
 * the condition but not each other; {@link Kind#OFFICIAL} does the same, to compare with its pictures.
 *
 * <p>Letters: B rows, G heads of keys and values, L tokens of the condition, S of all, d width of a head.
 */
public final class KeyValueCache implements AutoCloseable {
  private final Kind kind;
  private final long condition;
  private final List<Pair> kept = new ArrayList<>();

  /** How sampling keeps keys and values. */
  public enum Kind {
    /** Not at all: every step computes everything. */
    NONE,
    /** From the first step, with the results of {@link #NONE}. */
    EXACT,
    /** With the first step of the reference implementation, whose results differ. */
    OFFICIAL
  }

  /** Keys and values [B,G,S,d]. */
  record Pair(Tensor keys, Tensor values) {}

  /** An empty cache for a condition of L tokens; {@code kind} is not {@link Kind#NONE}. */
  KeyValueCache(Kind kind, long condition) {
    this.kind = kind;
    this.condition = condition;
  }

  /** Whether the first step is still to come, which goes through all tokens. */
  boolean isEmpty() {
    return kept.isEmpty();
  }

  /** How many of S keys a query sees. */
  long visible(long keys) {
    return isEmpty() && kind == Kind.OFFICIAL ? condition : keys;
  }

  /** What a layer's queries see; in the first step the condition's part of {@code own} is kept, later it is put in front. */
  Pair seen(int layer, Pair own) {
    if (layer < kept.size()) {
      Pair before = kept.get(layer);
      return new Pair(Tensor.concat(2, before.keys, own.keys), Tensor.concat(2, before.values, own.values));
    }
    Pair first = new Pair(copy(own.keys), copy(own.values));
    kept.add(first);
    return kind == Kind.OFFICIAL ? first : own;
  }

  private Tensor copy(Tensor x) {
    return Scope.release(x.slice(2, 0, condition).copy());
  }

  @Override
  public void close() {
    kept.forEach(pair -> {
      pair.keys.close();
      pair.values.close();
    });
  }
}
