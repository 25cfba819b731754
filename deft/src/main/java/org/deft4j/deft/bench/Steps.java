package org.deft4j.deft.bench;

import java.util.List;
import java.util.function.Function;
import java.util.stream.Stream;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.QrDecomposition;
import org.deft4j.deft.Targets;
import org.deft4j.deft.Trainable;
import org.deft4j.nn.AdamBetas;
import org.deft4j.nn.AdamW;
import org.deft4j.nn.GradientClip;
import org.deft4j.nn.Linear;
import org.deft4j.nn.Losses;
import org.deft4j.nn.Module;
import org.deft4j.nn.Optimizer;
import org.deft4j.nn.Schedule;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Training steps of adapters in turn, on the attention layers of SDXL at 512 x 512 pixels in their proportion: to one block of 640
 * channels and 32 x 32 tokens, six of 1280 and 16 x 16. What a step costs beside them (convolutions, feed-forwards) is the same
 * for every method and left out, so the ratios are those of the whole model or larger. And on one layer of OmniGen's, the widest that is
 * adapted, at the rank of the paper, where a decomposition costs most: forward and backward, to the layer's input too.
 */
final class Steps {
  private static final String GROUP = "step";
  private static final int RANK = 4;
  private static final int WIDE_RANK = 64;
  private static final int DEEP = 6;
  private static final long TEXT = 77;
  private static final long TEXT_WIDTH = 2048;

  private Steps() {}

  static List<Row> rows() {
    return List.of(attention("DEFT", AdapterConfig.deft(RANK), DEEP), attention("PaRa", AdapterConfig.para(RANK), DEEP),
        layer("DEFT", AdapterConfig.deft(WIDE_RANK), 512), layer("DEFT qr", AdapterConfig.deft(WIDE_RANK).with(new QrDecomposition()), 512),
        layer("PaRa", AdapterConfig.para(WIDE_RANK), 512), layer("DEFT", AdapterConfig.deft(WIDE_RANK), 2048),
        layer("DEFT qr", AdapterConfig.deft(WIDE_RANK).with(new QrDecomposition()), 2048),
        layer("PaRa", AdapterConfig.para(WIDE_RANK), 2048));
  }

  /** {@code deep}: blocks of 1280 channels. */
  static Row attention(String name, AdapterConfig config, int deep) {
    return row(name + " rank " + RANK + " SDXL attention", config, in -> new Layers(in, deep));
  }

  private static Row layer(String name, AdapterConfig config, long tokens) {
    return row(name + " rank " + WIDE_RANK + " " + tokens + "x3072x9216", config.with(Targets.suffixes(List.of("to_q"))),
        in -> new Wide(in, tokens));
  }

  private static Row row(String name, AdapterConfig config, Function<Inputs, Frozen> model) {
    return new Row(GROUP, name, in -> {
      Frozen layers = in.weights(model.apply(in));
      Training training = in.closing(Training.of(layers, config, in));
      Training lora = in.closing(Training.of(layers, AdapterConfig.lora(config.rank()).with(config.targets()), in));
      return Job.arithmetic(training::step).against("LoRA", lora::step);
    });
  }

  /** Frozen layers, with their inputs and what they are trained towards. */
  private abstract static class Frozen extends Module {
    abstract Tensor loss();

    /** Inputs whose gradients are wanted too. */
    List<Tensor> inputs() {
      return List.of();
    }
  }

  /** One layer, as if there were others before it. */
  private static final class Wide extends Frozen {
    private final Linear projection = child("to_q", new Linear(3072, 9216, false));
    private final Tensor input;
    private final Tensor target;

    private Wide(Inputs in, long tokens) {
      input = in.draw(tokens, 3072);
      target = in.draw(tokens, 9216);
    }

    @Override
    Tensor loss() {
      return Scope.run(() -> Losses.mse(projection.forward(input), target));
    }

    @Override
    List<Tensor> inputs() {
      return List.of(input);
    }
  }

  private static final class Layers extends Frozen {
    private final AttentionStack wide = child("wide", new AttentionStack(1, 640, TEXT_WIDTH));
    private final AttentionStack deep;
    private final Tensor wideInput;
    private final Tensor deepInput;
    private final Tensor text;

    private Layers(Inputs in, int blocks) {
      deep = child("deep", new AttentionStack(blocks, 1280, TEXT_WIDTH));
      wideInput = in.draw(1, 1024, 640);
      deepInput = in.draw(1, 256, 1280);
      text = in.draw(1, TEXT, TEXT_WIDTH);
    }

    @Override
    Tensor loss() {
      return Scope.run(() -> Losses.mse(wide.forward(wideInput, text), wideInput)
          .add(Losses.mse(deep.forward(deepInput, text), deepInput)));
    }
  }

  /** An adapter of the layers and its optimizer. */
  private record Training(Frozen layers, AdapterSet adapter, Optimizer optimizer) implements AutoCloseable {
    private static final double RATE = 1e-4;

    static Training of(Frozen layers, AdapterConfig config, Inputs in) {
      AdapterSet adapter = AdapterSet.create(layers, config, in.random());
      Optimizer optimizer = new AdamW(adapter.groups(1, 0), RATE, Schedule.constantWithWarmup(0), AdamBetas.USUAL);
      return new Training(layers, adapter.setTraining(true), optimizer);
    }

    /** Forward, backward, clipping and AdamW, as the trainer does them. */
    double step() {
      adapter.attach();
      List<Tensor> watched = Stream.concat(adapter.trainable().stream(), layers.inputs().stream()).toList();
      try (Tape tape = Tape.watch(watched); Trainable.Prepared _ = adapter.prepare()) {
        Gradients gradients = tape.gradients(layers.loss());
        Tensor norm = GradientClip.globalNorm(adapter.trainable().stream().map(gradients::of).toList(), 1);
        optimizer.step(gradients);
        return norm.item();
      } finally {
        adapter.detach();
      }
    }

    @Override
    public void close() {
      optimizer.close();
      adapter.close();
    }
  }
}
