package org.deft4j.deft;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import org.deft4j.nn.Module;

/** Adapters from whatever file or folder they are in. */
public final class AdapterFiles {
  private AdapterFiles() {}

  /**
   * Reads the adapter at {@code path} for the UNet {@code model}: a PEFT folder, a folder with PEFT's {@code unet} folder in
   * it, or diffusers' LoRA file or its folder. Not attached yet, and not in training.
   *
   * @throws InputException if there is none, or it does not fit the model
   * @throws org.deft4j.weights.FormatException if a file is malformed
   */
  public static AdapterSet read(Path path, Module model) {
    if (!Files.exists(path)) {
      throw new InputException("adapter " + path + " does not exist");
    }
    if (Files.isDirectory(path)) {
      return folder(path, model);
    }
    String name = path.getFileName().toString().toLowerCase(Locale.ROOT);
    if (name.endsWith(".bin") || name.endsWith(".pt") || name.endsWith(".pth") || name.endsWith(".ckpt")) {
      throw new InputException("adapter " + path + " is a pickle, which can run any code and is not read; convert it to "
          + "safetensors where it was made");
    }
    Path parent = path.toAbsolutePath().getParent();
    if (name.equals(PeftFolder.WEIGHTS) && PeftFolder.is(parent)) {
      return PeftFolder.read(parent, model);
    }
    return DiffusersLora.read(path, model);
  }

  private static AdapterSet folder(Path folder, Module model) {
    if (PeftFolder.is(folder)) {
      return PeftFolder.read(folder, model);
    }
    Path unet = folder.resolve("unet");
    if (PeftFolder.is(unet)) {
      if (PeftFolder.is(folder.resolve("text_encoder")) || PeftFolder.is(folder.resolve("text_encoder_2"))) {
        throw new InputException("adapter " + folder + " also adapts a text encoder, which is not supported yet; give "
            + unet + " for the UNet's part alone");
      }
      return PeftFolder.read(unet, model);
    }
    Path lora = folder.resolve(DiffusersLora.FILE);
    if (Files.isRegularFile(lora)) {
      return DiffusersLora.read(lora, model);
    }
    throw new InputException("adapter " + folder + " has neither " + PeftFolder.CONFIG + " (PEFT) nor " + DiffusersLora.FILE
        + " (diffusers) in it");
  }
}
