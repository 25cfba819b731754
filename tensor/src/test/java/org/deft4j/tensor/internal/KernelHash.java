package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.zip.CRC32C;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.Threads;
import org.deft4j.tensor.op.InPlace;

/** A program that prints which kernels it runs, on how many threads, and a checksum of what they make of all samples. */
final class KernelHash {
  private KernelHash() {}

  public static void main(String[] args) {
    CRC32C sum = new CRC32C();
    try (Scope _ = Scope.open()) {
      for (KernelSamples.Sample sample : KernelSamples.all()) {
        try (Scope _ = Scope.open()) {
          Tensor[] in = sample.inputs();
          if (sample.op() instanceof InPlace) {
            in = Arrays.stream(in).map(KernelHash::copy).toArray(Tensor[]::new);
            Dispatch.run(sample.op(), in);
            Arrays.stream(in).forEach(t -> add(sum, t));
          } else {
            Arrays.stream(Dispatch.run(sample.op(), in)).forEach(t -> add(sum, t));
          }
        }
      }
    }
    String kernels = CpuKernels.get() instanceof VectorKernels ? "vector" + VectorKernels.bits() : "scalar";
    System.out.println(kernels + " threads" + Threads.count() + " " + Long.toHexString(sum.getValue()));
  }

  static Tensor copy(Tensor tensor) {
    Tensor copy = Tensor.empty(Device.CPU, tensor.dtype(), tensor.shape());
    Dispatch.run(new InPlace.CopyInto(), copy, tensor);
    return copy;
  }

  /** One NaN is as good as another. */
  private static void add(CRC32C sum, Tensor tensor) {
    if (tensor.dtype() != DType.F32) {
      for (long value : tensor.toLongs()) {
        add(sum, (int) value);
      }
      return;
    }
    for (float value : tensor.toFloats()) {
      add(sum, Float.floatToIntBits(value));
    }
  }

  private static void add(CRC32C sum, int bits) {
    for (int shift = 0; shift < 32; shift += 8) {
      sum.update(bits >>> shift);
    }
  }
}
