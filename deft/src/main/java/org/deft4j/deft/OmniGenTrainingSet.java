package org.deft4j.deft;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.IntConsumer;
import org.deft4j.deft.data.TrainingRecord;
import org.deft4j.diffusion.LatentDistribution;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PictureException;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.diffusion.omnigen.ConditionException;
import org.deft4j.diffusion.omnigen.InputPictures;
import org.deft4j.diffusion.omnigen.OmniGen;
import org.deft4j.diffusion.omnigen.OmniGenProcessor;
import org.deft4j.diffusion.omnigen.OmniGenTokens;
import org.deft4j.diffusion.omnigen.PixelSize;
import org.deft4j.tensor.Rehearsal;

/** Records as OmniGen sees them: each picture is encoded once, however many records show it. */
public final class OmniGenTrainingSet implements AutoCloseable {
  /** Stands for a picture that cannot be read, of which is told already. */
  private static final PixelSize NONE = new PixelSize(1, 1);

  private final Map<Path, LatentDistribution> pictures;
  private final List<OmniGenExample> examples;
  private final OmniGenTokens dropped;

  private OmniGenTrainingSet(Map<Path, LatentDistribution> pictures, List<OmniGenExample> examples, OmniGenTokens dropped) {
    this.pictures = pictures;
    this.examples = examples;
    this.dropped = dropped;
  }

  /**
   * How records are read.
   *
   * @param size a multiple of 16: pictures are brought to this many pixels on their larger side at most
   * @param squares whether they are cut to squares of that size instead of keeping their shape ({@code keep_raw_resolution} of the
   *     reference turned off)
   * @param templated whether instructions stand in the template of sampling; in the training of OmniGen and of DEFT's authors they
   *     do not
   * @param limit most tokens of an instruction with its pictures
   */
  public record Options(int size, boolean squares, boolean templated, int limit) {
    Picture fit(Picture picture) {
      return squares ? InputPictures.centerCrop(picture, size) : InputPictures.fit(picture, size);
    }
  }

  /** Records that were checked, and the sizes of their pictures. */
  public static final class Plan {
    private final Options options;
    private final List<TrainingRecord> records;
    private final List<OmniGenTokens> tokens;
    private final OmniGenTokens dropped;
    private final Map<Path, PixelSize> sizes;

    private Plan(Options options, List<TrainingRecord> records, List<OmniGenTokens> tokens, OmniGenTokens dropped,
        Map<Path, PixelSize> sizes) {
      this.options = options;
      this.records = records;
      this.tokens = tokens;
      this.dropped = dropped;
      this.sizes = sizes;
    }

    /** How they were read. */
    public Options options() {
      return options;
    }

    /** The records. */
    public List<TrainingRecord> records() {
      return records;
    }

    /** How many different pictures there are, of input and output. */
    public int pictures() {
      return sizes.size();
    }

    /** Tokens of each record's instruction, pictures included. */
    public List<Integer> lengths() {
      return tokens.stream().map(OmniGenTokens::length).toList();
    }

    /** Tokens of the longest instruction, pictures included. */
    public int longest() {
      return Collections.max(lengths());
    }

    /** The output pictures by their sizes, how many of each. */
    public Map<String, Integer> outputs() {
      Map<String, Integer> outputs = new TreeMap<>();
      records.forEach(record -> outputs.merge(sizes.get(record.outputImage()).toString(), 1, Integer::sum));
      return outputs;
    }
  }

