package org.deft4j.autograd;

import java.util.function.Function;
import java.util.function.UnaryOperator;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Op;

/**
 * How the gradients of one operation's inputs follow from the gradients of its outputs. A gradient may have the shape
 * of the output where the input was broadcast: the tape sums it to the input's shape. It is a new tensor, the gradient
 * of the output itself, or a view of that; never an input or output of the operation.
 */
interface Rule {
  /** Outputs are integers or truth values: nothing flows back, and a tape does not follow them. */
  Rule CONSTANT = of();

  /** What must be kept for the gradients of the inputs that {@code needs} names. */
  Saves saves(Needs needs);

  /** The gradient of each input; null where none is needed. */
  Tensor[] gradients(Backward back);

  /** Which part of the input's gradient it is that {@link #gradients} gives, the rest being zero; null where it is all of it. */
  default UnaryOperator<Tensor> part() {
    return null;
  }

  /** The gradient of one input, and what must be kept to compute it. */
  record Partial(Saves saves, Function<Backward, Tensor> gradient) {}

  /** A gradient that needs nothing but that of the output. */
  static Partial keeping(Function<Backward, Tensor> gradient) {
    return new Partial(Saves.NOTHING, gradient);
  }

  /** A gradient that needs {@code saves} again. */
  static Partial keeping(Saves saves, Function<Backward, Tensor> gradient) {
    return new Partial(saves, gradient);
  }

  /** One formula per input, in the order of inputs; there may be more formulas than inputs where the last are optional. */
  static Rule of(Partial... partials) {
    return new Rule() {
      @Override
      public Saves saves(Needs needs) {
        Saves saves = Saves.NOTHING;
        for (int i = 0; i < partials.length; i++) {
          if (needs.has(i)) {
            saves = saves.and(partials[i].saves);
          }
        }
        return saves;
      }

      @Override
      public Tensor[] gradients(Backward back) {
        Tensor[] gradients = new Tensor[back.inputs()];
        for (int i = 0; i < gradients.length; i++) {
          if (back.needs(i)) {
            gradients[i] = partials[i].gradient.apply(back);
          }
        }
        return gradients;
      }
    };
  }

  /** Gradients that come out of one computation together. */
  static Rule together(Saves saves, Function<Backward, Tensor[]> gradients) {
    return new Rule() {
      @Override
      public Saves saves(Needs needs) {
        return saves;
      }

      @Override
      public Tensor[] gradients(Backward back) {
        return gradients.apply(back);
      }
    };
  }

  /**
   * An operation of one input whose output is a part of it, element by element: of the gradient only that part is given, so
   * that many parts of one tensor add up without a tensor of its size for each.
   */
  static Rule ofPart(UnaryOperator<Tensor> part) {
    return new Rule() {
      @Override
      public Saves saves(Needs needs) {
        return Saves.NOTHING;
      }

      @Override
      public Tensor[] gradients(Backward back) {
        return new Tensor[] {back.dy()};
      }

      @Override
      public UnaryOperator<Tensor> part() {
        return part;
      }
    };
  }

  /** The error for an operation that computes a gradient itself. */
  static UnsupportedOperationException firstOrderOnly(Op op) {
    return new UnsupportedOperationException(op.label() + ": not differentiable: it computes a gradient, and the tape "
        + "goes back one order only. Write the function that you differentiate twice with operations that are no "
        + "gradients themselves");
  }
}
