package org.deft4j.tensor;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * Ends the lifetime of the tensors made in it, on the thread that opened it. Scopes nest; a tensor belongs to the
 * innermost one that was open when it was made, and to nobody (its maker closes it) when none was.
 *
 * <pre>{@code
 * try (Scope scope = Scope.open()) {
 *   Tensor h = x.linear(w, b);      // closed with the scope
 *   return scope.keep(h.silu());    // handed to the enclosing scope
 * }
 * }</pre>
 */
public final class Scope implements AutoCloseable {
  private static final ThreadLocal<Scope> CURRENT = new ThreadLocal<>();

  private final Scope parent;
  private final List<Tensor> owned = new ArrayList<>();
  private boolean closed;

  private Scope(Scope parent) {
    this.parent = parent;
  }

  /** Opens a scope inside the current one. */
  public static Scope open() {
    Scope scope = new Scope(CURRENT.get());
    CURRENT.set(scope);
    return scope;
  }

  /** Runs {@code body} in a scope of its own and keeps what it returns. */
  public static Tensor run(Supplier<Tensor> body) {
    try (Scope scope = open()) {
      return scope.keep(body.get());
    }
  }

  /**
   * {@code step} of {@code h}, which is closed at once if it belongs to the innermost scope: as the last result of a chain does,
   * and what the chain started from does not. For chains of large tensors, whose scope would keep every link.
   *
   * <pre>{@code
   * Tensor h = x;                                   // belongs to an outer scope: stays open
   * for (Block block : blocks) {
   *   h = Scope.next(h, block::forward);
   * }
   * }</pre>
   */
  public static Tensor next(Tensor h, UnaryOperator<Tensor> step) {
    Tensor result = step.apply(h);
    if (result != h && h.scope() != null && h.scope() == current()) {
      h.scope().forget(h);
      h.close();
    }
    return result;
  }

  /** Hands {@code tensor} to the enclosing scope, or to the caller where there is none; returns it. */
  public Tensor keep(Tensor tensor) {
    if (tensor.scope() == this) {
      forget(tensor);
      tensor.adoptedBy(parent);
    }
    return tensor;
  }

  /** Takes {@code tensor} out of every scope: from now on whoever holds it closes it; returns it. */
  public static Tensor release(Tensor tensor) {
    if (tensor.scope() != null) {
      tensor.scope().forget(tensor);
      tensor.adoptedBy(null);
    }
    return tensor;
  }

  /** Gives {@code tensor}, which no scope owns, to the innermost one, or to the caller where there is none; returns it. */
  public static Tensor adopt(Tensor tensor) {
    if (tensor.scope() == null) {
      tensor.adoptedBy(current());
    }
    return tensor;
  }

  static Scope current() {
    return CURRENT.get();
  }

  /** Searched from the end: what is kept was mostly made last. */
  private void forget(Tensor tensor) {
    for (int i = owned.size() - 1; i >= 0; i--) {
      if (owned.get(i) == tensor) {
        owned.remove(i);
        return;
      }
    }
  }

  void own(Tensor tensor) {
    owned.add(tensor);
  }

  @Override
  public void close() {
    if (closed) {
      return;
    }
    if (CURRENT.get() != this) {
      throw new IllegalStateException("a scope is closed by the thread that opened it, innermost first");
    }
    closed = true;
    CURRENT.set(parent);
    for (int i = owned.size() - 1; i >= 0; i--) {
      owned.get(i).close();
    }
    owned.clear();
  }
}
