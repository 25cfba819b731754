package org.deft4j.deft;

/**
 * How an adapter's file is read where it leaves something open.
 *
 * @param partial leave out tensors that belong to no layer, and layers that have none, instead of refusing the file
 * @param unnamed what the DEFT authors' {@code decomposition_method} "None" stands for: their code has been relaxed, relu and
 *     relu-relu under it, and the
 *     file does not say which
 */
public record ReadOptions(boolean partial, Decomposition unnamed) {
  /** Everything must fit; "None" is what the released code runs, {@link ReluDecomposition}. */
  public static final ReadOptions STRICT = new ReadOptions(false, new ReluDecomposition());

  /** The same, but partial or not. */
  public ReadOptions withPartial(boolean other) {
    return new ReadOptions(other, unnamed);
  }
}
