package org.deft4j.tensor.internal.cuda;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import jcuda.Pointer;
import jcuda.driver.CUcontext;
import jcuda.driver.CUdevice;
import jcuda.driver.CUdevice_attribute;
import jcuda.driver.CUdeviceptr;
import jcuda.driver.CUevent;
import jcuda.driver.CUevent_flags;
import jcuda.driver.CUfunction;
import jcuda.driver.CUfunction_attribute;
import jcuda.driver.CUmodule;
import jcuda.driver.CUresult;
import jcuda.driver.CUstream;
import jcuda.driver.JCudaDriver;
import org.deft4j.tensor.DeviceException;
import org.deft4j.tensor.MemoryPool;

/**
 * A card, by JCuda: the driver for memory, copies and launches, {@link JcudaPrograms NVRTC} for kernels, {@link JcudaBlas cuBLAS} for
 * products. All of it on one stream, but for uploads on another.
 */
final class JcudaCard implements Card {
  /** The oldest driver, by the CUDA version it is for, that runs programs of CUDA 12. */
  private static final int DRIVER = 12_000;
  /** Shared memory that a kernel may have without being allowed to. */
  private static final int SHARED = 48 << 10;
  /** Of each of two pinned buffers through which memory of this process is copied. */
  private static final int STAGING = 16 << 20;
  /** The same for what is small, of which several copies may be under way before one has to be waited for. */
  private static final int SMALL_STAGING = 128 << 10;
  private static final int SMALL_BUFFERS = 16;
  private static final int NAME_BYTES = 256;

  private final CUcontext context = new CUcontext();
  private final CUstream stream = new CUstream();
  private final CUstream copies = new CUstream();
  private final String name;
  private final int major;
  private final int minor;
  private final int multiprocessors;
  private final long totalBytes;
  private final JcudaPrograms programs;
  private final JcudaBlas blas;
  private final Map<String, CUmodule> modules = new HashMap<>();
  /** Of each source, those that have been launched. */
  private final Map<String, Map<String, CUfunction>> functions = new HashMap<>();
  private final Staging[] staging = new Staging[2];
  private final Staging[] small = new Staging[SMALL_BUFFERS];
  private int nextSmall;
  /** The parameters of a launch as they lie, and the address of each, which the driver wants. */
  private final ByteBuffer parameters = ByteBuffer.allocateDirect(Arguments.MOST).order(ByteOrder.nativeOrder());
  private final ByteBuffer addresses = ByteBuffer.allocateDirect(Arguments.MOST).order(ByteOrder.nativeOrder());
  private final long parametersAddress = MemorySegment.ofBuffer(parameters).address();
  private final Pointer addressesPointer = Pointer.to(addresses);
  private final ThreadLocal<Boolean> entered = ThreadLocal.withInitial(() -> false);

  /** A pinned buffer and the end of the copy from it. */
  private record Staging(ByteBuffer bytes, CUevent copied) {}

  /** An event of the driver, which measures no time. */
  private final class DriverEvent implements Event {
    private final CUevent event = new CUevent();

    DriverEvent() {
      check(JCudaDriver.cuEventCreate(event, CUevent_flags.CU_EVENT_DISABLE_TIMING), "cuEventCreate");
    }

    @Override
    public void close() {
      synchronized (JcudaCard.this) {
        enter();
        check(JCudaDriver.cuEventDestroy(event), "cuEventDestroy");
      }
    }
  }

  /** A pointer whose address can be seen; of the card's memory or this process's. */
  private static final class Address extends CUdeviceptr {
    long value() {
      return getNativePointer();
    }

    static CUdeviceptr of(long address) {
      return new CUdeviceptr().withByteOffset(address);
    }
  }

