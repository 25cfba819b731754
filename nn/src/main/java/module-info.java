/** Layers, losses, optimizers. */
module org.deft4j.nn {
  requires transitive org.deft4j.autograd;

  exports org.deft4j.nn;
}
