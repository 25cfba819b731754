/** Names to tensors, from and to files. */
module org.deft4j.weights {
  requires transitive org.deft4j.tensor;
  requires com.fasterxml.jackson.core;
  requires com.fasterxml.jackson.jr.ob;

  exports org.deft4j.weights;
}
