package org.deft4j.deft;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.DoubleStream;
import java.util.zip.CRC32C;
import org.deft4j.nn.Optimizer;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.weights.FormatException;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.deft4j.weights.TensorEntry;
import org.deft4j.weights.TensorSpec;

/**
 * All that a training goes on with after a step: what is trained, the optimizer's state, the random numbers' state, the place in the order
 * of the examples, and the steps that were done. A trainer gives one out ({@link Trainer#saving}) to be {@linkplain #write written}, and
 * another goes on from what was {@linkplain #read read} ({@link Trainer#resume}) with the very numbers of a run that was never stopped.
 *
 * <p>The file is safetensors: {@code trained.<i>}, {@code optimizer.<what>}, {@code random}, {@code position}, {@code steps} [n, 3] (loss,
 * learning rate, norm) in the types they have, and {@code checksum}, the CRC-32C of the names, types, shapes and bytes of all others, which is last. Tensors pass
 * through memory one at a time, both ways.
 */
public final class TrainingState implements AutoCloseable {
  private static final String FORMAT = "deft4j training state 1";
  private static final String TRAINED = "trained.";
  private static final String OPTIMIZER = "optimizer.";
  private static final String RANDOM = "random";
  private static final String POSITION = "position";
  private static final String STEPS = "steps";
  /** I32 comes after F32, F64 and I64 in a file. */
  private static final String CHECKSUM = "checksum";
  private static final int CHUNK = 1 << 20;

  private final String source;
  private final Map<String, TensorSpec> specs;
  private final Function<String, Tensor> tensors;
  private final List<Trainer.Step> steps;
  private final SafetensorsFile file;

  private TrainingState(String source, Map<String, TensorSpec> specs, Function<String, Tensor> tensors, List<Trainer.Step> steps,
      SafetensorsFile file) {
    this.source = source;
    this.specs = specs;
    this.tensors = tensors;
    this.steps = List.copyOf(steps);
    this.file = file;
  }

  /** That of a training that is under way, as long as its next step has not begun; the innermost scope holds what is made for it. */
  static TrainingState of(Trainable trained, Optimizer optimizer, RandomSource random, Objective objective, List<Trainer.Step> steps) {
    Map<String, Tensor> tensors = new LinkedHashMap<>();
    List<Tensor> learned = trained.trainable();
    for (int i = 0; i < learned.size(); i++) {
      tensors.put(TRAINED + i, learned.get(i));
    }
    optimizer.state().forEach((name, tensor) -> tensors.put(OPTIMIZER + name, tensor));
    tensors.put(RANDOM, Tensor.of(random.state()));
    tensors.put(POSITION, Tensor.of(objective.position()));
    double[] log = steps.stream().flatMapToDouble(step -> DoubleStream.of(step.loss(), step.learningRate(),
        step.gradientNorm())).toArray();
    tensors.put(STEPS, Tensor.of(log, steps.size(), 3));
    Map<String, TensorSpec> specs = new LinkedHashMap<>();
    tensors.forEach((name, tensor) -> specs.put(name, TensorSpec.of(tensor)));
    return new TrainingState("the training", specs, tensors::get, steps, null);
  }

  /**
   * Opens what {@link #write} wrote, whose bytes are all checked; to be closed.
   *
   * @throws FormatException naming the file, if it is damaged or another
   */
  public static TrainingState read(Path path) {
    SafetensorsFile file = SafetensorsFile.open(path);
    try (Scope _ = Scope.open()) {
      if (!FORMAT.equals(file.metadata().get("format"))) {
        throw new FormatException(path + ": is no state of a training that this version reads: its header does not say '" + FORMAT + "'");
      }
      List<String> missing = List.of(RANDOM, POSITION, STEPS, CHECKSUM).stream().filter(name -> !file.names().contains(name)).toList();
      if (!missing.isEmpty()) {
        throw new FormatException(path + ": is damaged: " + String.join(", ", missing) + " are missing");
      }
      if (checksum(path, file) != (int) file.load(CHECKSUM).toLongs()[0]) {
        throw new FormatException(path + ": is damaged: its checksum is not that of what is in it");
      }
      Map<String, TensorSpec> specs = new LinkedHashMap<>();
      file.names().stream().filter(name -> !name.equals(CHECKSUM))
          .forEach(name -> specs.put(name, new TensorSpec(file.dtype(name), file.shape(name))));
      return new TrainingState(path.toString(), specs, file::load, steps(file.load(STEPS).toDoubles()), file);
    } catch (RuntimeException e) {
      file.close();
      throw e;
    } catch (IOException e) {
      file.close();
      throw new FormatException(path + ": cannot be read: " + e.getMessage(), e);
    }
  }

