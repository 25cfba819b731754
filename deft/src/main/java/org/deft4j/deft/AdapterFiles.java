package org.deft4j.deft;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import org.deft4j.nn.Module;
import org.deft4j.weights.OmniGenFolder;
import org.deft4j.weights.SafetensorsFile;

/** Adapters from whatever file or folder they are in. */
public final class AdapterFiles {
  private static final String UNET = "unet";
  /** The models that a folder may have a part for, whatever pipeline it is read for. */
  static final List<String> PARTS = List.of(UNET, "text_encoder", "text_encoder_2", OmniGenFolder.TRANSFORMER);

  private AdapterFiles() {}

  /**
   * Reads the adapter at {@code path} for the UNet {@code model} alone; see the other method.
   *
   * @throws InputException if there is none, or it does not fit the model, or adapts another model of the pipeline too
   */
  public static AdapterSet read(Path path, Module model) {
    return read(path, Map.of(UNET, model), ReadOptions.STRICT).sets().get(UNET);
  }

  /**
   * Reads the adapter at {@code path}: a PEFT folder, or a folder with one for each model in it ({@code unet}, {@code text_encoder}, {@code
   * transformer}, ...); a LoRA of diffusers or kohya, a file or the folder it is in; or what the DEFT authors' code saves. Not attached yet, and not in
   * training.
   *
   * @param models the pipeline's models by their names in diffusers, their weights loaded, the main one first
   * @throws InputException if there is none, or it does not fit the models
   * @throws org.deft4j.weights.FormatException if a file is malformed
   */
  public static PipelineAdapter read(Path path, Map<String, Module> models, ReadOptions options) {
    if (!Files.exists(path)) {
      throw new InputException("adapter " + path + " does not exist");
    }
    if (Files.isDirectory(path)) {
      return folder(path, models, options);
    }
    String name = path.getFileName().toString().toLowerCase(Locale.ROOT);
    if (AuthorsFiles.isOne(path)) {
      return AuthorsFiles.read(path, models, options);
    }
    if (name.endsWith(".bin") || name.endsWith(".pt") || name.endsWith(".pth") || name.endsWith(".ckpt")) {
      throw new InputException("adapter " + path + " is a pickle, which can run any code and is not read, unless it is "
          + "one of the DEFT authors' files (" + String.join(", ", AuthorsFiles.NAMES) + "); convert it to safetensors where it was made");
    }
    Path parent = path.toAbsolutePath().getParent();
    if (name.equals(PeftFolder.WEIGHTS) && PeftFolder.is(parent)) {
      return peft(parent, models, options);
    }
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      if (file.names().stream().anyMatch(tensor -> tensor.startsWith(PeftFolder.PREFIX))) {
        throw new InputException("adapter " + path + " has PEFT's names, but " + PeftFolder.CONFIG + ", which says what they mean, is not "
            + "beside it; put it there, with the tensors as " + PeftFolder.WEIGHTS);
      }
      return KohyaLora.recognises(file.names()) ? KohyaLora.read(file, models, options.partial())
          : DiffusersLora.read(file, models, options.partial());
    }
  }

  /** What the file with these tensors is, in words, if it is a LoRA or DoRA of diffusers or kohya. */
  public static Optional<String> kind(Set<String> names) {
    if (Formats.isLycoris(names)) {
      return Optional.of("LoHa or LoKr (LyCORIS), which is not read");
    }
    String tool = KohyaLora.recognises(names) ? "kohya" : DiffusersLora.recognises(names) ? "diffusers" : null;
    return Optional.ofNullable(tool).map(known -> (Formats.hasLengths(names) ? "DoRA (" : "LoRA (") + known + ")");
  }

  /**
   * What the adapter is that a file or PEFT folder holds, without its model; empty if it is none that is known by its tensors' names.
   *
   * @throws InputException for what cannot be read as an adapter
   * @throws org.deft4j.weights.FormatException if a file is malformed
   */
  public static Optional<AdapterSummary> summary(Path path) {
    if (Files.isDirectory(path)) {
      return PeftFolder.is(path) ? Optional.of(PeftFolder.summary(path)) : Optional.empty();
    }
    if (AuthorsFiles.isOne(path)) {
      return Optional.of(AuthorsFiles.summary(path));
    }
    try (SafetensorsFile file = SafetensorsFile.open(path)) {
      Optional<AdapterSummary> summary = KohyaLora.recognises(file.names()) ? Optional.of(KohyaLora.summary(file))
          : DiffusersLora.recognises(file.names()) ? Optional.of(DiffusersLora.summary(file)) : Optional.empty();
      return summary.filter(known -> known.total().layers() > 0);
    }
  }

  /** Whether the file has the name of one of the DEFT authors' code. */
  public static boolean isAuthors(Path file) {
    return AuthorsFiles.isOne(file);
  }

  /** The file of the DEFT authors' code in {@code folder}, if there is one. */
  public static Optional<Path> authorsFile(Path folder) {
    return AuthorsFiles.NAMES.stream().map(folder::resolve).filter(Files::isRegularFile).findFirst();
  }

  /** The models that {@code folder} holds a PEFT folder for. */
  public static List<String> parts(Path folder) {
    return PARTS.stream().filter(part -> PeftFolder.is(folder.resolve(part))).toList();
  }

  private static PipelineAdapter folder(Path folder, Map<String, Module> models, ReadOptions options) {
    if (PeftFolder.is(folder)) {
      return peft(folder, models, options);
    }
    List<String> parts = parts(folder);
    if (!parts.isEmpty()) {
      return parts(folder, parts, models, options);
    }
    Optional<Path> authors = authorsFile(folder);
    if (authors.isPresent()) {
      return AuthorsFiles.read(authors.get(), models, options);
    }
    Path lora = folder.resolve(DiffusersLora.FILE);
    if (Files.isRegularFile(lora)) {
      return read(lora, models, options);
    }
    throw new InputException("adapter " + folder + " has neither " + PeftFolder.CONFIG + " (PEFT) nor " + DiffusersLora.FILE
        + " (diffusers) nor " + String.join(" or ", AuthorsFiles.NAMES) + " (the DEFT authors) in it" + inside(folder));
  }

  /** Where to look instead: what a training that did not finish has left is in a folder of its folder. */
  private static String inside(Path folder) {
    try (Stream<Path> files = Files.list(folder)) {
      return files.filter(file -> PeftFolder.is(file) || !parts(file).isEmpty()).sorted().findFirst()
          .map(found -> "; " + found + " is an adapter").orElse("");
    } catch (IOException _) {
      return "";
    }
  }

  /** A folder without the name of a model is that of the model whose layers it has, the main one's where it has no one's. */
  private static PipelineAdapter peft(Path folder, Map<String, Module> models, ReadOptions options) {
    Path name = folder.toAbsolutePath().normalize().getFileName();
    String model = name != null && models.containsKey(name.toString()) ? name.toString() : PeftFolder.fitting(folder, models);
    return PeftFolder.read(folder, model, models, options.partial());
  }

  private static PipelineAdapter parts(Path folder, List<String> parts, Map<String, Module> models, ReadOptions options) {
    Map<String, AdapterSet> sets = new LinkedHashMap<>();
    Map<String, String> metadata = new LinkedHashMap<>();
    List<String> notices = new ArrayList<>();
    try {
      for (String part : parts) {
        if (models.containsKey(part)) {
          PipelineAdapter read = PeftFolder.read(folder.resolve(part), part, models, options.partial());
          sets.putAll(read.sets());
          read.metadata().forEach(metadata::putIfAbsent);
          notices.addAll(read.notices());
        } else if (options.partial()) {
          notices.add(folder + ": the part for " + part + " was left out");
        } else {
          throw new InputException("adapter " + folder + " also adapts " + part + ", which is not among the models it is read for ("
              + String.join(", ", models.keySet()) + "); give " + folder.resolve(parts.getFirst()) + " for a part alone");
        }
      }
    } catch (RuntimeException e) {
      sets.values().forEach(AdapterSet::close);
      throw e;
    }
    if (sets.isEmpty()) {
      throw new InputException("adapter " + folder + " adapts " + String.join(", ", parts) + ", none of which is among the models it is read for ("
          + String.join(", ", models.keySet()) + ")");
    }
    return new PipelineAdapter(sets, metadata, notices);
  }
}
