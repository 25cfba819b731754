package org.deft4j.diffusion.omnigen;

import org.deft4j.diffusion.ConfigCheck;
import org.deft4j.weights.JsonObject;

/**
 * What OmniGen's {@code config.json} says, checked: the Phi-3 decoder's sizes, and those of the parts around it.
 *
 * @param hidden width of the tokens, D
 * @param heads attention heads, each of width {@code hidden / heads}
 * @param keyValueHeads heads of keys and values; each serves {@code heads / keyValueHeads} neighbouring heads of queries
 * @param intermediate width inside the perceptron
 * @param patch side of the square of latent pixels that makes a token
 * @param latents channels of a latent
 * @param tableSide side of the position table, in tokens
 */
public record OmniGenConfig(int hidden, int layers, int heads, int keyValueHeads, int intermediate, int vocabulary, double eps,
    LongRope rope, int patch, int latents, int tableSide, int padToken) {
  /** Class defaults of the reference, which the released file leaves out. */
  private static final int PATCH = 2;
  private static final int LATENTS = 4;
  private static final int PAD_TOKEN = 32000;

  /** The width of a head. */
  public int headWidth() {
    return hidden / heads;
  }

  /** The pixels along the side of a token: an autoencoder's factor of 8, times the patch. */
  public int grain() {
    return 8 * patch;
  }

  /** The largest side of a picture that the position table has room for, in pixels. */
  public int largestSide() {
    return tableSide * grain();
  }

  /**
   * Reads and checks a configuration; everything that is not supported is listed in one error.
   *
   * @param table elements of the stored position table per channel: its side squared
   */
  public static OmniGenConfig from(JsonObject json, long table) {
    ConfigCheck check = new ConfigCheck(json);
    check.is("model_type", "phi3");
    check.is("hidden_act", "silu");
    check.is("attention_dropout", 0.0);
    check.is("embd_pdrop", 0.0);
    check.is("resid_pdrop", 0.0);
    check.is("tie_word_embeddings", false);
    check.is("attention_bias", false);
    check.is("pe_interpolation", 1.0);
    int hidden = json.requireInteger("hidden_size");
    int heads = json.requireInteger("num_attention_heads");
    int keyValueHeads = json.integer("num_key_value_heads", heads);
    int side = (int) Math.round(Math.sqrt((double) table));
    check.isMultiple("hidden_size", hidden, "number of attention heads", heads);
    check.isMultiple("num_attention_heads", heads, "number of key-value heads", keyValueHeads);
    check.that((long) side * side == table, "pos_embed: a table of " + table + " positions is not square");
    check.is("pos_embed_max_size", side);
    LongRope rope = LongRope.from(json, hidden / Math.max(1, heads), check);
    check.throwIfAny();
    return new OmniGenConfig(hidden, json.requireInteger("num_hidden_layers"), heads, keyValueHeads,
        json.requireInteger("intermediate_size"), json.requireInteger("vocab_size"), json.number("rms_norm_eps", 1e-5), rope,
        json.integer("patch_size", PATCH), json.integer("in_channels", LATENTS), side, json.integer("pad_token_id", PAD_TOKEN));
  }
}