  private JcudaCard(int number) {
    check(JCudaDriver.cuInit(0), "cuInit");
    int[] value = new int[1];
    check(JCudaDriver.cuDriverGetVersion(value), "cuDriverGetVersion");
    if (value[0] < DRIVER) {
      throw new DeviceException("device cuda: the NVIDIA driver is for CUDA " + value[0] / 1000 + "." + value[0] % 1000 / 10
          + ", and 12.0 or newer is needed (driver 525 or newer); update the driver");
    }
    int driver = value[0];
    check(JCudaDriver.cuDeviceGetCount(value), "cuDeviceGetCount");
    if (number >= value[0]) {
      throw new DeviceException("device cuda:" + number + ": " + (value[0] == 0 ? "the driver sees no card"
          : "the driver sees " + value[0] + " of them, cuda:0 to cuda:" + (value[0] - 1)));
    }
    CUdevice device = new CUdevice();
    check(JCudaDriver.cuDeviceGet(device, number), "cuDeviceGet");
    byte[] text = new byte[NAME_BYTES];
    check(JCudaDriver.cuDeviceGetName(text, NAME_BYTES, device), "cuDeviceGetName");
    this.name = new String(text, StandardCharsets.UTF_8).trim();
    this.major = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    this.minor = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    this.multiprocessors = attribute(device, CUdevice_attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    long[] bytes = new long[1];
    check(JCudaDriver.cuDeviceTotalMem(bytes, device), "cuDeviceTotalMem");
    this.totalBytes = bytes[0];
    if (major < 8) {
      throw new DeviceException("device cuda: " + name + " has architecture " + major + "." + minor
          + "; the kernels are for 8.0 (Ampere) and newer");
    }
    check(JCudaDriver.cuDevicePrimaryCtxRetain(context, device), "cuDevicePrimaryCtxRetain");
    enter();
    check(JCudaDriver.cuStreamCreate(stream, 0), "cuStreamCreate");
    check(JCudaDriver.cuStreamCreate(copies, 0), "cuStreamCreate");
    fill(staging, STAGING);
    fill(small, SMALL_STAGING);
    this.programs = new JcudaPrograms("sm_" + major + minor, driver);
    this.blas = new JcudaBlas(stream);
  }

  private static void fill(Staging[] buffers, int bytes) {
    for (int i = 0; i < buffers.length; i++) {
      Pointer pinned = new Pointer();
      check(JCudaDriver.cuMemHostAlloc(pinned, bytes, 0), "cuMemHostAlloc");
      CUevent copied = new CUevent();
      check(JCudaDriver.cuEventCreate(copied, 0), "cuEventCreate");
      buffers[i] = new Staging(pinned.getByteBuffer(0, bytes), copied);
    }
  }

  /** What {@link Cuda} opens. */
  static Card open(int number) {
    return new JcudaCard(number);
  }

  private static int attribute(CUdevice device, int attribute) {
    int[] value = new int[1];
    check(JCudaDriver.cuDeviceGetAttribute(value, attribute, device), "cuDeviceGetAttribute");
    return value[0];
  }

  /** A driver's context is that of a thread. */
  private void enter() {
    if (!entered.get()) {
      check(JCudaDriver.cuCtxSetCurrent(context), "cuCtxSetCurrent");
      entered.set(true);
    }
  }

  /** Throws for anything but success. */
  private static void check(int result, String what) {
    if (result != CUresult.CUDA_SUCCESS) {
      throw failure(result, what);
    }
  }

  private static DeviceException failure(int result, String what) {
    String text = "device cuda: " + what + ": " + CUresult.stringFor(result);
    return new DeviceException(switch (result) {
      case CUresult.CUDA_ERROR_NO_DEVICE -> text + "; there is no NVIDIA card here, or this process may not see it";
      case CUresult.CUDA_ERROR_OUT_OF_MEMORY -> text + "; close other programs on the card, or lower its budget (-Ddeft4j.cuda.memory=BYTES)";
      case CUresult.CUDA_ERROR_ILLEGAL_ADDRESS, CUresult.CUDA_ERROR_LAUNCH_FAILED, CUresult.CUDA_ERROR_LAUNCH_TIMEOUT,
          CUresult.CUDA_ERROR_ECC_UNCORRECTABLE, CUresult.CUDA_ERROR_HARDWARE_STACK_ERROR, CUresult.CUDA_ERROR_ILLEGAL_INSTRUCTION,
          CUresult.CUDA_ERROR_SYSTEM_NOT_READY, CUresult.CUDA_ERROR_UNKNOWN ->
          text + "; an operation before this failed on the card, and this process cannot use it any more. Start again";
      default -> text;
    });
  }

  @Override
  public String describe() {
    return name + ", architecture " + major + "." + minor + ", " + MemoryPool.describe(totalBytes);
  }

  @Override
  public int multiprocessors() {
    return multiprocessors;
  }

  @Override
  public synchronized long freeBytes() {
    enter();
    long[] free = new long[1];
    check(JCudaDriver.cuMemGetInfo(free, new long[1]), "cuMemGetInfo");
    return free[0];
  }

  @Override
  public synchronized long allocate(long bytes) {
    enter();
    Address address = new Address();
    int result = JCudaDriver.cuMemAlloc(address, bytes);
    if (result == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      throw new OutOfMemoryError("the card has no " + bytes + " bytes");
    }
    check(result, "cuMemAlloc");
    return address.value();
  }

  @Override
  public synchronized void free(long address) {
    enter();
    check(JCudaDriver.cuMemFree(Address.of(address)), "cuMemFree");
  }

  @Override
  public synchronized void upload(MemorySegment from, long to) {
    enter();
    if (from.byteSize() <= SMALL_STAGING) {
      upload(small[nextSmall], from, to);
      nextSmall = (nextSmall + 1) % SMALL_BUFFERS;
      return;
    }
    int next = 0;
    for (long at = 0; at < from.byteSize(); at += STAGING) {
      upload(staging[next], from.asSlice(at, Math.min(STAGING, from.byteSize() - at)), to + at);
      next = 1 - next;
    }
  }

  /** Through a buffer, after the last copy from it. */
  private void upload(Staging buffer, MemorySegment from, long to) {
    check(JCudaDriver.cuEventSynchronize(buffer.copied), "a copy to the card");
    MemorySegment.ofBuffer(buffer.bytes).asSlice(0, from.byteSize()).copyFrom(from);
    check(JCudaDriver.cuMemcpyHtoDAsync(Address.of(to), Pointer.to(buffer.bytes), from.byteSize(), stream), "a copy to the card");
    check(JCudaDriver.cuEventRecord(buffer.copied, stream), "cuEventRecord");
  }

  @Override
  public synchronized void download(long from, MemorySegment into) {
    enter();
    Staging buffer = staging[0];
    check(JCudaDriver.cuEventSynchronize(buffer.copied), "a copy to the card");
    for (long at = 0; at < into.byteSize(); at += STAGING) {
      long count = Math.min(STAGING, into.byteSize() - at);
      check(JCudaDriver.cuMemcpyDtoHAsync(Pointer.to(buffer.bytes), Address.of(from + at), count, stream), "a copy from the card");
      check(JCudaDriver.cuStreamSynchronize(stream), "waiting for the card");
      into.asSlice(at, count).copyFrom(MemorySegment.ofBuffer(buffer.bytes).asSlice(0, count));
    }
  }

  @Override
  @SuppressWarnings("restricted") // the driver says where the memory is, and how much there is of it is known here
  public synchronized MemorySegment allocatePinned(long bytes) {
    enter();
    Address address = new Address();
    int result = JCudaDriver.cuMemHostAlloc(address, bytes, 0);
    if (result == CUresult.CUDA_ERROR_OUT_OF_MEMORY) {
      throw new OutOfMemoryError("the system locks no " + bytes + " bytes of memory");
    }
    check(result, "cuMemHostAlloc");
    return MemorySegment.ofAddress(address.value()).reinterpret(bytes);
  }

  @Override
  public synchronized void freePinned(MemorySegment memory) {
    enter();
    check(JCudaDriver.cuMemFreeHost(Address.of(memory.address())), "cuMemFreeHost");
  }

  @Override
  public synchronized void uploadAside(MemorySegment from, long to) {
    enter();
    check(JCudaDriver.cuMemcpyHtoDAsync(Address.of(to), Address.of(from.address()), from.byteSize(), copies), "a copy to the card");
  }

  private CUstream of(Stream which) {
    return which == Stream.COPY ? copies : stream;
  }

  @Override
  public synchronized Event event() {
    enter();
    return new DriverEvent();
  }

  @Override
  public synchronized void record(Event event, Stream which) {
    enter();
    check(JCudaDriver.cuEventRecord(((DriverEvent) event).event, of(which)), "cuEventRecord");
  }

  @Override
  public synchronized void await(Event event, Stream which) {
    enter();
    check(JCudaDriver.cuStreamWaitEvent(of(which), ((DriverEvent) event).event, 0), "cuStreamWaitEvent");
  }

  @Override
  public synchronized void await(Event event) {
    enter();
    check(JCudaDriver.cuEventSynchronize(((DriverEvent) event).event), "waiting for a copy to the card");
  }

  @Override
  public synchronized void copy(long from, long to, long bytes) {
    enter();
    if (bytes > 0) {
      check(JCudaDriver.cuMemcpyDtoDAsync(Address.of(to), Address.of(from), bytes, stream), "a copy on the card");
    }
  }

  @Override
  public synchronized void launch(String source, String kernel, long[] grid, int threads, int shared, Arguments arguments) {
    enter();
    CUfunction function = functions.computeIfAbsent(source, _ -> new HashMap<>()).computeIfAbsent(kernel, name -> function(source, name));
    parameters.clear().put(arguments.bytes().duplicate().flip());
    addresses.clear();
    for (int offset : arguments.offsets()) {
      addresses.putLong(parametersAddress + offset);
    }
    if (shared > SHARED) {
      check(JCudaDriver.cuFuncSetAttribute(function, CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, shared),
          "kernel " + kernel + " with " + shared + " bytes of shared memory");
    }
    check(JCudaDriver.cuLaunchKernel(function, (int) grid[0], (int) grid[1], (int) grid[2], threads, 1, 1, shared, stream, addressesPointer,
        null), "kernel " + kernel + " of " + source + ".cu");
  }

  private CUfunction function(String source, String kernel) {
    CUmodule module = modules.computeIfAbsent(source, this::module);
    CUfunction function = new CUfunction();
    check(JCudaDriver.cuModuleGetFunction(function, module, kernel), "kernel " + kernel + " of " + source + ".cu");
    return function;
  }

  /** A program from the cache that the driver does not take is compiled again. */
  private CUmodule module(String source) {
    CUmodule module = new CUmodule();
    byte[] kept = programs.kept(source);
    if (kept == null || JCudaDriver.cuModuleLoadData(module, kept) != CUresult.CUDA_SUCCESS) {
      check(JCudaDriver.cuModuleLoadData(module, programs.compiled(source)), "loading " + source + ".cu");
    }
    return module;
  }

  @Override
  public synchronized void multiply(Gemm gemm) {
    enter();
    blas.multiply(gemm);
  }

  @Override
  public synchronized void synchronize() {
    enter();
    check(JCudaDriver.cuStreamSynchronize(stream), "waiting for the card");
  }
}
