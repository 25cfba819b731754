/** Benchmarks of single kernels under JMH, for work on one of them; {@code deft bench} compares all with the machine's limits. */
package org.deft4j.tensor.jmh;