  /**
   * Checks records for {@code model}, which needs no weights: decodes every picture, counts every token.
   *
   * @throws InputException listing everything that is wrong, with file and line
   */
  public static Plan plan(OmniGen model, List<TrainingRecord> records, Options options) {
    List<String> problems = new ArrayList<>();
    int largest = model.transformer().config().largestSide();
    if (options.size() % model.grain() != 0 || options.size() < model.grain() || options.size() > largest) {
      throw new InputException("size " + options.size() + ": a multiple of " + model.grain() + " is needed, at most " + largest
          + ", which the model's table of positions has room for");
    }
    Map<Path, PixelSize> sizes = new LinkedHashMap<>();
    records.forEach(record -> files(record).forEach(file -> {
      if (!sizes.containsKey(file)) {
        sizes.put(file, size(problems, record, file, options, largest));
      }
    }));
    OmniGenProcessor processor = new OmniGenProcessor(model.tokenizer(), options.limit());
    List<OmniGenTokens> tokens = new ArrayList<>();
    for (TrainingRecord record : records) {
      List<PixelSize> inputs = record.inputImages().stream().map(sizes::get).toList();
      if (!inputs.contains(NONE)) {
        try {
          tokens.add(encode(processor, options, record.instruction(), inputs));
        } catch (ConditionException e) {
          problems.add(record.place() + ": " + e.getMessage());
        }
      }
    }
    if (!problems.isEmpty()) {
      throw new InputException(problems);
    }
    return new Plan(options, List.copyOf(records), tokens, encode(processor, options, OmniGenProcessor.DROPPED_PROMPT, List.of()), sizes);
  }

  private static List<Path> files(TrainingRecord record) {
    List<Path> files = new ArrayList<>(record.inputImages());
    files.add(record.outputImage());
    return files;
  }

  private static PixelSize size(List<String> problems, TrainingRecord record, Path file, Options options, int largest) {
    try {
      PixelSize size = PixelSize.of(options.fit(Pictures.read(file)));
      if (Math.max(size.width(), size.height()) > largest) {
        problems.add(record.place() + ": picture " + file + " has " + size + " pixels, brought to size " + options.size()
            + "; the model's table of positions has room for " + largest + " a side");
      }
      return size;
    } catch (PictureException | ConditionException e) {
      problems.add(record.place() + ": " + e.getMessage());
      return NONE;
    }
  }

  private static OmniGenTokens encode(OmniGenProcessor processor, Options options, String instruction, List<PixelSize> pictures) {
    return options.templated() ? processor.encode(instruction, pictures) : processor.encodeRaw(instruction, pictures);
  }

  /**
   * Encodes the pictures of {@code plan} with the autoencoder of {@code model}, whose weights are loaded.
   *
   * @param cache where encoded pictures are kept, or null
   * @param progress is told how many pictures are done
   */
  public static OmniGenTrainingSet encode(OmniGen model, Plan plan, LatentCache cache, IntConsumer progress) {
    Map<Path, LatentDistribution> pictures = new LinkedHashMap<>();
    try {
      for (Path file : plan.sizes.keySet()) {
        Picture picture = plan.options.fit(Pictures.read(file));
        pictures.put(file, cache == null ? LatentDistribution.encode(model.vae(), picture) : cache.get(picture));
        progress.accept(pictures.size());
      }
    } catch (RuntimeException e) {
      pictures.values().forEach(LatentDistribution::close);
      throw e;
    }
    List<OmniGenExample> examples = new ArrayList<>();
    for (int i = 0; i < plan.records.size(); i++) {
      TrainingRecord record = plan.records.get(i);
      examples.add(new OmniGenExample(plan.tokens.get(i), record.inputImages().stream().map(pictures::get).toList(),
          pictures.get(record.outputImage())));
    }
    if (Rehearsal.isOpen()) {
      // All random numbers are zeros in a rehearsal, so that the first example comes again and again: let it be the largest.
      examples.sort(Comparator.comparingLong(OmniGenExample::size).reversed());
    }
    return new OmniGenTrainingSet(pictures, examples, plan.dropped);
  }

  /** One for each record, in order. */
  public List<OmniGenExample> examples() {
    return List.copyOf(examples);
  }

  /** What stands in the place of a condition that is dropped. */
  public OmniGenTokens dropped() {
    return dropped;
  }

  @Override
  public void close() {
    pictures.values().forEach(LatentDistribution::close);
  }
}
