package org.deft4j.deft.cli;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/**
 * Puts standard error back in its place. The launcher starts the JVM with the real one as descriptor
 * {@code -Ddeft4j.stderr}, so that the notice about incubator modules, which no flag turns off, reaches nobody.
 */
final class StandardError {
  private StandardError() {}

  /** {@code dup2(given, 2)}: from then on everything in this process writes to the real one. */
  @SuppressWarnings("restricted") // a call into the C library is the only way to a descriptor; the launcher allows it
  static void restore() throws Throwable {
    Integer given = Integer.getInteger("deft4j.stderr");
    if (given == null) {
      return;
    }
    Linker linker = Linker.nativeLinker();
    MethodHandle dup2 = linker.downcallHandle(linker.defaultLookup().findOrThrow("dup2"),
        FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
    if ((int) dup2.invokeExact((int) given, 2) < 0) {
      throw new IllegalStateException("descriptor " + given + " (deft4j.stderr) is not open");
    }
  }
}
