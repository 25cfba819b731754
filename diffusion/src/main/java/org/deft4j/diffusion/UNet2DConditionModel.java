package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.nn.Conv2d;
import org.deft4j.nn.GroupNorm;
import org.deft4j.nn.Module;
import org.deft4j.nn.TimestepEmbedding;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * The denoiser of SD 1.5 and SDXL (diffusers' {@code UNet2DConditionModel}): predicts, from a noisy latent, its timestep and
 * the text, the noise in it (or the velocity, as the scheduler's configuration says).
 *
 * <p>Letters: N batch, H and W the latent's size, S text tokens, D their width, P the width of the pooled text.
 */
public final class UNet2DConditionModel extends Module {
  private final UNetConfig config;
  private final Conv2d convIn;
  private final TimestepEmbedding timeEmbedding;
  private final TimestepEmbedding addEmbedding;
  private final List<UNetLevel> downBlocks = new ArrayList<>();
  private final UNetLevel midBlock;
  private final List<UNetLevel> upBlocks = new ArrayList<>();
  private final GroupNorm normOut;
  private final Conv2d convOut;
  private boolean checkpointing;

  /** A UNet of this configuration, without weights. */
  public UNet2DConditionModel(UNetConfig config) {
    this.config = config;
    List<Integer> channels = config.channels();
    int first = channels.getFirst();
    int levels = channels.size();
    convIn = child("conv_in", new Conv2d(config.inChannels(), first, 3, 1, 1));
    timeEmbedding = child("time_embedding", new TimestepEmbedding(first, config.timeChannels()));
    addEmbedding = config.additionTimeDim() == 0 ? null
        : child("add_embedding", new TimestepEmbedding(config.additionInputDim(), config.timeChannels()));
    for (int i = 0; i < levels; i++) {
      downBlocks.add(child("down_blocks." + i, downBlock(i)));
    }
    midBlock = child("mid_block", midBlock(levels - 1));
    for (int i = 0; i < levels; i++) {
      upBlocks.add(child("up_blocks." + i, upBlock(i)));
    }
    normOut = child("conv_norm_out", new GroupNorm(config.groups(), first, config.eps()));
    convOut = child("conv_out", new Conv2d(first, config.outChannels(), 3, 1, 1));
  }

  private UNetLevel downBlock(int level) {
    UNetLevel block = new UNetLevel();
    int out = config.channels().get(level);
    int in = config.channels().get(Math.max(0, level - 1));
    for (int i = 0; i < config.layersPerBlock(); i++) {
      block.addResnet(config, i == 0 ? in : out, out);
      if (config.downAttention().get(level)) {
        block.addAttention(config, level, out);
      }
    }
    if (level < config.channels().size() - 1) {
      block.addDownsampler(out);
    }
    return block;
  }

  private UNetLevel midBlock(int level) {
    UNetLevel block = new UNetLevel();
    int channels = config.channels().get(level);
    block.addResnet(config, channels, channels);
    block.addAttention(config, level, channels);
    block.addResnet(config, channels, channels);
    return block;
  }

  /** Up block {@code index} mirrors level {@code levels - 1 - index} and takes one skip more than that has resnets. */
  private UNetLevel upBlock(int index) {
    UNetLevel block = new UNetLevel();
    List<Integer> channels = config.channels();
    int level = channels.size() - 1 - index;
    int out = channels.get(level);
    int previous = channels.get(Math.min(channels.size() - 1, level + 1));
    int below = channels.get(Math.max(0, level - 1));
    for (int i = 0; i <= config.layersPerBlock(); i++) {
      int skip = i == config.layersPerBlock() ? below : out;
      block.addResnet(config, (i == 0 ? previous : out) + skip, out);
      if (config.upAttention().get(index)) {
        block.addAttention(config, level, out);
      }
    }
    if (level > 0) {
      block.addUpsampler(out);
    }
    return block;
  }

  /** What the model was built from. */
  public UNetConfig config() {
    return config;
  }

  /** Whether training recomputes each resnet and transformer on the way back instead of keeping its insides. */
  public void setGradientCheckpointing(boolean on) {
    this.checkpointing = on;
  }

  /** The added conditions of SDXL: pooled text [N,P] and time ids [N,6] (original h, w, crop top, left, target h, w). */
  public record Added(Tensor pooled, Tensor timeIds) {}

  /**
   * The prediction [N,out,H,W], of the sample's type; between its layers the model holds {@link Precision#activations}.
   *
   * @param sample noisy latent [N,in,H,W]
   * @param timesteps [N], or one for all; of any type
   * @param context encoded text [N,S,D]
   * @param added the added conditions, or null where the model has none
   */
  public Tensor forward(Tensor sample, Tensor timesteps, Tensor context, Added added) {
    return observed(Scope.run(() -> {
      Precision precision = Precision.current();
      Tensor x = precision.held(sample);
      Tensor temb = embedTime(timesteps, x, added);
      UNetLevel.Conditions conditions = new UNetLevel.Conditions(temb, precision.held(context), checkpointing);
      List<Tensor> skips = new ArrayList<>();
      Tensor h = convIn.forward(x);
      skips.add(h);
      for (UNetLevel block : downBlocks) {
        h = block.down(h, conditions, skips);
      }
      h = midBlock.middle(h, conditions);
      for (UNetLevel block : upBlocks) {
        h = block.up(h, conditions, skips);
      }
      return convOut.forward(normOut.forwardSilu(h)).cast(sample.dtype());
    }));
  }

  /** {@code MLP(sinusoid(t))}, and for SDXL {@code + MLP(concat(pooled, sinusoid(each time id)))}; [N, 4 x channels]. */
  private Tensor embedTime(Tensor timesteps, Tensor sample, Added added) {
    if ((added == null) != (addEmbedding == null)) {
      throw new IllegalArgumentException("unet: pooled text and time ids are " + (added == null ? "needed" : "not used")
          + " by this model");
    }
    long n = sample.size(0);
    Tensor times = timesteps.elementCount() == 1 ? timesteps.reshape(1).expand(n) : timesteps;
    Tensor temb = timeEmbedding.forward(sinusoid("time_proj", times, config.channels().getFirst(), sample.dtype()));
    if (added == null) {
      return temb;
    }
    Tensor ids = sinusoid("add_time_proj", added.timeIds().reshape(-1), config.additionTimeDim(), sample.dtype());
    Tensor all = Tensor.concat(1, added.pooled().cast(sample.dtype()), ids.reshape(n, -1));
    return temb.add(addEmbedding.forward(all));
  }

  private Tensor sinusoid(String name, Tensor values, int width, DType type) {
    return observed(name,
        TimestepEmbedding.sinusoidal(values, width, config.flipSinToCos(), config.frequencyShift()).cast(type));
  }
}
