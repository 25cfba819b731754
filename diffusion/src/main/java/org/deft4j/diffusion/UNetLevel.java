package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BinaryOperator;
import org.deft4j.autograd.Checkpoint;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Tensor;

/**
 * One block of the UNet: resnets, each followed by an attention where the block has them, then perhaps a change of size. Covers
 * diffusers' {@code [CrossAttn]DownBlock2D}, {@code [CrossAttn]UpBlock2D} and {@code UNetMidBlock2DCrossAttn}, which differ in
 * how these are wired.
 */
final class UNetLevel extends Module {
  final List<ResnetBlock2D> resnets = new ArrayList<>();
  final List<Transformer2DModel> attentions = new ArrayList<>();
  private Downsample2D downsampler;
  private Upsample2D upsampler;

  /** Adds a resnet; 0 attention heads means that no attention follows. */
  void addResnet(UNetConfig config, long in, long out) {
    resnets.add(child("resnets." + resnets.size(),
        new ResnetBlock2D(in, out, config.timeChannels(), config.groups(), config.eps())));
  }

  void addAttention(UNetConfig config, int level, long channels) {
    attentions.add(child("attentions." + attentions.size(), new Transformer2DModel(channels, config.heads().get(level),
        config.layersPerTransformer().get(level), config.contextDim(), config.groups(), config.linearProjection())));
  }

  void addDownsampler(long channels) {
    downsampler = child("downsamplers.0", new Downsample2D(channels, 1));
  }

  void addUpsampler(long channels) {
    upsampler = child("upsamplers.0", new Upsample2D(channels));
  }

  /** The way down: every hidden state on it is pushed onto {@code skips}. */
  Tensor down(Tensor x, Tensor temb, Tensor context, List<Tensor> skips, boolean checkpoint) {
    Tensor h = x;
    for (int i = 0; i < resnets.size(); i++) {
      h = run(checkpoint, resnets.get(i)::forward, h, temb);
      h = attentions.isEmpty() ? h : run(checkpoint, attentions.get(i)::forward, h, context);
      skips.add(h);
    }
    if (downsampler != null) {
      h = downsampler.forward(h);
      skips.add(h);
    }
    return h;
  }

  /** The middle: resnet, then attention and resnet in turn. */
  Tensor middle(Tensor x, Tensor temb, Tensor context, boolean checkpoint) {
    Tensor h = run(checkpoint, resnets.getFirst()::forward, x, temb);
    for (int i = 1; i < resnets.size(); i++) {
      h = run(checkpoint, attentions.get(i - 1)::forward, h, context);
      h = run(checkpoint, resnets.get(i)::forward, h, temb);
    }
    return h;
  }

  /** The way up: each resnet takes the newest skip, concatenated after the current tensor. */
  Tensor up(Tensor x, Tensor temb, Tensor context, List<Tensor> skips, boolean checkpoint) {
    Tensor h = x;
    for (int i = 0; i < resnets.size(); i++) {
      h = run(checkpoint, resnets.get(i)::forward, Tensor.concat(1, h, skips.removeLast()), temb);
      h = attentions.isEmpty() ? h : run(checkpoint, attentions.get(i)::forward, h, context);
    }
    if (upsampler != null) {
      Tensor next = skips.getLast();
      h = upsampler.forward(h, next.size(2), next.size(3));
    }
    return h;
  }

  private static Tensor run(boolean checkpoint, BinaryOperator<Tensor> block, Tensor x, Tensor condition) {
    return checkpoint ? Checkpoint.run(in -> block.apply(in[0], in[1]), x, condition) : block.apply(x, condition);
  }
}
