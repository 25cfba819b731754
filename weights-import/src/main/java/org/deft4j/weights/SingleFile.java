package org.deft4j.weights;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;

/**
 * A single-file checkpoint of Stable Diffusion 1.5 or XL, presented as the components of the diffusers layout. Such a file
 * has no configurations: they are taken from a given folder in the diffusers layout, or else are those that the family's
 * makers published, which the file's shapes must then fit.
 */
public final class SingleFile implements ModelSource {
  private final SafetensorsFile file;
  private final SingleFileFamily family;
  private final DiffusersFolder configs;
  private final Map<String, Map<String, Origin>> components = new LinkedHashMap<>();

  /** Where a component's tensor comes from. */
  private record Origin(String stored, Piece piece) {}

  private SingleFile(SafetensorsFile file, DiffusersFolder configs) {
    this.file = file;
    this.configs = configs;
    this.family = SingleFileFamily.of(file.source(), file.names());
    Map<String, Shape> shapes = new LinkedHashMap<>();
    file.entries().forEach((name, entry) -> shapes.put(name, entry.shape()));
    SingleFileMap.of(file.source(), family, shapes).forEach((stored, mapping) -> {
      Map<String, Origin> component = components.computeIfAbsent(mapping.component(), _ -> new LinkedHashMap<>());
      for (Piece piece : mapping.pieces()) {
        Origin other = component.put(piece.name(), new Origin(stored, piece));
        if (other != null) {
          throw new FormatException(file.source() + ": " + Text.quote(other.stored()) + " and " + Text.quote(stored)
              + " are both " + piece.name() + " of " + mapping.component());
        }
      }
    });
    if (configs == null) {
      requirePublishedSizes();
    }
  }

  /** Opens a checkpoint of the published size. */
  public static SingleFile open(Path path) {
    return open(path, null);
  }

  /** Opens a checkpoint whose configurations (and tokenizers) are in {@code configs}, a folder in the diffusers layout. */
  public static SingleFile open(Path path, Path configs) {
    if (Pickles.isPickle(path)) {
      throw Pickles.refuse(path);
    }
    DiffusersFolder folder = configs == null ? null : DiffusersFolder.open(configs);
    SafetensorsFile file = SafetensorsFile.open(path);
    boolean done = false;
    try {
      SingleFile opened = new SingleFile(file, folder);
      done = true;
      return opened;
    } finally {
      if (!done) {
        file.close();
      }
    }
  }

  /** Compares a few telling shapes with the published configurations, and refuses a checkpoint of another size. */
  private void requirePublishedSizes() {
    JsonObject unet = family.published("unet");
    JsonObject vae = family.published("vae");
    JsonObject text = family.published("text_encoder");
    List<String> problems = new ArrayList<>();
    long width = unet.requireInts("block_out_channels").getFirst();
    requireShape(problems, "unet", "conv_in.weight", width, unet.requireInteger("in_channels"), 3, 3);
    requireShape(problems, "unet", "conv_out.weight", unet.requireInteger("out_channels"), width, 3, 3);
    requireShape(problems, "vae", "encoder.conv_in.weight", vae.requireInts("block_out_channels").getFirst(), 3, 3, 3);
    requireShape(problems, "text_encoder", "text_model.embeddings.token_embedding.weight",
        text.requireInteger("vocab_size"), text.requireInteger("hidden_size"));
    if (!problems.isEmpty()) {
      throw new FormatException(file.source() + ": is not of the size that " + family.title() + " was published in: "
          + String.join("; ", problems) + ". Give the folder with its configurations");
    }
  }

  private void requireShape(List<String> problems, String component, String name, long... sizes) {
    Origin origin = components.getOrDefault(component, Map.of()).get(name);
    Shape shape = origin == null ? null : origin.piece().shape(file.shape(origin.stored()));
    if (origin != null && !shape.equals(Shape.of(sizes))) {
      problems.add(component + " " + name + " is " + shape + ", published " + Shape.of(sizes));
    }
  }

  @Override
  public String source() {
    return file.source();
  }

  @Override
  public String pipeline() {
    return configs == null ? family.published("model_index").requireString("_class_name") : configs.pipeline();
  }

  /** The parts with weights in the file, and the scheduler. */
  @Override
  public Set<String> components() {
    Set<String> names = new TreeSet<>(components.keySet());
    names.add("scheduler");
    return names;
  }

  @Override
  public JsonObject config(String component) {
    return configs == null ? family.published(component) : configs.config(component);
  }

  @Override
  public Optional<Path> folder(String component) {
    return configs == null ? Optional.empty() : configs.folder(component);
  }

  /** The metadata of the file. */
  public Map<String, String> metadata() {
    return file.metadata();
  }

  @Override
  public WeightSource weights(String component) {
    Map<String, Origin> origins = components.get(component);
    if (origins == null) {
      throw new FormatException(file.source() + ": has no weights of " + Text.quote(component) + "; it has those of "
          + Text.list(List.copyOf(components.keySet())));
    }
    return new Part(component, origins);
  }

  @Override
  public void close() {
    file.close();
  }

  /** One component; the file stays open when it is closed. */
  private final class Part implements WeightSource {
    private final String component;
    private final Map<String, Origin> origins;

    Part(String component, Map<String, Origin> origins) {
      this.component = component;
      this.origins = origins;
    }

    private Origin origin(String name) {
      Origin origin = origins.get(name);
      if (origin == null) {
        throw new FormatException(source() + ": has no tensor " + Text.quote(name));
      }
      return origin;
    }

    @Override
    public String source() {
      return file.source() + " (" + component + ")";
    }

    @Override
    public Set<String> names() {
      return Collections.unmodifiableSet(origins.keySet());
    }

    @Override
    public DType dtype(String name) {
      return file.dtype(origin(name).stored());
    }

    @Override
    public Shape shape(String name) {
      return origin(name).piece().shape(file.shape(origin(name).stored()));
    }

    @Override
    public Tensor load(String name, DType type) {
      return origin(name).piece().load(file, origin(name).stored(), type).named(name);
    }

    @Override
    public Map<String, String> metadata() {
      return file.metadata();
    }

    @Override
    public void close() {}
  }
}
