package org.deft4j.deft.cli;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** Runs a command in this process, and holds what it printed. */
record Terminal(int status, String out, String err) {
  static Terminal run(String... args) {
    return run("", () -> {}, args);
  }

  /** The same; {@code then} runs once, before the command goes on, when a message has {@code text} in it. */
  static Terminal run(String text, Runnable then, String... args) {
    PrintStream realOut = System.out;
    PrintStream realErr = System.err;
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ByteArrayOutputStream err = new ByteArrayOutputStream() {
      private boolean ran = text.isEmpty();

      @Override
      public synchronized void write(byte[] bytes, int start, int length) {
        super.write(bytes, start, length);
        if (!ran && toString(StandardCharsets.UTF_8).contains(text)) {
          ran = true;
          then.run();
        }
      }
    };
    try {
      System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
      System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
      int status = Main.run(args);
      return new Terminal(status, text(out), text(err));
    } finally {
      System.setOut(realOut);
      System.setErr(realErr);
    }
  }

  private static String text(ByteArrayOutputStream bytes) {
    System.out.flush();
    System.err.flush();
    return bytes.toString(StandardCharsets.UTF_8);
  }

  /** The names of what a command left in {@code folder}, in order. */
  static List<String> files(Path folder) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      return files.map(file -> file.getFileName().toString()).sorted().toList();
    }
  }
}
