package org.deft4j.deft.cli;

import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** A DEFT that becomes a LoRA does not do so in silence. */
class FoldNoticeTest {
  @TempDir
  Path folder;

  private final String model = Fixtures.folders("sdxl").getFirst().toString();
  private final Path photos = Fixtures.repository().resolve("deft/src/demo/photos");

  private String train(String method) {
    String out = folder.resolve(method).toString();
    Terminal trained = Terminal.run("train", "--model", model, "--data", photos.toString(), "--prompt", "a toy", "--method", method,
        "--rank", "2", "--steps", "1", "--size", "32", "--seed", "5", "--targets", "to_q", "--out", out);
    assertEquals(0, trained.status(), trained.err());
    return out;
  }

  /** What is said on standard error when {@code out} is written. */
  private String said(String command, String format, String... more) {
    String out = folder.resolve("out-" + format + (format.equals("kohya") ? ".safetensors" : "")).toString();
    Terminal terminal = Terminal.run(Stream.concat(Stream.of(command, "--model", model, "--to", format, "--out", out), Stream.of(more))
        .toArray(String[]::new));
    assertEquals(0, terminal.status(), terminal.err());
    return terminal.err();
  }

  @Test
  void whyItIsALora() {
    String deft = train("deft");
    String para = train("para");
    String lora = train("lora");
    String written = "what is written is a LoRA of rank ";
    for (String format : List.of("peft", "authors")) {
      assertTrue(said("convert", format, "--adapter", deft + ":0.5").contains(written + "2, no deft, because the layout " + format
          + " has no place for a strength; "));
      assertTrue(said("merge", format, "--adapter", deft, "--adapter", para).contains(written
          + "4, no deft or para, because several adapters cannot be one deft or para; "));
      assertFalse(said("convert", format, "--adapter", deft).contains(written));
    }
    assertTrue(said("convert", "peft", "--adapter", para, "--rank", "1").contains(written + "1, no para, because --rank makes one; "));
    assertTrue(said("merge", "peft", "--adapter", deft).contains(written + "2, no deft, because merge makes one where --to is given; "));
    assertTrue(said("convert", "kohya", "--adapter", deft).contains(written
        + "2, no deft, because the layout kohya holds no other method; "));
    assertFalse(said("convert", "peft", "--adapter", lora + ":0.5").contains(written));
    assertFalse(said("merge", "kohya", "--adapter", lora, "--adapter", lora).contains(written));
  }
}
