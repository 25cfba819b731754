package org.deft4j.deft.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.stream.Stream;
import org.deft4j.deft.FlowMatching;
import org.deft4j.deft.InputException;
import org.deft4j.deft.LatentCache;
import org.deft4j.deft.Objective;
import org.deft4j.deft.OmniGenTrainingSet;
import org.deft4j.deft.data.TrainingRecord;
import org.deft4j.diffusion.omnigen.OmniGen;
import org.deft4j.tensor.Rehearsal;

/**
 * An OmniGen model learns records: an instruction, the pictures that it names, and the picture that is to come out.
 *
 * @param plan the records, checked
 */
record OmniGenTraining(OmniGen model, TrainingRequest request, OmniGenTrainingSet.Plan plan) implements TrainingJob {
  /** @throws InputException listing all that is wrong with the data */
  static OmniGenTraining of(OmniGen model, TrainingRequest request) {
    if (request.textEncoders()) {
      throw new InputException("--train-text-encoder: an OmniGen has no text encoder, its transformer reads the prompt; leave it out");
    }
    List<TrainingRecord> records = request.records();
    return new OmniGenTraining(model, request, plan(model, request, records, request.sizeFor(model)));
  }

  private static OmniGenTrainingSet.Plan plan(OmniGen model, TrainingRequest request, List<TrainingRecord> records, int size) {
    OmniGenTrainingOptions options = request.omniGen();
    return OmniGenTrainingSet.plan(model, records,
        new OmniGenTrainingSet.Options(size, options.squares, options.template, options.maxTokens()));
  }

  @Override
  public int pictures() {
    return plan.pictures();
  }

  @Override
  public String data() {
    return plan.records().size() + " records with " + plan.pictures() + " pictures of at most " + plan.options().size() + " pixels a side";
  }

  @Override
  public Map<String, Object> description() {
    Map<String, Object> description = new LinkedHashMap<>();
    description.put("records", plan.records().size());
    description.put("pictures", plan.pictures());
    description.put("prompt", request.prompt());
    description.put("size", plan.options().size());
    description.put("squares", plan.options().squares());
    description.put("condition_dropout", request.omniGen().conditionDropout());
    return description;
  }

  /** Pictures as their files are: each is seen once, and named by its number in all records. */
  @Override
  public void identify(MessageDigest digest) throws IOException {
    Map<Path, Integer> seen = new HashMap<>();
    for (TrainingRecord record : plan.records()) {
      digest.update((record.instruction() + "\0" + record.inputImages().size() + "\0").getBytes(StandardCharsets.UTF_8));
      for (Path file : Stream.concat(record.inputImages().stream(), Stream.of(record.outputImage())).toList()) {
        Integer number = seen.putIfAbsent(file, seen.size());
        digest.update((number + "\0").getBytes(StandardCharsets.UTF_8));
        if (number == null) {
          digest.update(Files.readAllBytes(file));
        }
      }
    }
  }

  @Override
  public Map<String, Object> counts() {
    Map<String, Object> counts = new LinkedHashMap<>();
    counts.put("longest_instruction", plan.longest());
    counts.put("output_sizes", plan.outputs());
    return counts;
  }

  @Override
  public Map<String, TrainingJob> lighter() {
    int smaller = model.half(plan.options().size());
    return Map.of("--size " + smaller, new OmniGenTraining(model, request, plan(model, request, plan.records(), smaller)));
  }

  /** First the autoencoder alone is loaded, and let go of, so that it is never there beside the transformer. */
  @Override
  public Prepared prepare(Consumer<String> reading, IntConsumer encoded) {
    model.loadVae(reading);
    encoded.accept(0);
    OmniGenTrainingSet set = OmniGenTrainingSet.encode(model, plan, cache(), encoded);
    model.releaseVae();
    model.loadTransformer(reading);
    return new Encoded(set, new FlowMatching(model.transformer(), set, request.omniGen().conditionDropout()));
  }

  private LatentCache cache() {
    Path folder = request.omniGen().latentCache;
    if (folder == null || Rehearsal.isOpen()) {
      return null;
    }
    try {
      return LatentCache.of(Files.createDirectories(folder), model.vae());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private record Encoded(OmniGenTrainingSet set, Objective objective) implements Prepared {
    @Override
    public void close() {
      set.close();
    }
  }
}
