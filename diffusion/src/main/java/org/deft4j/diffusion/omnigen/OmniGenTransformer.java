package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.deft4j.nn.Module;
import org.deft4j.nn.Parameter;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * OmniGen (Xiao et al. 2024): one transformer over text, pictures, the time and the noisy latent, under the names of the released
 * file. It predicts the velocity that takes noise (t = 0) to a picture (t = 1).
 *
 * <pre>
 *   [padding] [text and pictures: L] [time: 1] [noisy latent: N]       S = L + 1 + N tokens a row
 * </pre>
 *
 * <p>Letters: B rows, D width of a token, C latent channels, h and w a latent's size, P the patch's side.
 */
public final class OmniGenTransformer extends Module {
  private final OmniGenConfig config;
  private final Parameter positionTable;
  private final PatchEmbedder outputEmbedder;
  private final PatchEmbedder inputEmbedder;
  private final TimestepEmbedder timeToken;
  private final TimestepEmbedder timeModulation;
  private final FinalLayer finalLayer;
  private final Phi3Decoder decoder;
  /** Instead of the table, where it is made of no more; or null. */
  private PositionAxes positionAxes;

  /** A transformer of this configuration, without weights. */
  public OmniGenTransformer(OmniGenConfig config) {
    this.config = config;
    positionTable = buffer("pos_embed", 1, (long) config.tableSide() * config.tableSide(), config.hidden());
    outputEmbedder = child("x_embedder", new PatchEmbedder(config));
    inputEmbedder = child("input_x_embedder", new PatchEmbedder(config));
    timeToken = child("time_token", new TimestepEmbedder(config.hidden()));
    timeModulation = child("t_embedder", new TimestepEmbedder(config.hidden()));
    finalLayer = child("final_layer", new FinalLayer(config));
    decoder = child("llm", new Phi3Decoder(config));
  }

  /** What the model was built from. */
  public OmniGenConfig config() {
    return config;
  }

  /** Whether training recomputes each layer of the decoder on the way back instead of keeping its insides. */
  public void setGradientCheckpointing(boolean on) {
    decoder.setGradientCheckpointing(on);
  }

  /** Tokens of a latent [..., h, w]. */
  long tokens(Tensor latent) {
    return latent.size(2) / config.patch() * (latent.size(3) / config.patch());
  }

  /**
   * The velocity of each row's latent, of its shape and type; between its layers the model holds {@link Precision#activations}.
   *
   * @param input the conditions, B rows
   * @param pictures for each row the latents [1,C,h,w] of its input pictures
   * @param noisy for each row a latent [1,C,h,w]; their sizes may differ
   * @param t [B], 0 .. 1
   * @param cache keys and values of the condition, filled in the first step and used in the later ones; null: none
   */
  public List<Tensor> forward(OmniGenInput input, List<List<Tensor>> pictures, List<Tensor> noisy, Tensor t, KeyValueCache cache) {
    return forward(input, pictures, noisy, t, cache, input.mask(noisy.stream().mapToLong(this::tokens).toArray()));
  }

  /** The same with a mask BOOL [B,S,S] of one's own. */
  List<Tensor> forward(OmniGenInput input, List<List<Tensor>> pictures, List<Tensor> noisy, Tensor t, KeyValueCache cache,
      Tensor mask) {
    List<Tensor> velocities = new ArrayList<>();
    try (Scope scope = Scope.open()) {
      Tensor noise = noiseTokens(noisy);
      Tensor time = Precision.current().held(timeToken.forward(t)).unsqueeze(1);
      boolean isCached = cache != null && !cache.isEmpty();
      Tensor x = isCached ? Tensor.concat(1, time, noise) : Tensor.concat(1, conditionTokens(input, pictures), time, noise);
      observed("inputs_embeds", x);
      Tensor hidden = decoder.forward(x, context(input, mask, x, cache));
      Tensor last = hidden.slice(1, hidden.size(1) - noise.size(1), hidden.size(1));
      Tensor patches = finalLayer.forward(last, timeModulation.forward(t).cast(last.dtype()));
      for (int row = 0; row < noisy.size(); row++) {
        velocities.add(scope.keep(latent(patches.slice(0, row, row + 1L), noisy.get(row)).cast(noisy.get(row).dtype())));
      }
      return velocities;
    }
  }

