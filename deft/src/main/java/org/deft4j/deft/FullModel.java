package org.deft4j.deft;

import java.util.List;
import org.deft4j.nn.Module;
import org.deft4j.nn.Parameter;
import org.deft4j.nn.ParameterGroup;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Tensor;

/** All parameters of a model: full fine-tuning. They stay the model's, and change in place. */
public final class FullModel implements Trainable {
  private final List<Tensor> parameters;

  /**
   * The parameters that {@code model} holds now.
   *
   * @throws InputException if some are held in 16 bits: the change of a step is mostly too small for them
   */
  public FullModel(Module model) {
    List<Parameter> all = model.parameters().values().stream().filter(parameter -> !parameter.isBuffer()).toList();
    List<Parameter> narrow = all.stream().filter(parameter -> !parameter.value().dtype().isComputable()).toList();
    if (!narrow.isEmpty()) {
      throw new InputException("full fine-tuning needs float32 weights: " + narrow.size() + " of " + all.size()
          + " parameters are held otherwise, the first of them " + narrow.getFirst() + "; load the model with weights in f32");
    }
    parameters = all.stream().map(Parameter::value).toList();
  }

  @Override
  public String word() {
    return "parameters";
  }

  @Override
  public List<Tensor> trainable() {
    return parameters;
  }

  /** OmniGen's embedder of input pictures has none where a batch has no such picture. */
  @Override
  public boolean mayLackGradients() {
    return true;
  }

  /** One group, at the full rate. */
  @Override
  public List<ParameterGroup> groups(double projectionFactor, double weightDecay) {
    return List.of(new ParameterGroup("model", parameters, 1, weightDecay));
  }

  /** Nothing changes: layers keep nothing that is made of their weights. */
  @Override
  public FullModel setTraining(boolean training) {
    return this;
  }

  /** There is nothing: the layers take their parameters as they are. */
  @Override
  public Prepared prepare() {
    return () -> {};
  }

  /** Draws nothing: the models have no dropout of their own. */
  @Override
  public void startPass(RandomSource random) {}
}
