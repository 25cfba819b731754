package org.deft4j.deft.cli;

/** The parts of a run, in the order in which they come. */
enum Phase {
  /** Options are checked, configurations and pictures read. */
  STARTING("starting", "", ""),
  /** The run is gone through without its tensors. */
  ESTIMATING("estimating the memory", "", ""),
  /** Part by part. */
  LOADING("loading the weights", "weights", "weights being converted"),
  /** Those of the command line, or a new one. */
  ADAPTING("making the adapter", "adapter", "making the adapter"),
  /** Into the weights, or into one adapter. */
  FOLDING("folding the adapters", "folded adapters", "weights before and after folding"),
  /** Before sampling: with it the text encoders' work is done. */
  PROMPTING("encoding the prompt", "encoded prompt", "activations of encoding the prompt"),
  /** Captions and pictures. */
  ENCODING("encoding the pictures", "encoded pictures and captions", "activations of encoding a picture"),
  /** Optimizer steps. */
  TRAINING("training", "optimizer state", "activations and gradients of a training step"),
  /** Between optimizer steps. */
  SAVING("saving a checkpoint", "", "what a checkpoint of the model has besides"),
  /** Noise is taken out, step by step. */
  SAMPLING("sampling", "latents", "activations of a sampling step"),
  /** From the last latent to pixels. */
  DECODING("decoding the picture", "picture", "activations of decoding a picture"),
  /** Files. */
  WRITING("writing", "", "");

  private final String doing;
  private final String leaves;
  private final String needs;

  Phase(String doing, String leaves, String needs) {
    this.doing = doing;
    this.leaves = leaves;
    this.needs = needs;
  }

  /** What the run is doing, in words. */
  String doing() {
    return doing;
  }

  /** What of it stays in memory when it is over. */
  String leaves() {
    return leaves;
  }

  /** What it needs beside that while it lasts. */
  String needs() {
    return needs;
  }
}