  /** For x [B,T,D], the last T tokens of all. */
  private Phi3Context context(OmniGenInput input, Tensor mask, Tensor x, KeyValueCache cache) {
    long all = mask.size(2);
    long count = x.size(1);
    Tensor positions = input.positions(all - input.length() - 1).slice(1, all - count, all);
    long visible = cache == null ? all : cache.visible(all);
    Tensor seen = mask.slice(1, all - count, all).slice(2, 0, visible).unsqueeze(1);
    return new Phi3Context(config.rope().angles(positions, all).cast(x.dtype().wide()), seen, cache);
  }

  /** Text and pictures [B,L,D]: where a picture stands, its tokens instead of the placeholder's. */
  private Tensor conditionTokens(OmniGenInput input, List<List<Tensor>> pictures) {
    Tensor text = Precision.current().held(decoder.embed(input.ids()));
    List<Tensor> rows = new ArrayList<>();
    for (int row = 0; row < input.rows(); row++) {
      List<Tensor> parts = new ArrayList<>();
      Map<Integer, Tensor> embedded = new HashMap<>();
      Tensor words = text.slice(0, row, row + 1L);
      long at = 0;
      for (ImageSpan span : input.images().get(row)) {
        Tensor latent = pictures.get(row).get(span.picture());
        parts.add(words.slice(1, at, span.start()));
        parts.add(embedded.computeIfAbsent(span.picture(), _ -> inputTokens(latent)));
        at = span.end();
      }
      parts.add(words.slice(1, at, input.length()));
      rows.add(Tensor.concat(1, parts));
    }
    return Tensor.concat(0, rows);
  }

  /** [B,N,D]; rows of fewer tokens end in zeros. */
  private Tensor noiseTokens(List<Tensor> noisy) {
    long most = noisy.stream().mapToLong(this::tokens).max().orElseThrow();
    return Tensor.concat(0, noisy.stream().map(latent -> {
      Tensor tokens = outputTokens(latent);
      return tokens.size(1) == most ? tokens : tokens.pad(0, 0, 0, 0, most - tokens.size(1));
    }).toList());
  }

  /** The tokens [1,n,D] of an input picture's latent. */
  Tensor inputTokens(Tensor latent) {
    return positioned(inputEmbedder, latent);
  }

  /** The tokens of a noisy latent. */
  Tensor outputTokens(Tensor latent) {
    return positioned(outputEmbedder, latent);
  }

  private Tensor positioned(PatchEmbedder embedder, Tensor latent) {
    Tensor tokens = embedder.forward(Precision.current().held(latent));
    return tokens.add(positions(latent.size(2) / config.patch(), latent.size(3) / config.patch()).cast(tokens.dtype()));
  }

  /** The middle {@code height x width} entries of the position table [1, height width, D]; F32 where it is held in 16 bits. */
  Tensor positions(long height, long width) {
    long side = config.tableSide();
    long top = (side - height) / 2;
    long left = (side - width) / 2;
    Tensor middle = positionAxes != null ? positionAxes.part(top, height, left, width)
        : positionTable.value().reshape(side, side, config.hidden()).slice(0, top, top + height)
            .slice(1, left, left + width).reshape(1, height * width, config.hidden());
    return middle.dtype().isComputable() ? middle : middle.cast(DType.F32);
  }

  /** Holds of the position table only its axes, where that is all there is to it; the released one takes 226 MB in 16 bits. */
  void foldPositions() {
    if (!positionTable.isLoaded()) {
      return;
    }
    positionAxes = PositionAxes.of(positionTable.value(), config.tableSide()).orElse(null);
    if (positionAxes != null) {
      positionTable.close();
    }
  }

  /** Holds the whole position table again. */
  void unfoldPositions() {
    if (positionAxes != null) {
      try (Scope _ = Scope.open()) {
        positionTable.set(positionAxes.part(0, config.tableSide(), 0, config.tableSide()));
      }
      closeAxes();
    }
  }

  private void closeAxes() {
    if (positionAxes != null) {
      positionAxes.close();
      positionAxes = null;
    }
  }

  @Override
  public void close() {
    super.close();
    closeAxes();
  }

  /**
   * Tokens [1,N,P P C] to the shape of {@code like}; numbers of a token are in the order row, column, channel. Where there are more
   * tokens than {@code like} has, the first count.
   */
  Tensor latent(Tensor tokens, Tensor like) {
    long p = config.patch();
    long height = like.size(2) / p;
    long width = like.size(3) / p;
    return tokens.slice(1, 0, height * width).reshape(1, height, width, p, p, config.latents())
        .permute(0, 5, 1, 3, 2, 4).reshape(like.shape().toArray());
  }
}
