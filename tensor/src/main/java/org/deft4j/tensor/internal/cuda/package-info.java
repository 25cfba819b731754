/**
 * The kernels of an NVIDIA card: CUDA C sources in the resources, what launches them, and cuBLAS for products. {@link
 * org.deft4j.tensor.internal.cuda.Card} is all that is asked of a card; the tests have one that runs the same sources on the processor.
 */
package org.deft4j.tensor.internal.cuda;
