package org.deft4j.deft.bench;

import ai.djl.pytorch.engine.PtNDArray;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.View;

/**
 * The operations of a job in PyTorch, one by one, on the very memory that ours had. The first run of ours is recorded; each
 * result of PyTorch is compared with ours once, so that both are known to compute the same.
 */
final class TorchReplay implements AutoCloseable {
  private static final double TOLERANCE = 1e-3;

  private final LibTorch torch;
  private final List<Supplier<PtNDArray>> steps = new ArrayList<>();
  private final List<Tensor> tensors = new ArrayList<>();
  private final List<PtNDArray> arrays = new ArrayList<>();
  private String missing;

  private TorchReplay(LibTorch torch) {
    this.torch = torch;
  }

  /** {@code job} compared with PyTorch, or alone where PyTorch lacks one of its operations. What is held is closed with {@code in}. */
  static Job against(LibTorch torch, Job job, Inputs in) {
    TorchReplay replay = in.closing(new TorchReplay(torch));
    Dispatch.Listener listener = replay::record;
    Dispatch.listen(listener);
    try (Scope _ = Scope.open()) {
      job.body().run();
    } finally {
      Dispatch.unlisten(listener);
    }
    if (replay.missing != null) {
      System.out.println("  PyTorch has no " + replay.missing + " to compare with:");
      return job;
    }
    return job.against("PyTorch", replay::run);
  }

  private void record(Op op, Tensor[] inputs, Tensor[] outputs) {
    if (op instanceof View || missing != null) {
      return;
    }
    PtNDArray[] in = new PtNDArray[inputs.length];
    for (int i = 0; i < in.length; i++) {
      tensors.add(inputs[i].share());
      in[i] = torch.view(tensors.getLast());
      arrays.add(in[i]);
    }
    Optional<Supplier<PtNDArray>> step = new TorchOps(torch).of(op, in);
    if (step.isEmpty()) {
      missing = op.label();
      return;
    }
    try (PtNDArray result = step.get().get()) {
      requireSame(op, outputs[0], result);
    }
    steps.add(step.get());
  }

  private static void requireSame(Op op, Tensor ours, PtNDArray theirs) {
    if (ours.dtype() != DType.F32 || ours.elementCount() > Integer.MAX_VALUE / Float.BYTES) {
      throw new IllegalStateException(op + ": the result is " + ours);
    }
    float[] expected = ours.toFloats();
    ByteBuffer found = theirs.toByteBuffer(true);
    double error = 0;
    double norm = 0;
    for (float value : expected) {
      double difference = value - found.getFloat();
      error += difference * difference;
      norm += (double) value * value;
    }
    if (found.hasRemaining() || !(error <= TOLERANCE * TOLERANCE * norm)) {
      throw new IllegalStateException(op + ": PyTorch's result differs from ours by " + Math.sqrt(error / norm)
          + " of its norm, and in length by " + found.remaining());
    }
  }

  private Object run() {
    for (Supplier<PtNDArray> step : steps) {
      step.get().close();
    }
    return this;
  }

  @Override
  public void close() {
    arrays.forEach(PtNDArray::close);
    tensors.forEach(Tensor::close);
  }
}
