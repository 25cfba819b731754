package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.deft4j.autograd.Checkpoint;
import org.deft4j.nn.Activation;
import org.deft4j.nn.Embedding;
import org.deft4j.nn.LayerNorm;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * CLIP's text transformer (Radford et al. 2021; transformers' {@code CLIPTextModel} and {@code CLIPTextModelWithProjection}):
 * token and position embeddings, pre-norm blocks of causal self-attention and a two-layer perceptron, a final layer norm.
 *
 * <p>Letters: N prompts, S tokens (77), C width.
 */
public final class ClipTextEncoder extends Module {
  private final ClipTextConfig config;
  private final Embedding tokens;
  private final Embedding positions;
  private final List<Layer> layers = new ArrayList<>();
  private final LayerNorm finalNorm;
  private final Linear projection;
  private boolean checkpointing;

  /** An encoder of this configuration, without weights. */
  public ClipTextEncoder(ClipTextConfig config) {
    this.config = config;
    tokens = child("text_model.embeddings.token_embedding", new Embedding(config.vocabulary(), config.hidden()));
    positions = child("text_model.embeddings.position_embedding", new Embedding(config.positions(), config.hidden()));
    for (int i = 0; i < config.layers(); i++) {
      layers.add(child("text_model.encoder.layers." + i, new Layer(config)));
    }
    finalNorm = child("text_model.final_layer_norm", new LayerNorm(config.hidden(), config.eps()));
    projection = config.projection() == 0 ? null
        : child("text_projection", new Linear(config.hidden(), config.projection(), false));
  }

  /** {@code x + attn(norm1(x))}, then {@code x + fc2(act(fc1(norm2(x))))}. */
  private static final class Layer extends Module {
    private final LayerNorm norm1;
    private final SelfAttention attention;
    private final LayerNorm norm2;
    private final Linear fc1;
    private final Linear fc2;
    private final Activation activation;

    Layer(ClipTextConfig config) {
      norm1 = child("layer_norm1", new LayerNorm(config.hidden(), config.eps()));
      attention = child("self_attn", new SelfAttention(config));
      norm2 = child("layer_norm2", new LayerNorm(config.hidden(), config.eps()));
      fc1 = child("mlp.fc1", new Linear(config.hidden(), config.intermediate()));
      fc2 = child("mlp.fc2", new Linear(config.intermediate(), config.hidden()));
      activation = Activation.of(config.activation());
    }

    Tensor forward(Tensor x) {
      return Scope.run(() -> {
        Tensor h = x.add(attention.forward(norm1.forward(x)));
        return h.add(fc2.forward(activation.apply(fc1.forward(norm2.forward(h)))));
      });
    }
  }

  /** Causal attention of several heads; CLIP's names for its projections, all with bias. */
  private static final class SelfAttention extends Module {
    private final Linear query;
    private final Linear key;
    private final Linear value;
    private final Linear out;
    private final long heads;

    SelfAttention(ClipTextConfig config) {
      long width = config.hidden();
      heads = config.heads();
      query = child("q_proj", new Linear(width, width));
      key = child("k_proj", new Linear(width, width));
      value = child("v_proj", new Linear(width, width));
      out = child("out_proj", new Linear(width, width));
    }

    Tensor forward(Tensor x) {
      double scale = 1 / Math.sqrt((double) x.size(2) / heads);
      Tensor o = split(query.forward(x)).attention(split(key.forward(x)), split(value.forward(x)), scale, true);
      return out.forward(o.transpose(1, 2).reshape(x.shape().toArray()));
    }

    /** [N,S,C] to [N,heads,S,C/heads]. */
    private Tensor split(Tensor x) {
      return x.reshape(x.size(0), x.size(1), heads, -1).transpose(1, 2);
    }
  }

  /** Whether each layer is computed again on the way back instead of keeping what is in it. */
  public void setGradientCheckpointing(boolean on) {
    checkpointing = on;
  }

  /** What the model was built from. */
  public ClipTextConfig config() {
    return config;
  }

  /**
   * All that models read off the encoder.
   *
   * @param hiddenStates [N,S,C] each: the embeddings, then the output of every layer; the last is before the final norm
   * @param lastHiddenState [N,S,C] after the final norm
   * @param pooled [N,C]: the last hidden state at the end token, projected to [N,P] where the model has a projection
   */
  public record Output(List<Tensor> hiddenStates, Tensor lastHiddenState, Tensor pooled) {
    /** The hidden state before the last layer: what SDXL conditions on. */
    public Tensor penultimate() {
      return hiddenStates.get(hiddenStates.size() - 2);
    }
  }

  /** Encodes token ids [N,S] (I64 or I32); the result belongs to the innermost scope. */
  public Output forward(Tensor ids) {
    long length = ids.size(1);
    if (length > config.positions()) {
      throw new IllegalArgumentException("text encoder: " + length + " tokens, the model has " + config.positions()
          + " positions");
    }
    List<Tensor> states = new ArrayList<>();
    Tensor h = tokens.forward(ids).add(positions.forward(indices(ids.device(), LongStream.range(0, length))));
    states.add(h);
    for (Layer layer : layers) {
      h = checkpointing ? Checkpoint.run(in -> layer.forward(in[0]), h) : layer.forward(h);
      states.add(h);
    }
    Tensor last = finalNorm.forward(h);
    Tensor pooled = pool(last, ids);
    return new Output(states, last, projection == null ? pooled : projection.forward(pooled));
  }

  /** A vector of indices; on the meta device only its shape. */
  private static Tensor indices(Device device, LongStream indices) {
    long[] values = indices.toArray();
    return device == Device.META ? Tensor.empty(device, DType.I64, Shape.of(values.length)) : Tensor.of(values, values.length);
  }

  /** Rows of the end token: [N,S,C] to [N,C]. */
  private Tensor pool(Tensor last, Tensor ids) {
    long n = ids.size(0);
    long length = ids.size(1);
    long[] tokenIds = ids.device() == Device.META ? new long[(int) (n * length)] : ids.toLongs();
    LongStream rows = LongStream.range(0, n)
        .map(i -> i * length + endPosition(tokenIds, (int) (i * length), (int) length));
    return last.reshape(n * length, -1).indexSelect(0, indices(ids.device(), rows));
  }

  /**
   * The published configurations say 2, which is no token of theirs: it stands for the position of the largest id (the end token
   * is the last of the vocabulary). Otherwise it is the first position of that id, or 0 without one (transformers' rule).
   */
  private int endPosition(long[] ids, int start, int length) {
    int position = 0;
    for (int j = 1; j < length; j++) {
      if (config.eosTokenId() == 2 && ids[start + j] > ids[start + position]) {
        position = j;
      }
    }
    for (int j = length - 1; config.eosTokenId() != 2 && j >= 0; j--) {
      if (ids[start + j] == config.eosTokenId()) {
        position = j;
      }
    }
    return position;
  }
}
