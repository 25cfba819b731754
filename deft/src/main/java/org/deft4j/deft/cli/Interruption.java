package org.deft4j.deft.cli;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;

/**
 * The first SIGINT or SIGTERM (Ctrl-C, kill) asks the running loop to end after its step; the second ends the process at
 * once. Signals are reached by name: the JDK's class for them is not part of the language's own API.
 */
final class Interruption implements BooleanSupplier {
  private static final String[] SIGNALS = {"INT", "TERM"};

  private final AtomicInteger received = new AtomicInteger();
  private final Runnable first;

  private Interruption(Runnable first) {
    this.first = first;
  }

  /** Catches the signals from now on, where the JVM lets us; {@code first} runs at the first one. */
  static Interruption install(Runnable first) {
    Interruption interruption = new Interruption(first);
    try {
      Class<?> signal = Class.forName("sun.misc.Signal");
      Class<?> handler = Class.forName("sun.misc.SignalHandler");
      InvocationHandler answer = (proxy, method, arguments) -> switch (method.getName()) {
        case "handle" -> {
          interruption.signalled();
          yield null;
        }
        case "hashCode" -> System.identityHashCode(proxy);
        case "equals" -> proxy == arguments[0];
        default -> "deft's signal handler";
      };
      Object proxy = Proxy.newProxyInstance(handler.getClassLoader() == null ? Interruption.class.getClassLoader()
          : handler.getClassLoader(), new Class<?>[] {handler}, answer);
      for (String name : SIGNALS) {
        signal.getMethod("handle", signal, handler).invoke(null, signal.getConstructor(String.class).newInstance(name),
            proxy);
      }
    } catch (ReflectiveOperationException e) {
      System.getLogger(Interruption.class.getName()).log(System.Logger.Level.DEBUG,
          "signals cannot be caught: an interrupted run ends without saving", e);
    }
    return interruption;
  }

  private void signalled() {
    if (received.incrementAndGet() > 1) {
      Runtime.getRuntime().halt(ExitStatus.INTERRUPTED);
    }
    first.run();
  }

  /** Whether a signal has come. */
  @Override
  public boolean getAsBoolean() {
    return received.get() > 0;
  }
}
