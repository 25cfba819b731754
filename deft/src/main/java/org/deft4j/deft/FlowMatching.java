package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.deft4j.diffusion.LatentDistribution;
import org.deft4j.diffusion.omnigen.OmniGenInput;
import org.deft4j.diffusion.omnigen.OmniGenTokens;
import org.deft4j.diffusion.omnigen.OmniGenTransformer;
import org.deft4j.diffusion.omnigen.RectifiedFlow;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/**
 * The loss of OmniGen (its {@code training_losses}): latents are drawn from the pictures' distributions, the output is mixed with
 * noise at a logit-normal time, and the mean squared error of the predicted velocity, {@link RectifiedFlow#loss}, is the loss. The
 * pictures of a batch may differ in size. Now and then a condition is dropped, text and pictures, so that the model also learns to do without one.
 */
public final class FlowMatching implements Objective {
  private final OmniGenTransformer transformer;
  private final BatchOrder<OmniGenExample> order;
  private final OmniGenTokens dropped;
  private final double dropProbability;

  /**
   * The loss of {@code transformer} over {@code set}, which stays the caller's.
   *
   * @param dropProbability how often a condition is dropped: 0.1 by default in the reference, 0.01 in its examples
   */
  public FlowMatching(OmniGenTransformer transformer, OmniGenTrainingSet set, double dropProbability) {
    this.transformer = transformer;
    this.order = new BatchOrder<>(set.examples());
    this.dropped = set.dropped();
    this.dropProbability = dropProbability;
  }

  @Override
  public Supplier<Tensor> draw(int batch, RandomSource random) {
    List<OmniGenTokens> tokens = new ArrayList<>();
    List<List<Tensor>> pictures = new ArrayList<>();
    List<Tensor> x1 = new ArrayList<>();
    List<Tensor> x0 = new ArrayList<>();
    for (OmniGenExample example : order.next(batch, random)) {
      boolean drops = dropProbability > 0 && random.uniform(DType.F32, 1).item() >= 1 - dropProbability;
      List<LatentDistribution> seen = drops ? List.of() : example.pictures();
      tokens.add(drops ? dropped : example.tokens());
      pictures.add(seen.stream().map(picture -> picture.sample(random)).toList());
      x1.add(example.output().sample(random));
      x0.add(random.normal(DType.F32, x1.getLast().shape().toArray()));
    }
    Tensor t = RectifiedFlow.times(random, batch);
    return () -> loss(OmniGenInput.of(tokens, transformer.config().padToken()), pictures, x1, x0, t);
  }

  private Tensor loss(OmniGenInput input, List<List<Tensor>> pictures, List<Tensor> x1, List<Tensor> x0, Tensor t) {
    float[] times = t.toFloats();
    List<Tensor> xt = new ArrayList<>();
    for (int i = 0; i < times.length; i++) {
      xt.add(RectifiedFlow.point(x1.get(i), x0.get(i), times[i]));
    }
    return RectifiedFlow.loss(transformer.forward(input, pictures, xt, t, null), x1, x0);
  }

  @Override
  public long[] position() {
    return order.position();
  }

  @Override
  public void restore(long[] position) {
    order.restore(position);
  }

  @Override
  public void setGradientCheckpointing(boolean on) {
    transformer.setGradientCheckpointing(on);
  }
}
