/** N-dimensional arrays in owned native memory, and every operation on them. */
package org.deft4j.tensor;
