/** Tensors: n-dimensional arrays in owned native memory, and every operation on them. */
module org.deft4j.tensor {
  requires static jdk.incubator.vector;
  requires static jcuda;
  requires static jcublas;
  requires ejml.core;
  requires java.management;
  requires jdk.management;
  requires ejml.ddense;

  exports org.deft4j.tensor;
  exports org.deft4j.tensor.op;
}
