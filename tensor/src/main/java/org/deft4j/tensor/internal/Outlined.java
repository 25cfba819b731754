package org.deft4j.tensor.internal;

import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.util.HashMap;
import java.util.Map;

/**
 * A vector loop that the compiler does not inline into its caller. Inlined side by side, a few loops with their
 * functions would be more than it inlines at all (see {@link MathVector}), and where it stops is then chance. HotSpot
 * inlines the target of a method handle only if the handle is a constant, which this one is not to it.
 */
final class Outlined {
  /** Not final, so that it is no constant. */
  private MethodHandle target;

  private Outlined(MethodHandle target) {
    this.target = target;
  }

  /** The methods {@code (Span) -> void} of the class that looks, by the given names. */
  static <K> Map<K, Outlined> loops(MethodHandles.Lookup lookup, Map<K, String> names) {
    Map<K, Outlined> loops = new HashMap<>();
    names.forEach((key, name) -> {
      try {
        MethodType type = MethodType.methodType(void.class, Span.class);
        loops.put(key, new Outlined(lookup.findStatic(lookup.lookupClass(), name, type)));
      } catch (ReflectiveOperationException e) {
        throw new IllegalStateException(e);
      }
    });
    return loops;
  }

  /** Runs it. */
  void run(Span s) {
    try {
      target.invokeExact(s);
    } catch (RuntimeException | Error e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }
}
