package org.deft4j.diffusion.omnigen;

import org.deft4j.tensor.Tensor;

/**
 * What all layers of one pass of the decoder share. Letters: B rows, T queries, S keys, of which those before the T are cached.
 *
 * @param angles of the T positions
 * @param mask BOOL [B,1,T,S], true where a query may look
 * @param cache earlier keys and values, or null
 */
record Phi3Context(LongRope.Angles angles, Tensor mask, KeyValueCache cache) {
  /** The keys and values that layer {@code layer} sees, {@code k} and {@code v} being those of its own tokens. */
  KeyValueCache.Pair seen(int layer, Tensor k, Tensor v) {
    KeyValueCache.Pair own = new KeyValueCache.Pair(k, v);
    return cache == null ? own : cache.seen(layer, own);
  }
}
