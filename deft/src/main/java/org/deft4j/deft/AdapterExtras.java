package org.deft4j.deft;

import java.util.ArrayList;
import java.util.List;

/**
 * What the authors' and PEFT's code offer beside the method itself; all off by default.
 *
 * @param dropout of the layer's input while training
 * @param gate whether what is injected is multiplied by the sigmoid of a trained number
 * @param sparsity the share of P's elements that are held at 0, drawn once
 */
public record AdapterExtras(Dropout dropout, boolean gate, double sparsity) {
  /** None of them. */
  public static final AdapterExtras NONE = new AdapterExtras(Dropout.NONE, false, 0);

  /** What does not fit {@code method}. */
  List<String> problems(Method method) {
    List<String> problems = new ArrayList<>();
    if (!(sparsity >= 0 && sparsity < 1)) {
      problems.add("sparsity " + sparsity + ": at least 0 and below 1 is needed");
    }
    if (sparsity > 0 && !method.projects()) {
      problems.add("method " + method.label() + " has no P to make sparse");
    }
    if (gate && (method == Method.PARA || method == Method.DORA)) {
      problems.add("method " + method.label() + " takes no gate; deft, lora and lora-para do");
    }
    return problems;
  }
}
