package org.deft4j.tensor.internal.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.DeviceException;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.MemoryPool;
import org.deft4j.tensor.NumericException;
import org.deft4j.tensor.Offload;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.RandomSource;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.InPlace;

/** A program that uses a card as any does, for {@link JcudaCardTest}: says that results are the CPU's, or what is wrong. */
final class JcudaProgram {
  private JcudaProgram() {}

  public static void main(String[] args) {
    try (Scope _ = Scope.open()) {
      Device.use(Device.parse(args[0]));
      Device.use(Device.CPU);
      RandomSource random = new TorchRandom(3);
      Tensor a = random.normal(DType.F32, 3, 20, 24);
      Tensor b = random.normal(DType.F32, 3, 24, 18);
      Tensor w = random.normal(DType.F32, 40, 24);
      CudaTests.same("products", in -> in[0].matmul(in[1]), a, b);
      CudaTests.same("turned products", in -> in[0].transpose(1, 2).matmul(in[1].transpose(1, 2)), b, a);
      CudaTests.same("a product of doubles", in -> in[0].matmul(in[1].t()), a.cast(DType.F64), w.cast(DType.F64));
      CudaTests.same("a layer", in -> Dispatch.run(new Contraction.Linear(), in)[0], a, w.cast(DType.BF16), random.normal(DType.F32, 40));
      CudaTests.with(Precision.BF16, () -> {
        CudaTests.same("a layer in BF16", in -> in[0].linear(in[1]), a.cast(DType.BF16).cast(DType.F32), w.cast(DType.BF16));
        return null;
      });
      CudaTests.same("a convolution", in -> Dispatch.run(new Contraction.Conv2d(ConvSpec.of(2, 1)), in)[0], random.normal(DType.F32, 2, 3, 9, 8),
          random.normal(DType.F32, 20, 3, 3, 3));
      CudaTests.same("a step", in -> step(in[0], in[1], in[2], in[3]), a, a, a, a.square());
      large(random);
      offloaded(random);
      fault();
      System.out.println("the CPU's results on " + Cuda.card().describe());
    } catch (DeviceException e) {
      System.out.println(e.getMessage());
    }
  }

  private static Tensor step(Tensor p, Tensor g, Tensor m, Tensor v) {
    Tensor changed = p.copy();
    Dispatch.run(new InPlace.AdamUpdate(1e-2, 0.9, 0.99, 1e-8, 0.1, true, 2), changed, g, m.copy(), v.copy());
    return changed;
  }

  /** More bytes than are copied at a time. */
  private static void large(RandomSource random) {
    try (Scope _ = Scope.open()) {
      Tensor x = random.uniform(DType.F32, 10_000_001);
      CudaTests.same("a large tensor", in -> in[0].neg(), x);
    }
  }

  /** More weights than the window holds, there and back. */
  private static void offloaded(RandomSource random) {
    Tensor x = random.normal(DType.F32, 20, 24);
    List<Tensor> here = Stream.generate(() -> random.normal(DType.F32, 24, 24).mul(0.2)).limit(6).toList();
    Device.use(Device.CUDA);
    try (Offload offload = Offload.open(2 * 24 * 24 * Float.BYTES + 1024); Scope _ = Scope.open()) {
      List<Tensor> weights = new ArrayList<>();
      try (Offload.Loading _ = Offload.weights()) {
        here.forEach(weight -> weights.add(Tensor.of(weight.toFloats(), 24, 24)));
      }
      Dispatch.run(new InPlace.ScaleInto(2), weights.getFirst());
      Dispatch.run(new InPlace.ScaleInto(2), here.getFirst());
      CudaTests.same("kept weights", in -> {
        Tensor h = in[0];
        for (int turn = 0; turn < 3; turn++) {
          for (Tensor weight : in[0].device() == Device.CPU ? here : weights) {
            h = h.linear(weight);
          }
        }
        return h;
      }, x);
      System.out.println("weights went to the card, bytes: " + offload.uploadedBytes());
    } finally {
      Device.use(Device.CPU);
    }
    if (MemoryPool.kept().liveBytes() + MemoryPool.kept().reservedBytes() > 0) {
      throw new AssertionError("memory for weights is left");
    }
  }

  private static void fault() {
    Tensor table = Tensor.of(new float[] {1, 2, 3}, 3, 1).to(Device.CUDA);
    Tensor rows = table.indexSelect(0, Tensor.of(new long[] {2, 5}, 2).to(Device.CUDA));
    try {
      rows.toFloats();
      throw new AssertionError("an index beyond the table was not found");
    } catch (NumericException e) {
      System.out.println(e.getMessage());
    }
  }
}
