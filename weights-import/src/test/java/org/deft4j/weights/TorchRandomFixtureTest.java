package org.deft4j.weights;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.TorchRandom;
import org.deft4j.tensor.testing.LeakCheck;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/**
 * {@link TorchRandom} gives PyTorch's bits, tensor by tensor and through a long sequence of mixed calls.
 *
 * <p>Left out is {@code randn_scalar_build.*}: the numbers of PyTorch builds without AVX2, made by the C library's float
 * functions, which a generator that gives the AVX2 build's numbers cannot give too.
 */
@ExtendWith(LeakCheck.class)
class TorchRandomFixtureTest {
  private static final Pattern DRAW = Pattern.compile("(\\w+)\\.seed(\\d+)(?:\\.n(\\d+))?");
  private static final Pattern INTEGERS = Pattern.compile("randint_(m?)(\\d+)_(\\d+)(?:pow(\\d+))?");
  private static final Pattern CALL = Pattern.compile("sequence\\.(\\d+)\\.(\\w+)\\(([^)]*)\\)(?:\\.(\\w+)\\(([^)]*)\\))?");
  /** From here on PyTorch fills normal tensors in blocks of 16. */
  private static final int BLOCK = 16;

  @Test
  void everyDrawHasPyTorchsBits() {
    for (Path folder : Fixtures.folders("rng")) {
      int draws = 0;
      try (Scope _ = Scope.open()) {
        for (Map.Entry<String, Tensor> golden : Fixtures.golden(folder.resolve("rng.safetensors")).entrySet()) {
          Matcher name = DRAW.matcher(golden.getKey());
          if (name.matches() && !name.group(1).equals("randn_scalar_build")) {
            TorchRandom random = new TorchRandom(Long.parseLong(name.group(2)));
            check(golden.getKey(), draw(name.group(1), random, golden.getValue()), golden.getValue());
            draws++;
          }
        }
      }
      assertTrue(draws > 0, folder + " holds draws");
    }
  }

  private static Tensor draw(String kind, TorchRandom random, Tensor golden) {
    long n = golden.elementCount();
    return switch (kind) {
      case "raw_u32_bits" -> {
        int[] bits = new int[(int) n];
        Arrays.setAll(bits, i -> random.nextBits());
        yield Tensor.of(bits);
      }
      case "rand", "rand_f64" -> random.uniform(golden.dtype(), n);
      case "randn", "randn_f64" -> random.normal(golden.dtype(), n);
      case "randperm" -> random.permutation(n);
      default -> {
        Matcher range = INTEGERS.matcher(kind);
        assertTrue(range.matches(), kind + " is not known");
        long low = Long.parseLong(range.group(2)) * (range.group(1).isEmpty() ? 1 : -1);
        long high = Long.parseLong(range.group(3));
        yield random.integers(low, range.group(4) == null ? high : high << (Integer.parseInt(range.group(4)) - 1), n);
      }
    };
  }

  @Test
  void oneGeneratorGoesThroughManyCalls() {
    for (Path folder : Fixtures.folders("rng")) {
      JsonObject facts = Json.read(folder.resolve("rng.json"));
      List<String> calls = facts.requireStrings("sequence");
      assertFalse(calls.isEmpty());
      try (Scope _ = Scope.open()) {
        Map<String, Tensor> golden = Fixtures.golden(folder.resolve("rng.safetensors"));
        TorchRandom random = new TorchRandom(facts.requireLongInteger("sequence_seed"));
        for (int i = 0; i < calls.size(); i++) {
          String name = String.format("sequence.%02d.%s", i, calls.get(i));
          Tensor expected = golden.get(name);
          assertTrue(expected != null, name + " is in the file");
          check(name, call(name, random, expected), expected);
        }
      }
    }
  }

  private static Tensor call(String name, TorchRandom random, Tensor golden) {
    Matcher call = CALL.matcher(name);
    assertTrue(call.matches(), name + " is a call");
    Shape shape = golden.shape();
    return switch (call.group(2)) {
      case "randn" -> random.normal(golden.dtype(), shape.toArray());
      case "rand" -> random.uniform(golden.dtype(), shape.toArray());
      case "randint" -> {
        double[] range = numbers(call.group(3));
        yield random.integers((long) range[0], (long) range[1], shape.toArray());
      }
      case "randperm" -> random.permutation(shape.elementCount());
      case "empty" -> fill(call.group(4), numbers(call.group(5)), random,
          Tensor.empty(Device.CPU, golden.dtype(), shape));
      default -> throw new AssertionError(name + " is not known");
    };
  }

  private static Tensor fill(String method, double[] parameters, TorchRandom random, Tensor target) {
    switch (method) {
      case "uniform_" -> random.fillUniform(target, parameters[0], parameters[1]);
      case "normal_" -> random.fillNormal(target, parameters[0], parameters[1]);
      default -> throw new AssertionError(method + " is not known");
    }
    return target;
  }

  private static double[] numbers(String list) {
    return Arrays.stream(list.split(",")).mapToDouble(text -> Double.parseDouble(text.trim())).toArray();
  }

  /** Bit for bit; but long float64 normals may differ where PyTorch's C library does not round to nearest. */
  private static void check(String name, Tensor actual, Tensor expected) {
    assertEquals(expected.shape(), actual.shape(), name);
    assertEquals(expected.dtype(), actual.dtype(), name);
    boolean libraryFunctions = expected.dtype() == DType.F64 && name.contains("randn")
        && expected.elementCount() >= BLOCK;
    if (!libraryFunctions) {
      assertEquals(-1, actual.to(Device.CPU).bytes().mismatch(expected.to(Device.CPU).bytes()), name + ": first byte that differs");
      return;
    }
    double[] a = actual.toDoubles();
    double[] b = expected.toDoubles();
    int different = 0;
    for (int i = 0; i < a.length; i++) {
      assertEquals(b[i], a[i], 2 * Math.ulp(b[i]), name + " at " + i);
      different += a[i] == b[i] ? 0 : 1;
    }
    assertTrue(different <= 2 + a.length / 200, name + ": " + different + " elements differ");
  }
}
