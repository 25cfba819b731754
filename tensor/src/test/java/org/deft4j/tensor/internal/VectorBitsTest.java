package org.deft4j.tensor.internal;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Dispatch;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Unary;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

/** The vector kernels give the scalar kernels' bits. */
class VectorBitsTest {
  private final Kernels scalar = new ScalarKernels();

  @Test
  void everySampleHasTheScalarBits() {
    assertInstanceOf(VectorKernels.class, CpuKernels.get(), "the tests run with the Vector API");
    try (Scope _ = Scope.open()) {
      List<KernelSamples.Sample> samples = KernelSamples.all();
      for (KernelSamples.Sample sample : samples) {
        try (Scope _ = Scope.open()) {
          check(sample);
        }
      }
    }
  }

  private void check(KernelSamples.Sample sample) {
    Tensor[] in = copies(sample);
    Tensor[] twinIn = copies(sample);
    Tensor[] out = Dispatch.run(sample.op(), in);
    Tensor[] twin = Arrays.stream(out).map(t -> Tensor.empty(Device.CPU, t.dtype(), t.shape())).toArray(Tensor[]::new);
    scalar.run(sample.op(), twinIn, twin);
    for (int i = 0; i < out.length; i++) {
      same(sample + ", output " + i, twin[i], out[i]);
    }
    for (int i = 0; i < in.length; i++) {
      same(sample + ", input " + i, twinIn[i], in[i]);
    }
  }

  /** What works in place gets inputs of its own; a Binary and a Rotary get views as they are, the others row-major copies. */
  private static Tensor[] copies(KernelSamples.Sample sample) {
    boolean asIs = sample.op() instanceof Binary || sample.op() instanceof Fused.Rotary;
    boolean changed = sample.op() instanceof InPlace;
    return Arrays.stream(sample.inputs()).map(t -> asIs ? t : changed ? KernelHash.copy(t) : t.contiguous()).toArray(Tensor[]::new);
  }

  /** Equal to the bit; one NaN is as good as another. */
  private static void same(String what, Tensor wanted, Tensor found) {
    if (wanted.dtype() != DType.F32) {
      assertTrue(Arrays.equals(wanted.toLongs(), found.toLongs()), what);
      return;
    }
    float[] a = wanted.toFloats();
    float[] b = found.toFloats();
    for (int i = 0; i < a.length; i++) {
      if (Float.floatToIntBits(a[i]) != Float.floatToIntBits(b[i])) {
        fail(what + ": element " + i + " is " + b[i] + ", the scalar kernel's " + a[i]);
      }
    }
  }

  /** A new operation of these families needs samples. */
  @Test
  void everyOperationHasASample() {
    Set<Class<?>> seen;
    try (Scope _ = Scope.open()) {
      seen = KernelSamples.all().stream().map(KernelSamples.Sample::op).map(Op::getClass).collect(Collectors.toSet());
    }
    Set<Class<?>> wanted = new HashSet<>();
    for (Class<?> family : List.of(Unary.class, Binary.class, Reduction.class, Norm.class, Fused.class, InPlace.class)) {
      wanted.addAll(List.of(family.getPermittedSubclasses()));
    }
    wanted.removeAll(List.of(InPlace.CopyInto.class, InPlace.Fill.class));
    assertEquals(wanted, seen);
  }
}
