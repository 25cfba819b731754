package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.nn.Conv2d;
import org.deft4j.nn.Downsample2D;
import org.deft4j.nn.GroupNorm;
import org.deft4j.nn.Module;
import org.deft4j.nn.Upsample2D;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Encoder or decoder of {@link AutoencoderKL}: convolution, blocks, norm, SiLU, convolution. At the size of the picture a tensor
 * takes up to 268 MB for 512 x 512 pixels, so each is closed as soon as the next is there.
 */
final class VaeCoder extends Module {
  private static final double EPS = 1e-6;

  /** Resnets and perhaps a change of size. */
  private static final class Block extends Module {
    private final List<ResnetBlock2D> resnets = new ArrayList<>();
    private Downsample2D downsampler;
    private Upsample2D upsampler;

    Block(VaeConfig config, int count, long in, long out) {
      for (int i = 0; i < count; i++) {
        resnets.add(child("resnets." + i, new ResnetBlock2D(i == 0 ? in : out, out, 0, config.groups(), EPS)));
      }
    }

    void addDownsampler(long channels) {
      downsampler = child("downsamplers.0", new Downsample2D(channels, false));
    }

    void addUpsampler(long channels) {
      upsampler = child("upsamplers.0", new Upsample2D(channels));
    }

    Tensor forward(Tensor x) {
      return Scope.run(() -> {
        Tensor h = x;
        for (ResnetBlock2D resnet : resnets) {
          h = Scope.next(h, in -> resnet.forward(in, null));
        }
        if (downsampler != null) {
          h = Scope.next(h, downsampler::forward);
        }
        return upsampler == null ? h : Scope.next(h, in -> upsampler.forward(in, 2 * in.size(2), 2 * in.size(3)));
      });
    }
  }

  /** Resnet, attention, resnet at the smallest size. */
  private static final class Middle extends Module {
    private final ResnetBlock2D first;
    private final VaeAttention attention;
    private final ResnetBlock2D second;

    Middle(VaeConfig config, long channels) {
      attention = config.midAttention() ? child("attentions.0", new VaeAttention(channels, config.groups(), EPS)) : null;
      first = child("resnets.0", new ResnetBlock2D(channels, channels, 0, config.groups(), EPS));
      second = child("resnets.1", new ResnetBlock2D(channels, channels, 0, config.groups(), EPS));
    }

    Tensor forward(Tensor x) {
      return observed(Scope.run(() -> {
        Tensor h = first.forward(x, null);
        h = attention == null ? h : Scope.next(h, attention::forward);
        return Scope.next(h, in -> second.forward(in, null));
      }));
    }
  }

  private final Conv2d convIn;
  private final List<Block> blocks = new ArrayList<>();
  private final Middle middle;
  private final GroupNorm normOut;
  private final Conv2d convOut;
  private final boolean encodes;

  private VaeCoder(VaeConfig config, boolean encodes, long in, long out) {
    this.encodes = encodes;
    long widest = config.channels().getLast();
    long atPixels = config.channels().getFirst();
    long last = encodes ? widest : atPixels;
    convIn = child("conv_in", new Conv2d(in, encodes ? atPixels : widest, 3, 1, 1));
    for (int i = 0; i < config.channels().size(); i++) {
      blocks.add(child((encodes ? "down_blocks." : "up_blocks.") + i, encodes ? down(config, i) : up(config, i)));
    }
    middle = child("mid_block", new Middle(config, widest));
    normOut = child("conv_norm_out", new GroupNorm(config.groups(), last, EPS));
    convOut = child("conv_out", new Conv2d(last, out, 3, 1, 1));
  }

  /** [N,3,H,W] to twice the latent's channels (mean and log-variance) at an eighth of the size. */
  static VaeCoder encoder(VaeConfig config) {
    return new VaeCoder(config, true, config.inChannels(), 2L * config.latentChannels());
  }

  /** The latent to [N,3,H,W]. */
  static VaeCoder decoder(VaeConfig config) {
    return new VaeCoder(config, false, config.latentChannels(), config.outChannels());
  }

  private static Block down(VaeConfig config, int i) {
    List<Integer> channels = config.channels();
    Block block = new Block(config, config.layersPerBlock(), channels.get(Math.max(0, i - 1)), channels.get(i));
    if (i < channels.size() - 1) {
      block.addDownsampler(channels.get(i));
    }
    return block;
  }

  private static Block up(VaeConfig config, int i) {
    List<Integer> channels = config.channels().reversed();
    Block block = new Block(config, config.layersPerBlock() + 1, channels.get(Math.max(0, i - 1)), channels.get(i));
    if (i < channels.size() - 1) {
      block.addUpsampler(channels.get(i));
    }
    return block;
  }

  Tensor forward(Tensor x) {
    return observed(Scope.run(() -> {
      Tensor h = convIn.forward(x);
      h = encodes ? h : Scope.next(h, middle::forward);
      for (Block block : blocks) {
        h = Scope.next(h, block::forward);
      }
      h = encodes ? Scope.next(h, middle::forward) : h;
      return convOut.forward(Scope.next(h, normOut::forwardSilu));
    }));
  }
}
