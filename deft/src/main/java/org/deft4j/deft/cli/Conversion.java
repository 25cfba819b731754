package org.deft4j.deft.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.deft4j.deft.AdapterFold;
import org.deft4j.deft.AdapterFormat;
import org.deft4j.deft.AdapterSet;
import org.deft4j.deft.Extraction;
import org.deft4j.deft.Finite;
import org.deft4j.deft.InputException;
import org.deft4j.deft.KohyaMetadata;
import org.deft4j.deft.Merge;
import org.deft4j.deft.OutputFolder;
import org.deft4j.deft.ParentFolders;
import org.deft4j.deft.PipelineAdapter;
import org.deft4j.deft.Targets;
import org.deft4j.diffusion.DiffusionModel;
import org.deft4j.nn.AdaptedLayer;
import org.deft4j.nn.Module;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.weights.Json;
import org.deft4j.weights.OmniGenFolder;

/** One call of {@code convert} or {@code merge}. */
record Conversion(ModelArgument modelArgument, AdapterArguments arguments, ConvertCommand.OutputOptions output, Console console) {
  /** What a folder that may be replaced holds: adapters and models. */
  private static final Set<String> FILES = Set.of("adapter_config.json", "adapter_model.safetensors", "unet", "text_encoder",
      "text_encoder_2", "vae", "tokenizer", "tokenizer_2", "scheduler", "model_index.json", "feature_extractor", "safety_checker",
      "knowledge_injection_state.bin", "knowledge_injection_config.json", "knowledge_injection_config.bin", "para_rank_state.bin",
      "para_rank_config.json", "para_rank_config.bin");

  /** Writes what a folder holds. */
  @FunctionalInterface
  private interface Writer {
    void write(Path folder) throws IOException;
  }

  /** Writes what a call has made. */
  @FunctionalInterface
  private interface Result {
    void write() throws IOException;
  }

  /** What hears of a call: the console, or nobody in a rehearsal, which writes nothing. */
  private interface Receiver {
    void notice(String sentence);

    void made(Result result) throws IOException;
  }

  /** A call, from a model without weights to its result; it may leave weights in the model, and nothing else open. */
  @FunctionalInterface
  private interface Work {
    void with(DiffusionModel model, Activity activity, Receiver receiver) throws IOException;
  }

  /** The model in the layout of its kind, with the adapters folded in. */
  int model() throws IOException {
    requireOther();
    OutputFolder.require(output.out, replaceable());
    return run((model, activity, receiver) -> {
      load(model, activity);
      with(arguments, model, activity, receiver, adapters -> {
        activity.begin(Phase.FOLDING, "");
        PipelineAdapter.byModel(adapters).forEach((part, sets) -> merge(model, part, sets));
        receiver.made(() -> {
          folder(model::save);
          report("model", Map.of("adapters", arguments.labels(), "parts", List.copyOf(model.parts().keySet())));
        });
      });
    });
  }

  /**
   * Only the merged weights are kept. Where weights are to be of another type than they are stored in, those that change are read again and
   * rounded once, when they are merged.
   */
  private void merge(DiffusionModel model, String part, List<AdapterSet> sets) {
    Map<String, AdaptedLayer> layers = new LinkedHashMap<>();
    sets.forEach(set -> set.adapters().forEach((path, adapter) -> layers.put(path, adapter.layer())));
    DType wanted = modelArgument.weights();
    if (wanted != null) {
      model.reload(part, layers.keySet().stream().map(path -> path + ".weight").toList());
    }
    Merge.into(sets.toArray(AdapterSet[]::new)).close();
    if (wanted != null) {
      layers.forEach((path, layer) -> layer.weight().set(Scope.release(
          Finite.cast(layer.weight().value(), wanted, "the merged weight of " + path))));
    }
  }

  /** One adapter in another layout: as it is, where the layout can hold it, else as a LoRA. */
  int adapter() throws IOException {
    AdapterFormat format = AdapterFormat.named(output.format);
    return run((model, activity, receiver) -> with(arguments, model, activity, receiver, read -> {
      PipelineAdapter adapter = read.getFirst();
      boolean isLora = adapter.sets().values().stream().allMatch(set -> set.config().method().isLora());
      boolean acts = arguments.adapters().getFirst().strength() == 1;
      if (acts && output.rank == null && (isLora || !format.isLora())) {
        receiver.made(() -> write(model, format, adapter));
        return;
      }
      load(model, activity);
      fold(model, format, read, activity, receiver);
    }));
  }

  /** Several adapters as one LoRA. */
  int fold() throws IOException {
    AdapterFormat format = AdapterFormat.named(output.format);
    return run((model, activity, receiver) -> {
      load(model, activity);
      with(arguments, model, activity, receiver, read -> fold(model, format, read, activity, receiver));
    });
  }

  /** The difference of two models as a LoRA on {@code targets}; null: on every layer that can be adapted and differs. */
  int extract(ModelArgument tuned, List<String> targets) throws IOException {
    return run((base, activity, receiver) -> {
      load(base, activity);
      try (DiffusionModel other = tuned.open()) {
        load(other, activity);
        activity.begin(Phase.FOLDING, "");
        try (PipelineAdapter difference = Extraction.of(new Extraction.Side(modelArgument.name(), base.parts()),
            new Extraction.Side(tuned.name(), other.parts()), base.adaptable().keySet(), targets == null ? null : Targets.named(targets),
            output.rank)) {
          difference.notices().forEach(receiver::notice);
          receiver.made(() -> write(base, AdapterFormat.named(output.format), difference));
        }
      }
    });
  }

