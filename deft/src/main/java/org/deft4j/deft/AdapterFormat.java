package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;

/** A layout that adapters are written in. */
public enum AdapterFormat {
  /** PEFT's folder; one for each model ({@code unet}, {@code text_encoder}, ...) where the adapter has several. Any method. */
  PEFT("peft"),
  /** The file of diffusers, with {@code lora_A} and {@code lora_B}. LoRA. */
  DIFFUSERS("diffusers"),
  /** The same with the older {@code lora.down} and {@code lora.up}. LoRA. */
  DIFFUSERS_OLDER("diffusers-older"),
  /**
   * Kohya's file, for A1111 and ComfyUI, with the UNet's layers named as kohya names them for the model: SGM's names for SDXL,
   * diffusers' for SD 1.5. LoRA.
   */
  KOHYA("kohya"),
  /** Kohya's file with the UNet's layers named as in single-file checkpoints. LoRA. */
  KOHYA_SGM("kohya-sgm"),
  /** Kohya's file with the UNet's layers named as in diffusers. LoRA. */
  KOHYA_DIFFUSERS("kohya-diffusers"),
  /** The folder that the DEFT authors' OmniGen code saves and loads. DEFT, PaRa and LoRA. */
  AUTHORS("authors"),
  /** The file that the DEFT authors' SDXL code loads. DEFT and PaRa. */
  AUTHORS_SDXL("authors-sdxl");

  private final String label;

  AdapterFormat(String label) {
    this.label = label;
  }

  /** The name on the command line. */
  public String label() {
    return label;
  }

  /** Whether its files have a header that says something of them. */
  public boolean hasMetadata() {
    return this != AUTHORS && this != AUTHORS_SDXL;
  }

  /** Whether it holds {@code u v} for each layer and nothing else. */
  public boolean isLora() {
    return this != PEFT && hasMetadata();
  }

  /** Whether it is a folder rather than a file. */
  public boolean isFolder() {
    return this == PEFT || this == AUTHORS;
  }

  /** How the name of its file ends, by which readers know it; empty for a folder. */
  public String ending() {
    return isFolder() ? "" : this == AUTHORS_SDXL ? AuthorsFiles.SDXL : ".safetensors";
  }

  /** Every {@link #label}. */
  public static List<String> labels() {
    return Arrays.stream(values()).map(AdapterFormat::label).toList();
  }

  /**
   * The one with this {@link #label}.
   *
   * @throws InputException naming the known ones
   */
  public static AdapterFormat named(String label) {
    for (AdapterFormat format : values()) {
      if (format.label.equals(label)) {
        return format;
      }
    }
    throw new InputException("format '" + label + "' is unknown" + Nearest.hint(label, labels()) + "; there are "
        + String.join(", ", labels()));
  }

  /**
   * Writes {@code adapter} to {@code out}, a file or, where the format is one, a folder that exists.
   *
   * @param models all models of the pipeline, the main one first
   * @param type of the tensors: F32, F16 or BF16
   * @param title the adapter's name, for people
   * @param baseModel the model's name
   * @throws InputException if the format cannot hold the adapter
   */
  public void write(Path out, PipelineAdapter adapter, Map<String, Module> models, DType type, String title, String baseModel)
      throws IOException {
    switch (this) {
      case PEFT -> peft(out, adapter, main(models), type, baseModel);
      case DIFFUSERS -> DiffusersLora.write(out, adapter, DiffusersLora.Style.PEFT, type);
      case DIFFUSERS_OLDER -> DiffusersLora.write(out, adapter, DiffusersLora.Style.OLDER, type);
      case KOHYA -> KohyaLora.write(out, adapter, models,
          models.containsKey("text_encoder_2") ? KohyaNames.Style.SGM : KohyaNames.Style.DIFFUSERS, type, title);
      case KOHYA_SGM -> KohyaLora.write(out, adapter, models, KohyaNames.Style.SGM, type, title);
      case KOHYA_DIFFUSERS -> KohyaLora.write(out, adapter, models, KohyaNames.Style.DIFFUSERS, type, title);
      case AUTHORS -> AuthorsWriter.folder(out, single(adapter, main(models)), type, adapter.metadata());
      case AUTHORS_SDXL -> AuthorsWriter.sdxl(out, single(adapter, main(models)), type);
    }
  }

  /** What a reader of the written file may take otherwise than it is meant, in a sentence. */
  public Optional<String> caveat(PipelineAdapter adapter) {
    return this != AUTHORS ? Optional.empty() : adapter.sets().values().stream().map(AdapterSet::config)
        .filter(config -> config.decomposition() instanceof RelaxedDecomposition || config.decomposition() instanceof RectifiedDecomposition)
        .map(config -> "the DEFT authors' files call relaxed, relu and relu-relu None, and their released code takes that for relu; "
            + "for this adapter, " + config.decomposition().method() + ", choose its line in their forward pass").findFirst();
  }

  private static String main(Map<String, Module> models) {
    return models.keySet().iterator().next();
  }

  /** The main model's adapter alone is the folder itself; others have the name of their model. */
  private static void peft(Path out, PipelineAdapter adapter, String main, DType type, String baseModel) throws IOException {
    Map<String, String> metadata = AdapterMetadata.plain(adapter.metadata());
    for (Map.Entry<String, AdapterSet> set : adapter.sets().entrySet()) {
      boolean alone = adapter.sets().size() == 1 && set.getKey().equals(main);
      Path folder = alone ? out : Files.createDirectory(out.resolve(set.getKey()));
      PeftFolder.write(folder, set.getValue(), type, baseModel, metadata);
    }
  }

  private static AdapterSet single(PipelineAdapter adapter, String main) {
    if (!adapter.sets().keySet().equals(Set.of(main))) {
      throw new InputException("the DEFT authors' files hold the adapter of the " + main + "; this one adapts "
          + String.join(", ", adapter.sets().keySet()));
    }
    return adapter.sets().get(main);
  }
}
