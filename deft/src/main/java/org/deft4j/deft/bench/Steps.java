package org.deft4j.deft.bench;

import java.util.List;
import org.deft4j.autograd.Gradients;
import org.deft4j.autograd.Tape;
import org.deft4j.deft.AdapterConfig;
import org.deft4j.deft.AdapterSet;
import org.deft4j.nn.AdamBetas;
import org.deft4j.nn.AdamW;
import org.deft4j.nn.GradientClip;
import org.deft4j.nn.Losses;
import org.deft4j.nn.Module;
import org.deft4j.nn.Optimizer;
import org.deft4j.nn.Schedule;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;

/**
 * Training steps of adapters in turn, on the attention layers of SDXL at 512 x 512 pixels in their proportion: to one block of 640
 * channels and 32 x 32 tokens, six of 1280 and 16 x 16. What a step costs beside them (convolutions, feed-forwards) is the same
 * for every method and left out, so the ratios are those of the whole model or larger.
 */
final class Steps {
  private static final String GROUP = "step";
  private static final int RANK = 4;
  private static final int DEEP = 6;
  private static final long TEXT = 77;
  private static final long TEXT_WIDTH = 2048;

  private Steps() {}

  static List<Row> rows() {
    return List.of(row("DEFT", AdapterConfig.deft(RANK), DEEP), row("PaRa", AdapterConfig.para(RANK), DEEP));
  }

  /** {@code deep}: blocks of 1280 channels. */
  static Row row(String name, AdapterConfig config, int deep) {
    return new Row(GROUP, name + " rank " + RANK + " SDXL attention", in -> {
      Layers layers = in.weights(new Layers(in, deep));
      Training training = in.closing(Training.of(layers, config, in));
      Training lora = in.closing(Training.of(layers, AdapterConfig.lora(RANK), in));
      return Job.arithmetic(training::step).against("LoRA", lora::step);
    });
  }

  /** The frozen layers, their inputs and what they are trained towards. */
  private static final class Layers extends Module {
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

    Tensor loss() {
      return Scope.run(() -> Losses.mse(wide.forward(wideInput, text), wideInput)
          .add(Losses.mse(deep.forward(deepInput, text), deepInput)));
    }
  }

  /** An adapter of the layers and its optimizer. */
  private record Training(Layers layers, AdapterSet adapter, Optimizer optimizer) implements AutoCloseable {
    private static final double RATE = 1e-4;

    static Training of(Layers layers, AdapterConfig config, Inputs in) {
      AdapterSet adapter = AdapterSet.create(layers, config, in.random());
      Optimizer optimizer = new AdamW(adapter.groups(1, 0), RATE, Schedule.constantWithWarmup(0), AdamBetas.USUAL);
      return new Training(layers, adapter.setTraining(true), optimizer);
    }

    /** Forward, backward, clipping and AdamW, as the trainer does them. */
    double step() {
      adapter.attach();
      try (Tape tape = Tape.watch(adapter.trainable())) {
        Gradients gradients = tape.gradients(layers.loss());
        double norm = GradientClip.globalNorm(adapter.trainable().stream().map(gradients::of).toList(), 1);
        optimizer.step(gradients);
        return norm;
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
