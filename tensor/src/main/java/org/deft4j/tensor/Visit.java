package org.deft4j.tensor;

import java.lang.foreign.MemorySegment;
import java.util.LinkedHashSet;
import java.util.Set;
import org.deft4j.tensor.internal.cuda.Cuda;
import org.deft4j.tensor.internal.cuda.Kept;
import org.deft4j.tensor.internal.cuda.Window;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Op;

/**
 * While an operation runs, what it uses of the tensors that an {@link Offload} keeps is on the card, and what it makes for itself is none of
 * them. What it changes of them is copied back.
 */
final class Visit implements AutoCloseable {
  private static final Offload.Loading NOTHING = () -> {};

  /** Null where none of them is used. */
  private final Window window;
  private final Offload.Loading loading;
  private final Set<Kept> used;
  private final Op op;
  private final Tensor[] inputs;
  private final Tensor[] outputs;

  private Visit(Offload.Loading loading, Window window, Set<Kept> used, Op op, Tensor[] inputs, Tensor[] outputs) {
    this.loading = loading;
    this.window = window;
    this.used = used;
    this.op = op;
    this.inputs = inputs;
    this.outputs = outputs;
  }

  /** That of {@code op}; null where there is nothing to do. A rehearsal takes its size down. */
  static Visit of(Op op, Tensor[] inputs, Tensor[] outputs) {
    boolean isLoading = Offload.isLoading();
    if (!keepsAny(inputs) && !keepsAny(outputs)) {
      return isLoading ? new Visit(Offload.pause(), null, Set.of(), op, inputs, outputs) : null;
    }
    Set<Kept> read = kept(inputs);
    Set<Kept> overwritten = kept(outputs);
    overwritten.removeAll(read);
    Set<Kept> used = new LinkedHashSet<>(read);
    used.addAll(overwritten);
    if (Rehearsal.isOpen()) {
      Rehearsal.current().visited(used.stream().mapToLong(Kept::room).sum());
      return isLoading ? new Visit(Offload.pause(), null, Set.of(), op, inputs, outputs) : null;
    }
    Window window = Offload.window();
    window.enter(used, overwritten);
    return new Visit(isLoading ? Offload.pause() : NOTHING, window, used, op, inputs, outputs);
  }

  private static boolean keepsAny(Tensor[] tensors) {
    for (Tensor tensor : tensors) {
      if (tensor.kept() != null) {
        return true;
      }
    }
    return false;
  }

  private static Set<Kept> kept(Tensor[] tensors) {
    Set<Kept> kept = new LinkedHashSet<>();
    for (Tensor tensor : tensors) {
      if (tensor.kept() != null) {
        kept.add(tensor.kept());
      }
    }
    return kept;
  }

  /** Copies what was changed back, and waits for that; where nothing was, waits for nothing. */
  @Override
  public void close() {
    loading.close();
    if (window == null) {
      return;
    }
    try {
      for (int i = 0; i < inputs.length; i++) {
        if (op instanceof InPlace inPlace && inPlace.changes(i)) {
          copyBack(inputs[i]);
        }
      }
      for (Tensor output : outputs) {
        copyBack(output);
      }
    } finally {
      window.leave(used);
    }
  }

  /** From the first to the last of the tensor's elements. */
  private static void copyBack(Tensor tensor) {
    if (tensor.kept() == null || tensor.elementCount() == 0) {
      return;
    }
    long elements = 1;
    long[] strides = tensor.strides();
    for (int d = 0; d < strides.length; d++) {
      elements += (tensor.size(d) - 1) * strides[d];
    }
    int width = tensor.dtype().bytes();
    MemorySegment memory = tensor.kept().memory();
    Cuda.card().download(tensor.address(), memory.asSlice(tensor.offset() * width, elements * width));
  }
}
