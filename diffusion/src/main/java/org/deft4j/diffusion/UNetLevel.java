package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BinaryOperator;
import org.deft4j.autograd.Checkpoint;
import org.deft4j.nn.Downsample2D;
import org.deft4j.nn.Module;
import org.deft4j.nn.Upsample2D;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * One block of the UNet: resnets, each followed by an attention where the block has them, then perhaps a change of size. Covers
 * diffusers' {@code [CrossAttn]DownBlock2D}, {@code [CrossAttn]UpBlock2D} and {@code UNetMidBlock2DCrossAttn}, which differ in
 * how these are wired.
 */
final class UNetLevel extends Module {
  private final List<ResnetBlock2D> resnets = new ArrayList<>();
  private final List<Transformer2DModel> attentions = new ArrayList<>();
  private Downsample2D downsampler;
  private Upsample2D upsampler;

  /** What every block is given beside its input. */
  record Conditions(Tensor temb, Tensor context, boolean checkpoint) {}

  void addResnet(UNetConfig config, long in, long out) {
    resnets.add(child("resnets." + resnets.size(),
        new ResnetBlock2D(in, out, config.timeChannels(), config.groups(), config.eps())));
  }

  void addAttention(UNetConfig config, int level, long channels) {
    attentions.add(child("attentions." + attentions.size(), new Transformer2DModel(channels, config.heads().get(level),
        config.layersPerTransformer().get(level), config.contextDim(), config.groups(), config.linearProjection())));
  }

  void addDownsampler(long channels) {
    downsampler = child("downsamplers.0", new Downsample2D(channels, true));
  }

  void addUpsampler(long channels) {
    upsampler = child("upsamplers.0", new Upsample2D(channels));
  }

  /** The way down: every hidden state on it is pushed onto {@code skips}. */
  Tensor down(Tensor x, Conditions conditions, List<Tensor> skips) {
    Tensor h = x;
    for (int i = 0; i < resnets.size(); i++) {
      Tensor in = h;
      int layer = i;
      h = Scope.run(() -> attend(layer, resnet(layer, in, conditions), conditions));
      skips.add(h);
    }
    if (downsampler != null) {
      h = downsampler.forward(h);
      skips.add(h);
    }
    return h;
  }

  /** The middle: resnet, then attention and resnet in turn. */
  Tensor middle(Tensor x, Conditions conditions) {
    return observed(Scope.run(() -> {
      Tensor h = resnet(0, x, conditions);
      for (int i = 1; i < resnets.size(); i++) {
        int layer = i;
        h = Scope.next(h, in -> Scope.run(() -> resnet(layer, attend(layer - 1, in, conditions), conditions)));
      }
      return h;
    }));
  }

  /** The way up: each resnet takes the newest skip, concatenated after the current tensor. */
  Tensor up(Tensor x, Conditions conditions, List<Tensor> skips) {
    return Scope.run(() -> {
      Tensor h = x;
      for (int i = 0; i < resnets.size(); i++) {
        int layer = i;
        Tensor skip = skips.removeLast();
        h = Scope.next(h, in -> Scope.run(
            () -> attend(layer, Scope.next(Tensor.concat(1, in, skip), both -> resnet(layer, both, conditions)), conditions)));
      }
      return upsampler == null ? h : upsampler.forward(h, skips.getLast().size(2), skips.getLast().size(3));
    });
  }

  private Tensor resnet(int i, Tensor x, Conditions conditions) {
    return run(resnets.get(i)::forward, x, conditions.temb(), conditions.checkpoint());
  }

  /** The attention after resnet {@code i}, in blocks that have them. */
  private Tensor attend(int i, Tensor x, Conditions conditions) {
    return attentions.isEmpty() ? x : run(attentions.get(i)::forward, x, conditions.context(), conditions.checkpoint());
  }

  private static Tensor run(BinaryOperator<Tensor> block, Tensor x, Tensor condition, boolean checkpoint) {
    return checkpoint ? Checkpoint.run(in -> block.apply(in[0], in[1]), x, condition) : block.apply(x, condition);
  }
}
