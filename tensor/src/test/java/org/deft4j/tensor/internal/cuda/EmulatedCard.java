package org.deft4j.tensor.internal.cuda;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import java.util.zip.CRC32;
import org.deft4j.tensor.DeviceException;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

/**
 * A card that is none: the sources of the kernels, compiled for the processor with {@code host.h} before them, and memory of this process.
 * All else, what is launched with which arguments and what is copied where, is as on a card; so a program that runs here has only the card
 * itself left to fear. Needs {@code g++}. Memory it gives out is filled with NaN.
 */
@SuppressWarnings("restricted")
public final class EmulatedCard implements Card {
  private static final String COMPILER = System.getProperty("deft4j.cuda.hostCompiler", "g++");
  private static final int ERROR_BYTES = 512;
  private static final FunctionDescriptor LAUNCH = FunctionDescriptor.of(JAVA_INT, ADDRESS, JAVA_INT, JAVA_INT, ADDRESS, ADDRESS, ADDRESS);
  private static final FunctionDescriptor GEMM = FunctionDescriptor.ofVoid(ADDRESS, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, ADDRESS,
      JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG, ADDRESS, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_DOUBLE,
      JAVA_DOUBLE);

  private static EmulatedCard instance;

  private final Map<String, Path> compiled = new ConcurrentHashMap<>();
  private final Map<String, SymbolLookup> libraries = new HashMap<>();
  private final Map<String, MethodHandle> kernels = new HashMap<>();
  private final TreeMap<Long, Arena> blocks = new TreeMap<>();
  private final TreeMap<Long, Arena> pinned = new TreeMap<>();
  private final EmulatedStreams streams = new EmulatedStreams();
  private boolean pins = true;
  private MethodHandle gemm;
  private int laneOrder = 1;
  private long launches;

  private EmulatedCard() {}

