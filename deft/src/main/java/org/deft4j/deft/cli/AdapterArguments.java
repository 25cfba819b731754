package org.deft4j.deft.cli;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import org.deft4j.deft.AdapterFiles;
import org.deft4j.deft.PipelineAdapter;
import org.deft4j.deft.ReadOptions;
import org.deft4j.diffusion.DiffusionModel;

/**
 * The adapters on the command line, and how they act together.
 *
 * @param inSequence each corrects what those before it made, instead of the model's own weights
 * @param options how their files are read
 */
record AdapterArguments(List<AdapterArgument> adapters, boolean inSequence, ReadOptions options) {
  private static final String SUM = "sum";
  private static final String SEQUENCE = "sequence";

  /** The values of {@code --compose}. */
  static final List<String> COMPOSITIONS = List.of(SUM, SEQUENCE);

  /**
   * Reads them all for {@code model}, whose weights are loaded, and attaches them in order; {@code notice} is told what there
   * is to say.
   */
  List<PipelineAdapter> attach(DiffusionModel model, Consumer<String> notice) {
    List<PipelineAdapter> attached = new ArrayList<>();
    try {
      for (AdapterArgument argument : adapters) {
        PipelineAdapter adapter = AdapterFiles.read(argument.path(), model.adaptable(), options);
        attached.add(adapter);
        adapter.notices().forEach(notice);
        adapter.setStrength(argument.strength()).setInSequence(inSequence && attached.size() > 1).attach();
      }
      return attached;
    } catch (RuntimeException e) {
      attached.forEach(PipelineAdapter::close);
      throw e;
    }
  }

  /** The value of {@code --compose} that they act by, where there are several. */
  Optional<String> composition() {
    return adapters.size() < 2 ? Optional.empty() : Optional.of(inSequence ? SEQUENCE : SUM);
  }

  /** Their names and strengths. */
  List<String> labels() {
    return adapters.stream().map(AdapterArgument::label).toList();
  }
}
