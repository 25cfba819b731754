package org.deft4j.tensor;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.tensor.internal.CpuKernels;
import org.deft4j.tensor.internal.Kernels;
import org.deft4j.tensor.internal.Widened;
import org.deft4j.tensor.internal.cuda.Cuda;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.View;

/**
 * The one door: every operation on tensors passes {@link #run}. Shapes are checked and outputs allocated here, kernels
 * fill them, and whoever listens (a tape, a profiler, a memory estimate) sees the operation with its inputs and outputs.
 */
public final class Dispatch {
  /** {@link Kernels#run}, or nothing. */
  @FunctionalInterface
  private interface Computation {
    void run(Op op, Tensor[] inputs, Tensor[] outputs);
  }

  private static final ThreadLocal<List<Listener>> LISTENERS = ThreadLocal.withInitial(ArrayList::new);

  private Dispatch() {}

  /** Told of each operation after it ran, on the thread that ran it. */
  @FunctionalInterface
  public interface Listener {
    /** {@code op} computed {@code outputs} from {@code inputs}. */
    void ran(Op op, Tensor[] inputs, Tensor[] outputs);
  }

  /** Adds a listener on this thread. */
  public static void listen(Listener listener) {
    LISTENERS.get().add(listener);
  }

  /** Removes it. */
  public static void unlisten(Listener listener) {
    LISTENERS.get().remove(listener);
  }

  /**
   * Runs {@code op}.
   *
   * @return its outputs: first the result, then what its gradient will want (a norm's statistics, attention's
   *     log-sum-exp)
   * @throws TensorException if shapes or types do not fit, a tensor is closed, or memory is short
   */
  public static Tensor[] run(Op op, Tensor... inputs) {
    if (inputs.length == 0) {
      throw new ShapeException(op.label() + ": takes at least 1 input, given none");
    }
    Device device = inputs[0].device();
    for (Tensor input : inputs) {
      input.requireOpen(op.label());
      if (input.device() != device) {
        throw new ShapeException(op.label() + ": inputs are on different devices, " + inputs[0] + " and " + input);
      }
    }
    Tensor[] outputs = op instanceof View view
        ? new Tensor[] {ViewShapes.view(view, inputs[0])} : compute(op, device, inputs);
    if (op instanceof InPlace inPlace) {
      for (int i = 0; i < inputs.length; i++) {
        if (inPlace.changes(i)) {
          inputs[i].changed();
        }
      }
    }
    List<Listener> listeners = LISTENERS.get();
    for (int i = 0; i < listeners.size(); i++) {
      listeners.get(i).ran(op, inputs, outputs);
    }
    return outputs;
  }

  private static Tensor[] compute(Op op, Device device, Tensor[] inputs) {
    List<ShapeRules.Spec> specs = ShapeRules.outputs(op, inputs);
    Device target = op instanceof Layout.Transfer(var other) ? other : device;
    Tensor[] outputs = new Tensor[specs.size()];
    try {
      for (int i = 0; i < outputs.length; i++) {
        outputs[i] = Tensor.allocate(target, specs.get(i).dtype(), specs.get(i).shape(), op.label());
      }
      Computation kernel = kernel(op, device);
      if (kernel != null) {
        try (Visit _ = Visit.of(op, inputs, outputs)) {
          execute(kernel, op, inputs, outputs);
        }
      }
    } catch (RuntimeException | Error e) {
      for (Tensor output : outputs) {
        if (output != null) {
          output.close();
        }
      }
      throw e;
    }
    return outputs;
  }

  /** What computes {@code op} on {@code device}; null on the meta device but for a {@link Rehearsal}, which wants the copies of inputs. */
  private static Computation kernel(Op op, Device device) {
    if (op instanceof Layout.Transfer && device != Device.META) {
      return (_, inputs, outputs) -> transfer(inputs[0], outputs[0]);
    }
    return switch (device) {
      case CPU -> (same, inputs, outputs) -> Widened.run(CpuKernels.get(), same, inputs, outputs);
      case CUDA -> (same, inputs, outputs) -> Widened.run(Cuda.kernels(), same, inputs, outputs);
      case META -> Rehearsal.isOpen() ? (_, _, _) -> {} : null;
    };
  }

  /** Copies between devices; both are contiguous. */
  private static void transfer(Tensor from, Tensor to) {
    if (from.device() == Device.CUDA && to.device() == Device.CUDA) {
      Cuda.card().copy(from.address(), to.address(), to.elementCount() * to.dtype().bytes());
    } else if (from.device() == Device.CUDA) {
      Cuda.download(from.address(), to.bytes());
    } else {
      to.write(bytes -> bytes.copyFrom(from.bytes()));
    }
  }

  /**
   * Runs the kernel; inputs that it wants in row-major order are copied first where they are not, and so is a source in
   * the memory that it is copied or added into.
   */
  private static void execute(Computation kernel, Op op, Tensor[] inputs, Tensor[] outputs) {
    boolean reads = op instanceof InPlace.CopyInto || op instanceof InPlace.AddScaledInto;
    boolean overlaps = reads && inputs[0].sharesMemoryWith(inputs[1]);
    if (takesAnyStrides(op) && !overlaps) {
      kernel.run(op, inputs, outputs);
      return;
    }
    try (Scope _ = Scope.open()) {
      Tensor[] dense = inputs.clone();
      for (int i = 0; i < dense.length; i++) {
        if (overlaps ? i == 1 : !dense[i].isContiguous()) {
          dense[i] = Tensor.allocate(inputs[i].device(), inputs[i].dtype(), inputs[i].shape(), op.label());
          Op copy = new Layout.Contiguous();
          kernel(copy, inputs[i].device()).run(copy, new Tensor[] {inputs[i]}, new Tensor[] {dense[i]});
        }
      }
      kernel.run(op, dense, outputs);
    }
  }

  /** Which kernels walk their inputs by stride; all others are given row-major inputs. */
  private static boolean takesAnyStrides(Op op) {
    return switch (op) {
      case Binary ignored -> true;
      case Layout.Transfer ignored -> false;
      case Layout ignored -> true;
      case Contraction.MatMul ignored -> true;
      case Contraction.Linear ignored -> true;
      case Contraction.Attention ignored -> true;
      case Contraction.AttentionGrad ignored -> true;
      case Indexing.Where ignored -> true;
      case Fused.Rotary ignored -> true;
      case InPlace.CopyInto ignored -> true;
      case InPlace.Fill ignored -> true;
      case InPlace.AddScaledInto ignored -> true;
      default -> false;
    };
  }
}
