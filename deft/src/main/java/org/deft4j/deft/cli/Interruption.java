package org.deft4j.deft.cli;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.Proxy;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;

/**
 * What SIGINT and SIGTERM (Ctrl-C, kill) do. While a run can save what it has, the first asks its loop to end after its step,
 * and the second ends the process; at any other time the first ends it, and files that were being written go. Signals are
 * reached by name: the JDK's class for them is not part of the language's own API.
 */
final class Interruption implements BooleanSupplier {
  private static final String[] SIGNALS = {"INT", "TERM"};

  private final AtomicInteger received = new AtomicInteger();
  private final Console console;
  private final Activity activity;
  private volatile boolean saves;

  private Interruption(Console console, Activity activity) {
    this.console = console;
    this.activity = activity;
  }

  /** Catches the signals from now on, where the JVM lets us; what the run is doing is said to {@code console}. */
  static Interruption install(Console console, Activity activity) {
    Interruption interruption = new Interruption(console, activity);
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

  /** From now on, or no longer, the run saves what it has when it is interrupted. */
  void setSaves(boolean value) {
    saves = value;
  }

  private void signalled() {
    if (received.getAndIncrement() == 0 && saves) {
      console.message("interrupted: finishing this step and saving; once more ends at once");
      return;
    }
    console.message("interrupted while " + activity.now());
    Runtime.getRuntime().exit(ExitStatus.INTERRUPTED);
  }

  /** Whether a signal has come. */
  @Override
  public boolean getAsBoolean() {
    return received.get() > 0;
  }
}
