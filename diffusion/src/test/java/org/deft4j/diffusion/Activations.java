package org.deft4j.diffusion;

import java.util.HashMap;
import java.util.Map;
import org.deft4j.nn.Module;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.testing.Fixtures;

/** Collects what the parts of a model give out, to compare with {@code act.<module name>} of a golden file. */
final class Activations implements AutoCloseable {
  private static final String PREFIX = "act.";

  private final Map<String, Tensor> outputs = new HashMap<>();
  private final Module.Listening listening;

  Activations(Module model) {
    listening = model.listen((path, output) -> {
      Tensor before = outputs.put(path, output.share());
      if (before != null) {
        before.close();
      }
    });
  }

  /** Compares every activation of {@code golden}; returns how many there are. */
  int compare(Map<String, Tensor> golden, double limit) {
    int count = 0;
    for (Map.Entry<String, Tensor> entry : golden.entrySet()) {
      if (entry.getKey().startsWith(PREFIX)) {
        Fixtures.closeTo(entry.getKey(), find(entry.getKey().substring(PREFIX.length())), entry.getValue(), limit);
        count++;
      }
    }
    return count;
  }

  /** Modules of the reference that do nothing here (dropout) give what went into them. */
  private Tensor find(String path) {
    String dropout = "dropout";
    if (path.endsWith(dropout)) {
      return require(path.substring(0, path.length() - dropout.length()) + "norm2").silu();
    }
    return require(path.replace("to_out.1", "to_out.0").replace("net.1", "net.0"));
  }

  private Tensor require(String path) {
    Tensor output = outputs.get(path);
    if (output == null) {
      throw new AssertionError("no module " + path + " gave anything; there are " + outputs.keySet());
    }
    return output;
  }

  @Override
  public void close() {
    listening.close();
    outputs.values().forEach(Tensor::close);
  }
}