  /** Does {@code work} if its memory is there; returns the exit status. The rehearsal ends where writing begins. */
  private int run(Work work) throws IOException {
    Activity activity = new Activity();
    activity.begin(Phase.ESTIMATING, "");
    try (DiffusionModel model = modelArgument.open()) {
      MemoryCheck check = MemoryCheck.of(MemoryPlan.of(model, rehearsal(model, work)));
      check.require(() -> modelArgument.inHalf()
          .map(half -> List.of(new MemoryCheck.Remedy(ModelArgument.HALF, half, rehearsal(half, work), false))).orElse(List.of()));
      if (!check.plan().types().isEmpty()) {
        console.message(check.announcement());
      }
      activity.named(() -> work.with(model, activity, new Receiver() {
        @Override
        public void notice(String sentence) {
          console.message(sentence);
        }

        @Override
        public void made(Result result) throws IOException {
          activity.begin(Phase.WRITING, output.out.toString());
          result.write();
        }
      }));
      return ExitStatus.OK;
    }
  }

  private static MemoryPlan.Run rehearsal(DiffusionModel model, Work work) {
    return activity -> {
      try {
        work.with(model, activity, new Receiver() {
          @Override
          public void notice(String sentence) {}

          @Override
          public void made(Result result) {}
        });
      } finally {
        model.close();
      }
    };
  }

  /** The model that is read is none that an earlier call left, whatever it holds. */
  private void requireOther() throws IOException {
    Path model = Path.of(modelArgument.name());
    if (Files.exists(model) && Files.exists(output.out) && Files.isSameFile(model, output.out)) {
      throw new InputException("--out: " + output.out + " is the model itself; give another folder");
    }
  }

  /** An OmniGen model's files have the names that any model's of transformers have, so the folder must be one. */
  private Set<String> replaceable() {
    if (!OmniGenFolder.is(output.out)) {
      return FILES;
    }
    Set<String> names = new HashSet<>(FILES);
    names.addAll(OmniGenFolder.FILES);
    names.add("model.safetensors");
    return names;
  }

  private static void load(DiffusionModel model, Activity activity) {
    model.loadWeights(part -> activity.begin(Phase.LOADING, part));
  }

  /** What is done with adapters that were read. */
  @FunctionalInterface
  private interface Use {
    void of(List<PipelineAdapter> adapters) throws IOException;
  }

  private static void with(AdapterArguments arguments, DiffusionModel model, Activity activity, Receiver receiver, Use use)
      throws IOException {
    activity.begin(Phase.ADAPTING, "");
    List<PipelineAdapter> adapters = arguments.attach(model, receiver::notice);
    try {
      use.of(adapters);
    } finally {
      adapters.forEach(PipelineAdapter::close);
    }
  }

  private void fold(DiffusionModel model, AdapterFormat format, List<PipelineAdapter> adapters, Activity activity, Receiver receiver)
      throws IOException {
    activity.begin(Phase.FOLDING, "");
    long rank = output.rank == null ? Long.MAX_VALUE : output.rank;
    try (PipelineAdapter lora = AdapterFold.pipeline(adapters, rank)) {
      FoldNotice.of(format, arguments, adapters, output.rank, lora).ifPresent(receiver::notice);
      receiver.made(() -> write(model, format, lora));
    }
  }

  /** Its metadata without what they tell of a disk, or a message that they do. */
  private PipelineAdapter redacted(PipelineAdapter adapter) {
    Map<String, String> kept = new KohyaMetadata(adapter.metadata()).redacted().entries();
    Set<String> telling = new TreeSet<>(adapter.metadata().keySet());
    telling.removeAll(kept.keySet());
    if (telling.isEmpty() || output.redact) {
      return adapter.withMetadata(kept);
    }
    console.message("the adapter's metadata name folders of the disk it was trained on (" + String.join(", ", telling)
        + "); --redact leaves them out");
    return adapter;
  }

  private void write(DiffusionModel model, AdapterFormat format, PipelineAdapter read) throws IOException {
    PipelineAdapter adapter = format.hasMetadata() ? redacted(read) : read;
    Map<String, Module> models = model.adaptable();
    DType type = output.type == null ? adapter.storedType() : DType.valueOf(output.type.toUpperCase(Locale.ROOT));
    String title = String.valueOf(output.out.toAbsolutePath().normalize().getFileName()).replaceFirst("\\.[A-Za-z]+$", "");
    if (format.isFolder()) {
      OutputFolder.require(output.out, FILES);
      folder(path -> format.write(path, adapter, models, type, title, model.name()));
    } else {
      try (ParentFolders _ = ParentFolders.of(output.out)) {
        format.write(output.out, adapter, models, type, title, model.name());
      }
    }
    format.caveat(adapter).ifPresent(console::message);
    Map<String, Object> described = new LinkedHashMap<>();
    described.put("format", format.label());
    adapter.sets().forEach((name, set) -> described.put(name,
        Map.of("method", set.config().method().label(), "layers", set.adapters().size(), "rank", set.config().rank())));
    report("adapter", described);
  }

  private void folder(Writer writer) throws IOException {
    try (OutputFolder folder = OutputFolder.open(output.out)) {
      writer.write(folder.path());
      folder.publish();
    }
  }

  private void report(String kind, Map<String, Object> more) {
    Map<String, Object> document = new LinkedHashMap<>();
    document.put("out", output.out.toString());
    document.put("kind", kind);
    document.putAll(more);
    console.result("wrote the " + kind + " to " + output.out);
    console.document(Json.format(document));
  }
}
