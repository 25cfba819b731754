package org.deft4j.diffusion.omnigen;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.autograd.Checkpoint;
import org.deft4j.nn.Embedding;
import org.deft4j.nn.Module;
import org.deft4j.nn.RmsNorm;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/** The decoder of Phi-3 (Abdin et al. 2024) without its output layer: embeddings go in, hidden states come out. */
final class Phi3Decoder extends Module {
  private final Embedding embedding;
  private final List<Phi3Layer> layers = new ArrayList<>();
  private final RmsNorm norm;
  private boolean checkpointing;

  Phi3Decoder(OmniGenConfig config) {
    embedding = child("embed_tokens", new Embedding(config.vocabulary(), config.hidden()));
    for (int i = 0; i < config.layers(); i++) {
      layers.add(child("layers." + i, new Phi3Layer(config, i)));
    }
    norm = child("norm", new RmsNorm(config.hidden(), config.eps()));
  }

  void setGradientCheckpointing(boolean on) {
    checkpointing = on;
  }

  /** ids [B,L] to [B,L,D]. */
  Tensor embed(Tensor ids) {
    return embedding.forward(ids);
  }

  /** x [B,T,D], result of the same shape. */
  Tensor forward(Tensor x, Phi3Context context) {
    return observed(Scope.run(() -> {
      Tensor h = x;
      for (Phi3Layer layer : layers) {
        h = Scope.next(h, before -> checkpointing ? recomputed(layer, before, context) : layer.forward(before, context));
      }
      return norm.forward(h);
    }));
  }

  /** What the layer reads besides h must live as long as the tape does, so it is an input too. */
  private static Tensor recomputed(Phi3Layer layer, Tensor h, Phi3Context context) {
    return Checkpoint.run(in -> layer.forward(in[0], new Phi3Context(new LongRope.Angles(in[1], in[2]), in[3], null)), h,
        context.angles().cos(), context.angles().sin(), context.mask());
  }
}