  /** Whether there is a compiler for it. */
  public static boolean isPossible() {
    try {
      return new ProcessBuilder(COMPILER, "--version").redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD).start()
          .waitFor() == 0;
    } catch (IOException e) {
      return false;
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  /** What {@link Cuda} opens; there is one. */
  static synchronized Card open(int number) {
    if (number != 0) {
      throw new DeviceException("device cuda:" + number + ": there is cuda:0 alone");
    }
    if (!isPossible()) {
      throw new DeviceException("device cuda: no " + COMPILER + " to run the kernels' sources on this processor");
    }
    EmulatedCard card = new EmulatedCard();
    // The tests leave a core to the compiler: what they will want is made meanwhile.
    Thread.ofPlatform().daemon().start(() -> Sources.NAMES.forEach(card::compiled));
    instance = card;
    return card;
  }

  /** The one that was opened. */
  static synchronized EmulatedCard instance() {
    return instance;
  }

  @Override
  public String describe() {
    return "kernels of CUDA on this processor, for tests";
  }

  @Override
  public int multiprocessors() {
    return 1;
  }

  @Override
  public long freeBytes() {
    return 4L << 30;
  }

  @Override
  public synchronized long allocate(long bytes) {
    Arena arena = Arena.ofShared();
    MemorySegment memory = arena.allocate(bytes, 256).fill((byte) 0xff);
    blocks.put(memory.address(), arena);
    return memory.address();
  }

  @Override
  public void free(long address) {
    streams.drain();
    synchronized (this) {
      blocks.remove(address).close();
    }
  }

  private static MemorySegment at(long address, long bytes) {
    return MemorySegment.ofAddress(address).reinterpret(bytes);
  }

  @Override
  public void upload(MemorySegment from, long to) {
    byte[] bytes = from.toArray(JAVA_BYTE);
    streams.ask(Stream.COMPUTE, () -> at(to, bytes.length).copyFrom(MemorySegment.ofArray(bytes)));
  }

  @Override
  public void download(long from, MemorySegment into) {
    streams.drain(Stream.COMPUTE);
    into.copyFrom(at(from, into.byteSize()));
  }

  @Override
  public void copy(long from, long to, long bytes) {
    streams.ask(Stream.COMPUTE, () -> at(to, bytes).copyFrom(at(from, bytes)));
  }

  @Override
  public synchronized MemorySegment allocatePinned(long bytes) {
    if (!pins) {
      throw new OutOfMemoryError("the test locks no memory");
    }
    Arena arena = Arena.ofShared();
    MemorySegment memory = arena.allocate(bytes, 256).fill((byte) 0xff);
    pinned.put(memory.address(), arena);
    return memory;
  }

  @Override
  public synchronized void freePinned(MemorySegment memory) {
    pinned.remove(memory.address()).close();
  }

  /** How many pieces of pinned memory there are. */
  synchronized int pinnedPieces() {
    return pinned.size();
  }

  /** Whether memory can be pinned from now on. */
  synchronized void setPins(boolean possible) {
    pins = possible;
  }

  @Override
  public void uploadAside(MemorySegment from, long to) {
    streams.ask(Stream.COPY, () -> at(to, from.byteSize()).copyFrom(from));
  }

  @Override
  public Event event() {
    return streams.event();
  }

  @Override
  public void record(Event event, Stream stream) {
    streams.record(event, stream);
  }

  @Override
  public void await(Event event, Stream stream) {
    streams.await(event, stream);
  }

  @Override
  public void await(Event event) {
    streams.await(event);
  }

  @Override
  public void synchronize() {
    streams.drain(Stream.COMPUTE);
  }

  /** When its streams do their work. */
  EmulatedStreams streams() {
    return streams;
  }

  /** How many kernels were launched. */
  long launches() {
    return launches;
  }

  /** Whether the threads of a block run from the last to the first between barriers: what then changes lacks one. */
  synchronized void turnLanes(boolean turned) {
    laneOrder = turned ? -1 : 1;
    libraries.values().forEach(this::setLaneOrder);
  }

  private void setLaneOrder(SymbolLookup library) {
    try {
      Linker.nativeLinker().downcallHandle(library.find("host_lane_order").orElseThrow(), FunctionDescriptor.ofVoid(JAVA_INT))
          .invokeExact(laneOrder);
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void launch(String source, String kernel, long[] grid, int threads, int shared, Arguments arguments) {
    streams.ask(Stream.COMPUTE, () -> launchNow(source, kernel, grid, threads, shared, arguments));
  }

  private synchronized void launchNow(String source, String kernel, long[] grid, int threads, int shared, Arguments arguments) {
    launches++;
    MethodHandle function = kernels.computeIfAbsent(source + "." + kernel, _ -> function(source, kernel + "_launch", LAUNCH));
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment error = arena.allocate(ERROR_BYTES);
      int failed = (int) function.invokeExact(arena.allocateFrom(JAVA_LONG, grid), threads, shared,
          arena.allocate(Arguments.MOST, Long.BYTES).copyFrom(MemorySegment.ofBuffer(arguments.bytes().duplicate().flip())),
          arena.allocateFrom(Arrays.stream(arguments.sizes()).mapToObj(Integer::toString).collect(Collectors.joining(" "))), error);
      if (failed != 0) {
        throw new DeviceException("kernel " + kernel + " of " + source + ".cu: " + error.getString(0));
      }
    } catch (DeviceException e) {
      throw e;
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  @Override
  public void multiply(Gemm gemm) {
    streams.ask(Stream.COMPUTE, () -> multiplyNow(gemm));
  }

  private synchronized void multiplyNow(Gemm g) {
    try {
      if (gemm == null) {
        gemm = function("host_gemm", "host_gemm", GEMM);
      }
      gemm.invokeExact(MemorySegment.ofAddress(g.a().address()), CudaFunctions.code(g.a().dtype()), g.a().transposed() ? 1 : 0, g.a().lead(),
          g.a().batchStride(), MemorySegment.ofAddress(g.b().address()), CudaFunctions.code(g.b().dtype()), g.b().transposed() ? 1 : 0,
          g.b().lead(), g.b().batchStride(), MemorySegment.ofAddress(g.c().address()), CudaFunctions.code(g.c().dtype()), g.c().lead(),
          g.c().batchStride(), g.m(), g.n(), g.k(), g.batch(), g.alpha(), g.beta());
    } catch (Throwable e) {
      throw new IllegalStateException(e);
    }
  }

  private MethodHandle function(String source, String name, FunctionDescriptor type) {
    SymbolLookup library = libraries.computeIfAbsent(source, this::library);
    MemorySegment symbol = library.find(name)
        .orElseThrow(() -> new DeviceException(source + ".cu exports no kernel " + name.replace("_launch", "")));
    return Linker.nativeLinker().downcallHandle(symbol, type);
  }

  private SymbolLookup library(String source) {
    SymbolLookup library = SymbolLookup.libraryLookup(compiled(source), Arena.global());
    setLaneOrder(library);
    return library;
  }

  private Path compiled(String source) {
    return compiled.computeIfAbsent(source, name -> compiled(name, "#define DEFT_HOST\n" + resource("host.h") + resource("host_tensor_cores.h")
        + (name.equals("host_gemm") ? Sources.shared() + resource("host_gemm.cpp") : Sources.text(name))));
  }

  /** The library of this text; one that an earlier run has left is used again. */
  private static Path compiled(String name, String text) {
    CRC32 sum = new CRC32();
    sum.update(text.getBytes(StandardCharsets.UTF_8));
    try {
      Path folder = Files.createDirectories(Path.of(System.getProperty("deft4j.cuda.hostFolder", System.getProperty("java.io.tmpdir"))));
      Path library = folder.resolve("deft4j-host-" + name + "-" + Long.toHexString(sum.getValue()) + ".so");
      if (!Files.exists(library)) {
        Path source = Files.createTempFile(folder, name, ".cpp");
        Path made = Files.createTempFile(folder, name, ".so");
        Files.writeString(source, text);
        Process process = new ProcessBuilder(COMPILER, "-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-fvisibility=hidden",
            "-fno-gnu-unique", "-w", "-o", made.toString(), source.toString()).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
          throw new DeviceException(name + ".cu does not compile for the processor:\n" + output);
        }
        Files.move(made, library, StandardCopyOption.ATOMIC_MOVE);
        Files.delete(source);
      }
      return library;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  private static String resource(String file) {
    try (InputStream in = EmulatedCard.class.getResourceAsStream("/org/deft4j/tensor/cuda/" + file)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
