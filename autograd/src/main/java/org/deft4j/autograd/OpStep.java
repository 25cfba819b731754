package org.deft4j.autograd;

import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Op;

/** One operation, with its rule and what the rule asked to be kept. */
final class OpStep implements Step {
  private final Op op;
  private final Rule rule;
  private final Needs needs;
  private final Value[] inputs;
  private final Value[] outputs;
  private final Saved[] savedInputs;
  private final Saved[] savedOutputs;

  OpStep(Op op, Rule rule, Needs needs, Tensor[] inputs, Tensor[] outputs) {
    this.op = op;
    this.rule = rule;
    this.needs = needs;
    this.inputs = values(inputs);
    this.outputs = values(outputs);
    Saves saves = rule.saves(needs);
    savedInputs = new Saved[inputs.length];
    for (int i = 0; i < inputs.length; i++) {
      savedInputs[i] = saves.hasInput(i) ? Saved.of(inputs[i]) : null;
    }
    savedOutputs = new Saved[outputs.length];
    for (int j = 0; j < outputs.length; j++) {
      savedOutputs[j] = saves.hasOutput(j) ? Saved.of(outputs[j]) : null;
    }
  }

  private static Value[] values(Tensor[] tensors) {
    Value[] values = new Value[tensors.length];
    for (int i = 0; i < tensors.length; i++) {
      values[i] = Value.of(tensors[i]);
    }
    return values;
  }

  @Override
  public void back(GradientSums sums) {
    Tensor[] dy = new Tensor[outputs.length];
    boolean reached = false;
    for (int j = 0; j < dy.length; j++) {
      dy[j] = sums.take(outputs[j].id());
      reached |= dy[j] != null;
    }
    try (Scope _ = Scope.open()) {
      if (reached) {
        Tensor[] gradients = rule.gradients(new Pass(dy));
        for (int i = 0; i < inputs.length; i++) {
          if (needs.has(i)) {
            sums.add(op, inputs[i], gradients[i], rule.part());
          }
        }
      }
    } finally {
      for (Tensor gradient : dy) {
        if (gradient != null) {
          gradient.close();
        }
      }
      close();
    }
  }

  @Override
  public void close() {
    Saved.closeAll(savedInputs);
    Saved.closeAll(savedOutputs);
  }

  /** What the rule sees. */
  private final class Pass implements Backward {
    private final Tensor[] dy;

    Pass(Tensor[] dy) {
      this.dy = dy;
    }

    @Override
    public Tensor dy(int j) {
      return dy[j];
    }

    @Override
    public int outputs() {
      return outputs.length;
    }

    @Override
    public int inputs() {
      return inputs.length;
    }

    @Override
    public boolean needs(int i) {
      return needs.has(i);
    }

    @Override
    public Tensor input(int i) {
      return get(savedInputs, i, "input");
    }

    @Override
    public Tensor output(int j) {
      return get(savedOutputs, j, "output");
    }

    private Tensor get(Saved[] saved, int index, String what) {
      if (saved[index] == null) {
        throw new IllegalStateException(op.label() + ": the rule uses " + what + " " + index
            + ", which it did not ask to be kept");
      }
      return saved[index].get(op.label(), what + " " + index);
    }

    @Override
    public Value value(int i) {
      return inputs[i];
    }

    @Override
    public String label() {
      return op.label();
    }
  }
}
