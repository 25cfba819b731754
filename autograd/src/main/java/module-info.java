/** Reverse-mode differentiation of what runs in tensor. */
module org.deft4j.autograd {
  requires transitive org.deft4j.tensor;

  exports org.deft4j.autograd;
}