  private static List<Trainer.Step> steps(double[] log) {
    List<Trainer.Step> steps = new ArrayList<>();
    for (int i = 0; i + 2 < log.length; i += 3) {
      steps.add(new Trainer.Step(i / 3 + 1, log[i], log[i + 1], log[i + 2]));
    }
    return steps;
  }

  /** The sum of all tensors but that of the sum, by what is on the disk. */
  private static int checksum(Path path, SafetensorsFile file) throws IOException {
    CRC32C sum = new CRC32C();
    try (FileChannel channel = FileChannel.open(path)) {
      ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
      channel.read(length, 0);
      long start = Long.BYTES + length.getLong(0);
      ByteBuffer buffer = ByteBuffer.allocateDirect(CHUNK);
      for (Map.Entry<String, TensorEntry> entry : file.entries().entrySet()) {
        if (!entry.getKey().equals(CHECKSUM)) {
          TensorSpec spec = new TensorSpec(file.dtype(entry.getKey()), entry.getValue().shape());
          name(sum, entry.getKey(), spec);
          long at = start + entry.getValue().begin();
          add(sum, channel, at, at + spec.byteCount(), buffer);
        }
      }
    }
    return (int) sum.getValue();
  }

  private static void name(CRC32C sum, String name, TensorSpec spec) {
    sum.update((name + spec).getBytes(StandardCharsets.UTF_8));
  }

  private static void add(CRC32C sum, FileChannel channel, long from, long end, ByteBuffer buffer) throws IOException {
    long at = from;
    while (at < end) {
      int read = channel.read(buffer.clear().limit((int) Math.min(CHUNK, end - at)), at);
      if (read < 0) {
        throw new IOException("it has become shorter");
      }
      sum.update(buffer.flip());
      at += read;
    }
  }

  /** The steps that were done, from the first. */
  public List<Trainer.Step> steps() {
    return steps;
  }

  /** The number of the last of them. */
  public long step() {
    return steps.size();
  }

  /**
   * Makes or replaces a file, whole or not at all.
   *
   * @throws UncheckedIOException if it cannot be written
   */
  public void write(Path path) {
    Map<String, TensorSpec> all = new LinkedHashMap<>(specs);
    try (Scope _ = Scope.open()) {
      all.put(CHECKSUM, TensorSpec.of(Tensor.of(new int[1])));
      CRC32C sum = new CRC32C();
      SafetensorsWriter.write(path, all, name -> name.equals(CHECKSUM) ? Tensor.of(new int[] {(int) sum.getValue()})
          : summed(sum, name, tensors.apply(name)), Map.of("format", FORMAT));
    }
  }

  /** {@code tensor} in this machine's memory, whose bytes were added. */
  private static Tensor summed(CRC32C sum, String name, Tensor tensor) {
    name(sum, name, TensorSpec.of(tensor));
    Tensor here = tensor.to(Device.CPU).contiguous();
    MemorySegment bytes = here.bytes();
    for (long at = 0; at < bytes.byteSize(); at += CHUNK) {
      sum.update(bytes.asSlice(at, Math.min(CHUNK, bytes.byteSize() - at)).asByteBuffer());
    }
    return here;
  }

  /**
   * Brings a training that has not begun to this state.
   *
   * @throws InputException if it is not one of the same things
   */
  void restore(Trainable trained, Optimizer optimizer, RandomSource random, Objective objective) {
    List<Tensor> learned = trained.trainable();
    long count = specs.keySet().stream().filter(name -> name.startsWith(TRAINED)).count();
    if (count != learned.size()) {
      throw new InputException(source + ": has " + count + " trained " + trained.word() + ", and here are " + learned.size());
    }
    for (int i = 0; i < learned.size(); i++) {
      copy(TRAINED + i, learned.get(i));
    }
    try (Scope _ = Scope.open()) {
      Set<String> names = specs.keySet().stream().filter(name -> name.startsWith(OPTIMIZER)).map(name -> name.substring(OPTIMIZER.length()))
          .collect(Collectors.toSet());
      optimizer.restore(Collections.unmodifiableSet(names), name -> tensors.apply(OPTIMIZER + name));
      random.restore(tensors.apply(RANDOM).toLongs());
      objective.restore(tensors.apply(POSITION).toLongs());
    } catch (IllegalArgumentException e) {
      throw new InputException(source + ": " + e.getMessage(), e);
    }
  }

  private void copy(String name, Tensor target) {
    if (!new TensorSpec(target.dtype(), target.shape()).equals(specs.get(name))) {
      throw new InputException(source + ": " + name + ": expected " + target + ", found " + specs.get(name));
    }
    try (Scope _ = Scope.open()) {
      Dispatch.run(new InPlace.CopyInto(), target, tensors.apply(name));
    }
  }

  /** Closes the file, where there is one. */
  @Override
  public void close() {
    if (file != null) {
      file.close();
    }
  }
}
